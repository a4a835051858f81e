"""Recipes are strict, their errors say what would be right, and arms and overrides change what they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from places import ROOT
from toy import byte_tokenizer, save_toy_model, toy_recipe

from candor.errors import RecipeError
from candor.prompts import templates
from candor.prompts.grammar import answer_grammar
from candor.recipe.objective import PRESETS as OBJECTIVE_PRESETS
from candor.recipe.recipe import (
    deep_merge,
    dump,
    find_recipe,
    load_recipe,
    load_run_recipe,
    recipe_from,
    resolve_arms,
    to_yaml,
)
from candor.recipe.reward import PRESETS as REWARD_PRESETS

VALUES: dict[str, Any] = {
    "name": "small",
    "model": {"name": "sandbox"},
    "data": {"sources": {"wiki": {"kind": "sandbox"}}, "train": {"wiki": 8}, "validation": {"wiki": 4}},
}
TWO_SOURCES = {
    **VALUES,
    "data": {
        "sources": {"wiki": {"kind": "sandbox"}, "climate": {"kind": "sandbox"}},
        "train": {"wiki": 8, "climate": 8},
        "validation": {"wiki": 4},
    },
}
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def _file(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


SMALL = "name: small\nmodel: {name: sandbox}\ndata: {sources: {wiki: {kind: sandbox}}}\n"


# ------------------------------------------------------------------------------------------------------ strictness


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", r"unknown key train\.stepz; did you mean steps\?"),
        ("trian={}", r"unknown key trian; did you mean train\?"),
        ("train.optimiser.learningrate=1", r"train\.optimiser\.learningrate; did you mean learning_rate\?"),
        ("model.lora.rnak=4", r"unknown key model\.lora\.rnak; did you mean rank\?"),
        ("data.sources.wiki.domian=wiki", r"unknown key data\.sources\.wiki.*\.domian; did you mean domain\?"),
        ("train.unlabelled={source: [x]}", r"unknown key train\.unlabelled\.source; did you mean sources\?"),
        ("reward.qqqqq=1", r"unknown key reward\.qqqqq; known here: .*calibration"),
        ("train.steps=-1", r"train\.steps: input should be greater than or equal to 0, not -1"),
        ("train.steps=twenty", r"train\.steps: input should be a valid integer.*'twenty'"),
        ("train.steps=2.5", r"train\.steps: .*integer"),
        ("train.steps='3'", r"train\.steps: .*integer"),
        ("sampling.temperature=0", r"sampling\.temperature: .*greater than 0"),
        ("sampling.temperature=.nan", r"sampling\.temperature: .*finite"),
        ("train.optimiser.learning_rate=2", r"less than or equal to 1, not 2"),
        ("engine.adam_betas=[0.9, 1.0]", r"engine\.adam_betas\.1: .*less than 1"),
        ("prompt.template=verdict-reasoned", r"asks for reasoning first.*sampling\.reasoning_tokens"),
        ("reward.correct=-3", r"wrong.*more than correct"),
        ("reward.preset=papr", r"reward\.preset: .*'paper', 'rlcr', 'candor', .*'rewarding-doubt' or 'truthful'"),
        ("objective.log_gold=1000", r"objective\.log_gold: .*less than or equal to 100"),
        ("prompt.template=verdikt", r"prompt\.template: .*there are: verdict"),
        ("seeds=[1, 1]", r"seeds: .*different"),
        ("seeds=[-1]", r"seeds: .*at least 0"),
        ("seeds=[]", r"seeds: .*at least 1"),
        ("name=../up", r"name: "),
        ("train.patience=2", r"train\.patience: needs train\.validate_every"),
        ("train.updates_per_batch=2", r"what is enumerated is exact for one update only"),
        ("train.unlabelled={sources: [wikki]}", r"train\.unlabelled\.sources: wikki: not under data\.train"),
        ("train.unlabelled={sources: []}", r"train\.unlabelled\.sources: .*at least 1"),
        ("objective={kind: sampled, log_valid: 1}", r"log_valid.*no effect with kind=sampled"),
        (
            "objective={credit: whole, confidence_entropy: 0}",
            r"confidence_entropy: no effect with .*whole; leave it out",
        ),
        ("objective={credit: whole, log_golt: 1}", r"unknown key objective\.log_golt; did you mean log_gold\?"),
        ("stages=[base, fly]", r"stages\.1: .*'data'"),
        ("reward=5", r"reward: .*not 5"),
        ("arms={a: {reward: 5}}", r"reward"),
        ("data.train.wikki=5", r"train\.wikki: no source has that name; did you mean 'wiki'"),
    ],
)
def test_a_wrong_value_names_its_place_and_what_would_be_right(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        recipe_from(VALUES, [override], place="r.yaml")
    assert str(caught.value).startswith("r.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_probe_of_hidden_states_needs_an_engine_that_shows_them() -> None:
    probed = ["objective={preset: probe-distilled}", "data.validation={wiki: 9}"]
    recipe_from(VALUES, probed)
    with pytest.raises(RecipeError, match=r"taught_confidence: probe: needs examples .* under data\.validation"):
        recipe_from(VALUES, [probed[0], "data.validation={wiki: 0}"])
    with pytest.raises(RecipeError, match=r"probe reads hidden states, so set engine\.kind: local"):
        recipe_from(VALUES, [*probed, "engine={kind: tinker}"])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(RecipeError, match=r"model is missing; data is missing"):
        recipe_from({"name": "x"})


@pytest.mark.parametrize("override", ["train.steps", "=3", "train..steps=3", ".x=1", "train.steps=[1"])
def test_an_override_that_is_none_is_refused(override: str) -> None:
    with pytest.raises(RecipeError, match="-o "):
        recipe_from(VALUES, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds none"),
        ("- a\n", "holds none"),
        ("name: [\n", "not readable as YAML"),
        ("name: a\nname: b\n", "'name' is given twice"),
        (SMALL + "train: {steps: 1, steps: 2}\n", "'steps' is given twice"),
        ("name: {{ name }}\n", "not readable as YAML"),
    ],
)
def test_files_that_are_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(_file(tmp_path, text))
    assert "recipe.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    _file(tmp_path, SMALL)
    with pytest.raises(RecipeError, match=r"no such recipe file; did you mean .*recipe\.yaml"):
        load_recipe(tmp_path / "recipes.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecipeError, match="not readable"):
        load_recipe(tmp_path / "binary.yaml")


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "1.e-3", "0.001", "+1e-3"])
def test_numbers_are_read_as_people_write_them(tmp_path: Path, text: str) -> None:
    path = _file(tmp_path, SMALL + f"train: {{optimiser: {{learning_rate: {text}}}}}\n")
    assert load_recipe(path).train.optimiser.learning_rate == 0.001
    assert (
        load_recipe(_file(tmp_path, SMALL), [f"train.optimiser.learning_rate={text}"]).train.optimiser.learning_rate
        == 0.001
    )


# -------------------------------------------------------------------------------------------- overrides and presets


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    plain = dump(recipe_from(VALUES))
    changed = dump(recipe_from(VALUES, ["train.steps=20", "seeds=[1, 2]", "model.lora.rank=4"]))
    assert changed["train"].pop("steps") == 20
    assert changed.pop("seeds") == [1, 2]
    assert changed["model"]["lora"].pop("rank") == 4
    del plain["train"]["steps"], plain["seeds"], plain["model"]["lora"]["rank"]
    assert changed == plain
    assert recipe_from(VALUES, ["train.steps=1", "train.steps=2"]).train.steps == 2


def test_naming_a_preset_starts_its_part_afresh() -> None:
    values = {**VALUES, "reward": {"preset": "paper", "calibration": 7.0}}
    assert recipe_from(values, ["reward.alignment=3"]).reward.calibration == 7.0
    reset = recipe_from(values, ["reward.preset=rlcr"]).reward
    assert reset.model_dump() == {"preset": "rlcr", "own": [], **REWARD_PRESETS["rlcr"]}
    both = recipe_from(values, ["reward.preset=rlcr", "reward.format=2"]).reward
    assert both.format == 2.0
    assert both.calibration == REWARD_PRESETS["rlcr"]["calibration"]
    objective = recipe_from(VALUES, ["objective.preset=paper"]).objective
    assert {k: v for k, v in objective.model_dump().items() if k in OBJECTIVE_PRESETS["paper"]} == OBJECTIVE_PRESETS[
        "paper"
    ]


def test_preset_can_be_reset_by_an_override_of_a_saved_recipe(tmp_path: Path) -> None:
    path = _file(tmp_path, to_yaml(recipe_from({**VALUES, "reward": {"preset": "paper"}})))
    assert load_recipe(path, ["reward.preset=candor"]).reward.model_dump() == {
        "preset": "candor",
        "own": [],
        **REWARD_PRESETS["candor"],
    }


# ------------------------------------------------------------------------------------------------------------ arms


def test_arms_are_recipes_of_their_own() -> None:
    values = {
        **VALUES,
        "reward": {"calibration": 7.0},
        "arms": {
            "paper": {"reward": {"preset": "paper"}, "objective": {"preset": "paper"}},
            "long": {"train": {"steps": 500}},
        },
    }
    recipe = recipe_from(values, ["sampling.group_size=4"])
    arms = resolve_arms(recipe)
    assert list(arms) == ["paper", "long"]
    assert [arm.name for arm in arms.values()] == ["small-paper", "small-long"]
    assert arms["paper"].reward.model_dump() == {"preset": "paper", "own": [], **REWARD_PRESETS["paper"]}
    assert arms["paper"].objective.kind == "sampled"
    assert arms["long"].reward.calibration == 7.0
    assert arms["long"].train.steps == 500
    assert all(arm.sampling.group_size == 4 and not arm.arms for arm in arms.values())
    assert resolve_arms(recipe_from(VALUES)) == {"": recipe_from(VALUES)}


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"a": {"train": {"stepz": 1}}}, r"arms\.a: unknown key train\.stepz; did you mean steps"),
        ({"a b": {}}, r"arms\.a b: the name of an arm"),
        ({"a": {"arms": {}}}, r"arms\.a: an arm cannot have arms"),
        ({"a": None}, r"arms\.a: .*dictionary"),
        ({"a": {"reward": {"preset": "nope"}}}, r"arms\.a: reward\.preset"),
    ],
)
def test_wrong_arms_are_named(arms: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_from({**VALUES, "arms": arms})


# ------------------------------------------------------------------------------------------------- saved and found


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_resolved_recipe_loads_back_equal(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    assert load_recipe(_file(tmp_path, to_yaml(recipe))) == recipe
    for arm in resolve_arms(recipe).values():
        assert load_recipe(_file(tmp_path, to_yaml(arm))) == arm


def test_recipes_of_the_study_hold_its_values() -> None:
    fever = load_recipe(find_recipe("paper-fever"))
    assert (fever.model.name, fever.model.lora.rank) == ("openai/gpt-oss-20b", 32)
    assert (fever.train.steps, fever.train.prompts_per_step, fever.sampling.group_size) == (160, 32, 8)
    assert (fever.sampling.temperature, fever.train.optimiser.learning_rate) == (0.2, 2e-6)
    assert fever.reward.model_dump() == {"preset": "paper", "own": [], **REWARD_PRESETS["paper"]}
    assert (fever.objective.kind, fever.objective.divide_by_std, fever.objective.kl) == ("sampled", True, 0.0)
    assert load_recipe(find_recipe("paper-mixed")).name == "paper-mixed"
    assert (fever.train.validate_every, fever.train.patience) == (0, 0)  # the study did not stop by validation


def test_an_unknown_name_lists_the_recipes_there_are() -> None:
    with pytest.raises(RecipeError, match=r"no-such: no such recipe.*recipes by name: .*demo"):
        find_recipe("no-such")
    assert find_recipe(str(RECIPES[0])) == RECIPES[0]


def test_merging_leaves_its_arguments_alone() -> None:
    base, over = {"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]}
    assert deep_merge(base, over) == {"a": {"b": 1, "d": 2}, "c": [2]}
    assert base == {"a": {"b": 1}, "c": [1]}


@pytest.mark.parametrize(
    "override",
    [
        "objective={preset: paper}",
        "reward={alignment: 0}",
        "objective={preset: candor, credit: whole}",
        "objective={preset: candor, confidence_weight: 0}",
    ],
)
def test_unlabelled_prompts_need_something_to_learn(override: str) -> None:
    with pytest.raises(RecipeError, match=r"train\.unlabelled: nothing to learn without labels"):
        recipe_from(TWO_SOURCES, [override, "train.unlabelled={sources: [climate]}"])


def test_a_source_is_used_with_its_labels_or_without() -> None:
    recipe = recipe_from(TWO_SOURCES, ["train.unlabelled={sources: [climate]}"])
    assert recipe.trained_on() == ["wiki"]
    assert recipe.unlabelled() == ["climate"]
    for sources, message in (
        ("sources: [wiki, climate], unlabelled: {sources: [climate]}", "climate: the labels of these are used too"),
        ("unlabelled: {sources: [wiki, climate]}", "wiki, climate: the labels of these are all there are"),
    ):
        with pytest.raises(RecipeError, match=rf"train\.unlabelled\.sources: {message}"):
            recipe_from(TWO_SOURCES, [f"train={{{sources}}}"])


@pytest.mark.parametrize(("preset", "behind"), [("paper", 0), ("candor-sampled", len("\nCONF=0.00") + 1)])
def test_a_late_label_leaves_room_for_every_confidence(tmp_path: Path, preset: str, behind: int) -> None:
    save_toy_model(tmp_path / "model")
    recipe = toy_recipe(
        tmp_path / "model",
        f"objective={{preset: {preset}}}",
        "sampling.max_new_tokens=100",
        "evaluation.max_new_tokens=50",
    )
    grammar = answer_grammar(templates.get("sandbox"), byte_tokenizer())
    assert recipe.answer_room(grammar) == 100 + behind


@pytest.mark.parametrize("text", ["a: " + "[" * 5_000, "a: " + "{b: " * 5_000, "[" * 5_000 + "]" * 5_000])
def test_yaml_nested_too_deeply_is_an_error_that_names_the_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"deep\.yaml: not readable as YAML: nested too deeply"):
        load_recipe(tmp_path / "deep.yaml")
    with pytest.raises(RecipeError, match="the value is not YAML: nested too deeply"):
        recipe_from(VALUES, [f"train.steps={'[' * 5_000}"])


def test_a_source_that_leads_out_of_the_run_folder_is_named() -> None:
    sources = {"../../x": {"kind": "sandbox", "domain": "wiki"}}
    with pytest.raises(RecipeError, match=r"data.sources: '../../x': files are named after a source"):
        recipe_from({**VALUES, "data": {"sources": sources}})


def test_a_run_of_an_earlier_version_is_read_without_what_had_no_effect(tmp_path: Path) -> None:
    """Such versions wrote out every value, also those that they refused to be anything but neutral."""
    whole = {
        "confidence_weight": 1.0,
        "confidence_labels": "emitted",
        "confidence": "sampled",
        "confidence_entropy": 0.0,
    }
    written = {**dump(recipe_from({**VALUES, "objective": {"preset": "paper"}})), "arms": {}}
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml.safe_dump({**written, "objective": {**written["objective"], **whole, "ends": "all", "log_valid": 0.0}})
    )
    assert load_run_recipe(path) == recipe_from(written)
    with pytest.raises(RecipeError, match="no effect with kind=sampled and credit=whole; leave them out"):
        load_recipe(path)
    path.write_text(yaml.safe_dump({**written, "objective": {"kind": "both"}}))
    with pytest.raises(
        RecipeError, match=r"recipe\.yaml: objective: kind: 'both' is none of sampled, enumerated, supervised"
    ):
        load_run_recipe(path)
