"""How long prompts are for a model, told by its tokenizer alone: no weights are loaded and no sandbox model made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from candor.engines.hub import hub_trouble
from candor.engines.load import SANDBOX
from candor.engines.named import located
from candor.engines.pretrained import load_tokenizer, longest_sequence
from candor.errors import ModelError
from candor.progress import Reporter
from candor.prompts import templates
from candor.prompts.encoding import prompt_length
from candor.prompts.grammar import answer_grammar
from candor.prompts.templates import Template
from candor.recipe.engine import ModelConfig
from candor.recipe.evaluation import EvaluationConfig
from candor.recipe.recipe import Recipe
from candor.types import Example

SANDBOX_LENGTH: Final = 4096
"""Longest sequence of the sandbox's base model."""


@dataclass(frozen=True, slots=True)
class PromptMeter:
    """Measures prompts as a model reads them.

    Attributes:
        model: its name.
        template: the prompt.
        tokenizer: a Hugging Face tokenizer.
        max_length: longest sequence in tokens, the answer included; ``None`` where nothing says so.
        answer_room: tokens that are kept free for the answer.
    """

    model: str
    template: Template
    tokenizer: Any
    max_length: int | None
    answer_room: int

    @property
    def max_tokens(self) -> int | None:
        """Longest prompt in tokens; ``None`` where no limit is known."""
        return None if self.max_length is None else self.max_length - self.answer_room

    def count(self, example: Example) -> int:
        """Tokens of the prompt that shows all of an example's evidence."""
        return prompt_length(self.template, example, self.tokenizer)

    def notes(self) -> dict[str, Any]:
        """What is measured with, as JSON values."""
        return {
            "model": self.model,
            "template": self.template.name,
            "max_length": self.max_length,
            "answer_room": self.answer_room,
        }


def meter_of_recipe(recipe: Recipe, tokenizer: Any = None, max_length: int | None = None) -> PromptMeter:
    """Measure as a recipe's run does, with the room that it leaves for an answer.

    Args:
        recipe: the experiment.
        tokenizer: the model's, where it is loaded already; else it is loaded here.
        max_length: the model's longest sequence in tokens, where a tokenizer is given.

    Raises:
        ModelError: the tokenizer cannot be loaded, or cannot write an answer.
    """
    template = recipe.prompt.rendered()
    if tokenizer is None:
        tokenizer, max_length = _load(recipe.model)
    room = recipe.answer_room(answer_grammar(template, tokenizer))
    return PromptMeter(recipe.model.name, template, tokenizer, max_length, room)


def meter_of_model(name: str, *, template: str, max_length: int | None = None) -> PromptMeter:
    """Measure with the tokenizer of a model, and leave the usual room for an answer.

    Args:
        name: ``sandbox``, a folder or a model on the hub.
        template: name of the prompt.
        max_length: longest sequence in tokens; what the model was made for unless given, and never more.

    Raises:
        ModelError: the tokenizer cannot be loaded, or cannot write an answer.
        PromptError: no such template.
    """
    chosen = templates.get(template)
    tokenizer, limit = _load(ModelConfig(name=name, max_length=max_length))
    room = max(EvaluationConfig().max_new_tokens, answer_grammar(chosen, tokenizer).longest)
    return PromptMeter(name, chosen, tokenizer, limit, room)


def _load(model: ModelConfig) -> tuple[Any, int | None]:
    """A model's tokenizer, and its longest sequence where model or tokenizer names one."""
    if model.name == SANDBOX:
        from candor.sandbox.tokenizer import make_tokenizer

        return make_tokenizer(), min(model.max_length or SANDBOX_LENGTH, SANDBOX_LENGTH)
    from transformers import AutoConfig

    model = located(model, Reporter())
    trouble = None if Path(model.name).is_dir() else hub_trouble()
    # Without a network the hub's client tries again for most of a minute; what it has kept is there all the same.
    offline = trouble is not None
    try:
        tokenizer = load_tokenizer(model.name, revision=model.revision, local_files_only=offline)
    except ModelError as error:
        if not offline:
            raise
        raise ModelError(
            f"model.name: no tokenizer {model.name!r}: no such folder, none in the hub's cache here, and the hub "
            f"cannot be reached ({trouble})"
        ) from error
    try:
        config = AutoConfig.from_pretrained(
            model.name, revision=model.revision, local_files_only=offline, trust_remote_code=False
        )
    except (OSError, ValueError):  # a tokenizer without a model beside it, which may name a limit itself
        config = None
    try:
        return tokenizer, longest_sequence(SimpleNamespace(config=config), tokenizer, model.max_length)
    except ModelError:
        return tokenizer, None
