"""A recipe: one YAML file that describes an experiment, with overrides from the command line.

    recipe = load_recipe("recipes/demo.yaml", overrides=["train.steps=20"])

An unknown key is an error that names its place and the nearest known one; a bad value is an error that names its
range.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import Field, ValidationError, model_validator

from candor.config import FILE_NAME, Config, explain
from candor.errors import RecipeError
from candor.prompts.chat import LONGEST_THOUGHT_END
from candor.prompts.grammar import AnswerGrammar
from candor.recipe.data import DataConfig
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.recipe.evaluation import EvaluationConfig
from candor.recipe.objective import (
    EnumeratedSplit,
    ObjectiveConfig,
    SampledExpected,
    SupervisedProbe,
    objective_config,
    without_idle,
)
from candor.recipe.prompt import PromptConfig
from candor.recipe.reward import RewardConfig
from candor.recipe.train import TrainConfig
from candor.recipe.warm_start import TrainedWarmStart, WarmStartConfig
from candor.recipe.yaml_text import load_yaml

PARTS_WITH_PRESETS = ("reward", "objective")

Stage: TypeAlias = Literal["data", "warm", "base", "train", "trained", "compare", "report"]
STAGES: tuple[Stage, ...] = ("data", "warm", "base", "train", "trained", "compare", "report")
"""Stages of a run, in order."""


class SamplingConfig(Config):
    """How completions are drawn in training."""

    group_size: int = Field(default=8, ge=1, le=4096, description="completions of each prompt")
    temperature: float = Field(default=1.0, gt=0, le=10, description="of sampling; 1 is the model itself")
    max_new_tokens: int = Field(default=32, ge=1, le=65536, description="longest completion, its end included")
    reasoning_tokens: int = Field(
        default=0, ge=0, le=65536, description="enumerated objective: longest reasoning sampled before the verdict"
    )


class Recipe(Config):
    """An experiment. ``arms`` are named variants of it: overrides of any other part, run side by side."""

    name: str = Field(pattern=f"^{FILE_NAME.pattern}$", description="letters, digits, dots, dashes")
    description: str = Field(default="", description="one sentence, shown in the report")
    seeds: list[int] = Field(default_factory=lambda: [0], min_length=1, description="one run for each")
    stages: list[Stage] = Field(default_factory=lambda: list(STAGES), description="what is done, in this order")
    model: ModelConfig = Field(description="which model is trained")
    engine: EngineConfig = Field(default_factory=EngineConfig, description="what runs the model")
    prompt: PromptConfig = Field(default_factory=PromptConfig, description="which words the model sees")
    data: DataConfig = Field(description="which claims, and how many")
    sampling: SamplingConfig = Field(default_factory=SamplingConfig, description="completions in training")
    reward: RewardConfig = Field(
        default_factory=lambda: RewardConfig.model_validate({}), description="what an answer earns"
    )
    objective: ObjectiveConfig = Field(
        default_factory=lambda: objective_config({}), description="how rewards become a gradient"
    )
    warm_start: WarmStartConfig | None = Field(default=None, description="what the model is taught before all else")
    train: TrainConfig = Field(default_factory=TrainConfig, description="the training loop")
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig, description="how both models are measured")
    arms: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="named variants: overrides of any other part but name and seeds"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.stages != [stage for stage in STAGES if stage in self.stages]:
            raise ValueError(f"stages: {self.stages} must be some of {', '.join(STAGES)}, in this order, each once")
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds: {self.seeds} must be different and at least 0")
        for place, sources in (("train.sources", self.train.sources), ("train.unlabelled.sources", self.unlabelled())):
            unknown = [name for name in sources or () if name not in self.data.counts("train")]
            if unknown:
                raise ValueError(
                    f"{place}: {', '.join(unknown)}: not under data.train ({', '.join(self.data.counts('train'))})"
                )
        twice = [name for name in self.unlabelled() if name in self.trained_on()]
        if twice or (self.train.unlabelled and not self.trained_on()):
            raise ValueError(
                f"train.unlabelled.sources: {', '.join(twice or self.unlabelled())}: the labels of these are "
                + (
                    "used too; leave them out here or under train.sources"
                    if twice
                    else "all there are; some must be used"
                )
            )
        if self.train.unlabelled and (
            not isinstance(self.objective, EnumeratedSplit)
            or not self.reward.alignment
            or not self.objective.confidence_weight
            or self.sampling.reasoning_tokens
        ):
            raise ValueError(
                "train.unlabelled: nothing to learn without labels; needs objective.kind=enumerated, credit=split and "
                "confidence_weight above 0, reward.alignment above 0, and no sampling.reasoning_tokens"
            )
        self._check_warm_start()
        if self.train.patience and not self.train.validate_every:
            raise ValueError("train.patience: needs train.validate_every above 0")
        probed = isinstance(self.objective, SupervisedProbe)
        if (self.train.validate_every or probed) and not any(
            self.data.counts("validation").get(name) for name in self.trained_on()
        ):
            asking = "objective.taught_confidence: probe" if probed else "train.validate_every"
            raise ValueError(f"{asking}: needs examples of a source that is trained on under data.validation")
        if probed and self.engine.kind == "tinker":
            raise ValueError("objective.taught_confidence: probe reads hidden states, so set engine.kind: local")
        if self.objective.kind == "sampled" and self.sampling.reasoning_tokens:
            raise ValueError("sampling.reasoning_tokens: no effect with objective.kind=sampled; use max_new_tokens")
        if self.objective.kind == "supervised" and (self.sampling.reasoning_tokens or self.prompt.words().reasons):
            raise ValueError(
                "objective.kind: supervised shows answers right behind the prompt; leave out sampling.reasoning_tokens "
                "and take a prompt.template that asks for no reasoning, such as verdict"
            )
        if self.objective.kind == "enumerated" and self.prompt.words().reasons and not self.sampling.reasoning_tokens:
            raise ValueError(
                f"prompt.template: {self.prompt.words().name} asks for reasoning first, and enumerated verdicts stand "
                "right behind the prompt; set sampling.reasoning_tokens above 0, or prompt.template: verdict"
            )
        if self.evaluation.every_label and self.prompt.words().reasons:
            raise ValueError(
                f"evaluation.every_label: prompt.template {self.prompt.words().name} asks for reasoning first, so "
                "nothing is stated right behind the prompt; leave it out, or set prompt.template: verdict"
            )
        if self.engine.kind == "tinker" and self.sampling.temperature != 1.0:
            raise ValueError(
                f"sampling.temperature: {self.sampling.temperature:g} cannot be trained with engine.kind=tinker: "
                "a service gives log-probabilities at temperature 1 alone; at 1.0 both objective.kind sampled and "
                "enumerated can, with all their terms. Set sampling.temperature: 1.0, or engine.kind: local"
            )
        exact = self.objective.kind == "enumerated" or isinstance(self.objective, SampledExpected)
        if exact and self.train.updates_per_batch > 1:
            raise ValueError("train.updates_per_batch: what is enumerated is exact for one update only; set 1")
        return self

    def _check_warm_start(self) -> None:
        trained = isinstance(self.warm_start, TrainedWarmStart)
        asked = [name for name, count in self.data.counts("warm_start").items() if count]
        if trained != bool(asked):
            raise ValueError(
                "warm_start: nothing to train it on; give counts under data.warm_start"
                if trained
                else "data.warm_start: no effect without a warm_start that is trained; leave it out"
            )
        others = [name for name in asked if name not in self.trained_on()]
        if others:
            raise ValueError(
                f"data.warm_start: {', '.join(others)}: not trained on, and a domain that the warm start has seen is "
                f"none that is unseen; take from {', '.join(self.trained_on())}"
            )
        if self.warm_start is not None and self.engine.kind == "tinker":
            raise ValueError(
                "warm_start: a service begins with a fresh adapter; leave it out, or set engine.kind: local"
            )

    def trained_on(self) -> list[str]:
        """Sources whose training examples are used with their labels."""
        if self.train.sources is not None:
            return list(self.train.sources)
        return [source for source in self.data.counts("train") if source not in self.unlabelled()]

    def answer_room(self, grammar: AnswerGrammar) -> int:
        """Tokens to leave free behind a prompt, for whatever a run of this recipe puts there."""
        enumerated = grammar.longest + self.sampling.reasoning_tokens
        if self.prompt.chat.thinks:
            enumerated += LONGEST_THOUGHT_END
        sampled = self.sampling.max_new_tokens
        if isinstance(self.objective, SampledExpected):  # behind a label that may have come last
            sampled += grammar.longest_behind_label
        return max(enumerated, sampled, self.evaluation.max_new_tokens)

    def unlabelled(self) -> list[str]:
        """Sources whose training prompts are used without their labels."""
        return [] if self.train.unlabelled is None else list(self.train.unlabelled.sources)


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a YAML file.

    Args:
        path: the file.
        overrides: ``key=value`` with dots between keys, value as YAML: ``train.steps=20``.

    Raises:
        RecipeError: the file is missing, is not YAML, or holds something that a recipe does not.
    """
    return recipe_from(_read(Path(path)), overrides, place=str(path))


