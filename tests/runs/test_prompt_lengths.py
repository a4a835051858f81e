from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy import byte_tokenizer, save_toy_model, toy_recipe

from candor.data.audit import audit
from candor.engines.local.engine import LocalEngine
from candor.errors import ModelError, PromptError
from candor.prompts import templates
from candor.prompts.encoding import encode
from candor.recipe.recipe import Recipe, dump
from candor.runs import prompt_lengths
from candor.runs.prompt_lengths import meter_of_model, meter_of_recipe
from candor.types import Example, Label


def example(number: int, *evidence: str, claim: str = "A claim.") -> Example:
    return Example(str(number), "d", claim, evidence, Label.NA, f"g{number}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer of bytes, without any model beside it."""
    byte_tokenizer().save_pretrained(str(tmp_path / "bytes"))
    return tmp_path / "bytes"


def test_prompts_are_measured_in_the_models_tokens(folder: Path) -> None:
    meter = meter_of_model(str(folder), template="sandbox", max_length=200)
    prompt = templates.get("sandbox").render(example(0, "Ünder."))
    assert meter.count(example(0, "Ünder.")) == len(prompt.encode())
    assert meter.notes() == {"model": str(folder), "template": "sandbox", "max_length": 200, "answer_room": 32}
    assert meter.max_tokens == 200 - 32


def test_what_is_cut_is_what_a_run_would_cut(folder: Path) -> None:
    meter = meter_of_model(str(folder), template="sandbox", max_length=200)
    assert meter.max_tokens is not None
    made = [
        example(0, "Short."),
        example(1, "x" * 60, "y" * 60, "z"),
        example(2, "x" * 200),
        example(3, claim="c" * 170),
        example(4, "x", claim="c" * 170),
    ]
    result = audit({"all": {"d": made}}, count_tokens=meter.count, max_length=meter.max_tokens, prompt=meter.notes())
    tokens = result["datasets"]["d"]["prompt_tokens"]
    dropped = 0
    for fitting in made[:3]:
        encoded = encode(meter.template, fitting, meter.tokenizer, max_tokens=meter.max_tokens)
        dropped += encoded.evidence_dropped + (encoded.evidence_cut > 0)
    for never in made[3:]:
        with pytest.raises(PromptError):
            encode(meter.template, never, meter.tokenizer, max_tokens=meter.max_tokens)
    assert dropped == 2
    assert (tokens["too_long"], tokens["sentences_cut"], tokens["never_fit"]) == (4, 2, 2)
    assert any(
        "2 of 5 prompts are longer than 168 tokens; evidence sentences at their ends would be cut, 2 in" in w
        for w in result["warnings"]
    )
    assert any("2 of 5 prompts are longer than 168 tokens even without any" in w for w in result["warnings"])
    json.dumps(result, allow_nan=False)


def test_without_any_limit_nothing_is_said_to_fit(folder: Path) -> None:
    meter = meter_of_model(str(folder), template="sandbox")
    assert meter.max_tokens is None
    result = audit({"all": {"d": [example(0, "E")]}}, count_tokens=meter.count, max_length=None, prompt=meter.notes())
    assert result["datasets"]["d"]["prompt_tokens"]["too_long"] is None


def test_a_recipe_is_measured_as_its_run_measures(tmp_path: Path) -> None:
    recipe = toy_recipe(save_toy_model(tmp_path / "model"))
    engine = LocalEngine.from_config(recipe.model, recipe.engine)
    alone = meter_of_recipe(recipe)
    in_a_run = meter_of_recipe(recipe, engine.tokenizer, engine.max_length)
    assert alone.notes() == in_a_run.notes()
    assert alone.count(example(0, "E")) == in_a_run.count(example(0, "E"))
    shorter = Recipe.model_validate(dump(recipe) | {"model": dump(recipe)["model"] | {"max_length": 100}})
    assert meter_of_recipe(shorter).max_length == 100


def test_the_sandbox_needs_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path))
    meter = meter_of_model("sandbox", template="sandbox")
    assert meter.count(example(0, "One two.")) > 10
    assert meter.max_length == prompt_lengths.SANDBOX_LENGTH
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_lengths, "hub_trouble", lambda: "ConnectionError")
    with pytest.raises(ModelError, match=r"no tokenizer 'no/such'.* cannot be reached \(ConnectionError\)"):
        meter_of_model("no/such", template="verdict")


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no tokenizer"):
        meter_of_model(str(tmp_path), template="verdict")