def load_run_recipe(path: Path) -> Recipe:
    """Read the resolved recipe that a run wrote into its folder, by whichever version it was made.

    Earlier ones wrote out values of the objective that had no effect; these are left out.

    Raises:
        RecipeError: as :func:`load_recipe`.
    """
    values = _read(path)
    objective = values.get("objective")
    if isinstance(objective, Mapping):
        try:
            values = {**values, "objective": without_idle(objective)}
        except ValueError as error:
            raise RecipeError(f"{path}: objective: {error}") from error
    return recipe_from(values, place=str(path))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RecipeError(f"{path}: no such recipe file{_near_file(path)}")
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys to values, but this file holds none")
    return values


def find_recipe(name: str) -> Path:
    """Path of a recipe: a file, or by its name one that comes with candor.

    Raises:
        RecipeError: neither; names the recipes there are.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = _recipes_folder()
    if folder is not None and (folder / f"{name}.yaml").is_file():
        return folder / f"{name}.yaml"
    by_name = f"; recipes by name: {', '.join(known_recipes())}" if folder is not None else ""
    raise RecipeError(f"{name}: no such recipe file{_near_file(path)}{by_name}")


def known_recipes() -> list[str]:
    """Names of the recipes that come with candor."""
    folder = _recipes_folder()
    if folder is None:
        return []
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))


def _recipes_folder() -> Path | None:
    """Where they lie: inside the package, or beside its source."""
    package = Path(__file__).resolve().parents[1]
    return next((path for path in (package / "recipes", package.parents[1] / "recipes") if path.is_dir()), None)


def recipe_from(values: Mapping[str, Any], overrides: Sequence[str] = (), *, place: str = "recipe") -> Recipe:
    """Validate a recipe's values after applying ``key=value`` overrides.

    Raises:
        RecipeError: names the place and what would be right.
    """
    merged: dict[str, Any] = dict(values)
    for override in overrides:
        merged = _override(merged, parse_override(override))
    try:
        recipe = Recipe.model_validate(merged)
    except ValidationError as error:
        raise RecipeError(f"{place}: {explain(error, Recipe)}") from error
    for name, arm in recipe.arms.items():
        _resolve_arm(merged, name, arm, place)
    return recipe


def resolve_arms(recipe: Recipe) -> dict[str, Recipe]:
    """Return the recipe of every arm by name, without arms of its own; the recipe itself as ``""`` if it has none."""
    values = dump(recipe)
    if not recipe.arms:
        return {"": recipe}
    return {name: _resolve_arm(values, name, arm, recipe.name) for name, arm in recipe.arms.items()}


def dump(recipe: Config) -> dict[str, Any]:
    """Every value of a recipe or of a part of one, as YAML and JSON know them."""
    return recipe.model_dump(mode="json")


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML that :func:`load_recipe` reads back."""
    return yaml.safe_dump(dump(recipe), sort_keys=False, allow_unicode=True)


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Put ``over`` on ``base``: mappings are merged, everything else is replaced.

    >>> deep_merge({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    merged = dict(base)
    for key, value in over.items():
        known = merged.get(key)
        merged[key] = deep_merge(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def _resolve_arm(values: Mapping[str, Any], name: str, arm: Mapping[str, Any], place: str) -> Recipe:
    if not FILE_NAME.fullmatch(name):
        raise RecipeError(f"{place}: arms.{name}: the name of an arm is made of letters, digits, dots and dashes")
    if "arms" in arm:
        raise RecipeError(f"{place}: arms.{name}: an arm cannot have arms of its own")
    if "seeds" in arm or "name" in arm:
        raise RecipeError(f"{place}: arms.{name}: name and seeds are those of the whole recipe; leave them out")
    merged = _override(values, arm)
    merged["arms"] = {}
    merged["name"] = f"{values['name']}-{name}"
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise RecipeError(f"{place}: arms.{name}: {explain(error, Recipe)}") from error


def _override(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge, but let a part that names a preset start afresh: values of another preset are not its own."""
    afresh = [part for part in PARTS_WITH_PRESETS if isinstance(over.get(part), Mapping) and "preset" in over[part]]
    return deep_merge({key: value for key, value in base.items() if key not in afresh}, over)


def parse_override(override: str, option: str = "-o") -> dict[str, Any]:
    """Read ``key=value`` with dots between keys and a value in YAML, as ``option`` of the command line takes it.

    Raises:
        RecipeError: it is not of that form.

    >>> parse_override("train.steps=20")
    {'train': {'steps': 20}}
    """
    key, separator, text = override.partition("=")
    if not separator or not all(part.strip() for part in key.split(".")):
        raise RecipeError(f"{option} {override}: expected key=value with dots between keys")
    try:
        value = load_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{option} {override}: the value is not YAML: {' '.join(str(error).split())}") from error
    for part in reversed(key.split(".")):
        value = {part.strip(): value}
    return typing.cast(dict[str, Any], value)


def _near_file(path: Path) -> str:
    folder = path.parent if path.parent.is_dir() else Path("recipes")
    found = [str(file) for file in sorted(folder.glob("*.y*ml"))]
    near = difflib.get_close_matches(str(path), found, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(found)}" if found else ""
