"""What the model card says, word by word where a reader relies on it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from candor.files import read_json
from candor.recipe.recipe import Recipe, recipe_from, to_yaml
from candor.verifier.card import METRICS, model_card

RESULTS = read_json(Path(__file__).parents[1] / "data_files" / "results_run.json")
CHOICE = {"threshold": 0.8, "n": 100, "accepted": 60, "errors": 2, "bound": 0.09, "reason": None}
RULE = {"risk": 0.1, "confidence": 0.9, "sources": ["wiki", "books"], "split": "calibration", "choice": CHOICE}


def recipe(**changes: Any) -> Recipe:
    sources = {"wiki": {"kind": "sandbox"}, "books": {"kind": "sandbox"}}
    data = {"sources": sources, "train": {"wiki": {"PASS": 3, "NA": 4}, "books": 7}}
    return recipe_from({"name": "mine", "model": {"name": "org/base"}, "data": data, **changes})


def about(**changes: Any) -> dict[str, Any]:
    return {"template": "verdict", "merged": False, "abstention": None, **changes}


def test_the_hub_reads_what_the_card_says_of_itself() -> None:
    card = ModelCard(model_card(recipe(), RESULTS, about()))
    assert card.data.base_model == "org/base"
    assert card.data.library_name == "peft"
    assert [(found.dataset_name, found.metric_type, found.metric_value) for found in card.data.eval_results] == [
        (one["dataset"], name, one["metrics"]["trained"][name]["value"])
        for one in RESULTS["comparisons"]
        for name in METRICS
    ]


def test_every_test_set_has_a_row_with_both_models() -> None:
    first, *others = RESULTS["comparisons"]
    card = model_card(recipe(), RESULTS, about())
    _, _, row, *rows = [line for line in card.split("\n") if line.startswith("| ")]
    assert len(rows) == len(others) > 0
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert cells[0] == f"{first['dataset']} (trained on it, n = {first['rows']['used']})"
    assert cells[1] == "0.660 (0.630–0.690) → 0.780 (0.750–0.810)"
    assert len(cells) == 1 + len(METRICS)
    assert "have not been compared" not in card
    assert "have not been compared" in model_card(recipe(), None, about())


def test_words_of_a_person_stay_as_they_are() -> None:
    description = "A {{ 7 * 7 }} <b>& more</b> {% raw %}"
    card = model_card(recipe(description=description), None, about())
    assert f"# mine\n\n{description}\n\nA language model" in card
    assert yaml.safe_load(card.split("```yaml\n")[1].split("```")[0])["description"] == description


@pytest.mark.parametrize("rule", [None, RULE, RULE | {"choice": CHOICE | {"threshold": None, "reason": "too few"}}])
@pytest.mark.parametrize("merged", [True, False])
def test_sections_are_apart_by_one_line(rule: dict[str, Any] | None, merged: bool) -> None:
    card = model_card(recipe(), RESULTS, about(abstention=rule, merged=merged))
    assert "\n\n\n" not in card
    assert card.endswith("prompt.\n")
    headings = [line for line in card.split("\n") if line.startswith("## ")]
    told = ["## When to take an answer"] if rule else []
    assert headings == ["## Use", "## Figures", *told, "## Training", "## Limits"]
    assert all(f"\n\n{heading}\n\n" in card for heading in headings)
    assert ("any runtime loads it" in card) == merged


def test_when_to_take_an_answer() -> None:
    card = model_card(recipe(), None, about(abstention=RULE))
    assert (
        "Answers with a stated confidence of 0.80 or more can be accepted: at most 0.1 of them are wrong on claims "
        "like the calibration examples of wiki, books, with probability 0.9 (60 of 100 answers accepted, one of each "
        "group, 2 of them wrong). On other claims nothing is promised."
    ) in card
    none = RULE | {"choice": CHOICE | {"threshold": None, "reason": "too few"}}
    assert "those of wiki, books: too few. At that risk every" in model_card(recipe(), None, about(abstention=none))


def test_what_it_was_trained_on() -> None:
    card = model_card(recipe(), None, about())
    assert "Trained on wiki (3 PASS 4 NA), books (7) for" in card
    assert "without" not in card.split("## Training")[1].split("<details>")[0]
    both = recipe(train={"unlabelled": {"sources": ["books"], "prompts_per_step": 2}})
    card = model_card(both, None, about())
    assert "Prompts of books were read without their labels." in card
    assert "and on prompts of books without labels; elsewhere it means less" in card
    assert to_yaml(both) in card


def test_only_a_model_of_the_hub_is_named_as_its_base(tmp_path: Path) -> None:
    for name in ("sandbox", str(tmp_path)):
        assert ModelCard(model_card(recipe(model={"name": name}), None, about())).data.base_model is None


def test_what_is_undefined_is_a_dash_and_not_told_to_the_hub() -> None:
    one = copy.deepcopy(RESULTS["comparisons"][0])
    one["metrics"]["trained"]["auroc"] |= {"value": None, "interval": None}
    text = model_card(recipe(), RESULTS | {"comparisons": [one]}, about())
    assert text.count("→ –") == 1
    told = [found.metric_type for found in ModelCard(text).data.eval_results]
    assert sorted(told) == sorted(set(METRICS) - {"auroc"})


def test_the_recipe_in_it_is_the_whole_one() -> None:
    text = model_card(recipe(), None, about())
    assert Recipe.model_validate(yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])) == recipe()


def test_a_model_by_name_is_called_as_the_hub_calls_it_with_its_licence() -> None:
    card = ModelCard(model_card(recipe(model={"name": "smollm2-135m"}), None, about()))
    assert (card.data.base_model, card.data.license) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
    assert 'base, commit = "HuggingFaceTB/SmolLM2-135M-Instruct", "12fd25f77366' in card.text
    gemma = ModelCard(model_card(recipe(model={"name": "gemma3-270m"}), None, about()))
    assert (gemma.data.base_model, gemma.data.license) == ("google/gemma-3-270m", None)
    assert ModelCard(model_card(recipe(model={"name": "sandbox"}), None, about())).data.base_model is None


def test_counts_are_those_that_were_drawn() -> None:
    assert "Trained on wiki (3 PASS 4 NA), books (7)" in model_card(recipe(), None, about())
    assert "Trained on wiki (2 PASS 3 NA), books (7)" in model_card(
        recipe(), None, about(), {"wiki": {"PASS": 2, "NA": 3}}
    )


def _lines(card: str) -> str:
    """The lines of the card that load the model without candor."""
    return next(part.split("```")[0] for part in card.split("```python\n") if "PeftModel" in part)


def test_the_lines_without_candor_are_python_and_ask_as_the_recipe_did() -> None:
    plain = _lines(model_card(recipe(prompt={"chat_template": "none"}), None, about()))
    compile(plain, "card", "exec")
    assert "chat_template" not in plain
    assert "as plain text, without a chat template" in model_card(
        recipe(prompt={"chat_template": "none"}), None, about()
    )
    prompt = {"system": 'Say "so".', "chat_template_kwargs": {"style": "short"}}
    framed = _lines(model_card(recipe(prompt=prompt), None, about()))
    compile(framed, "card", "exec")
    assert '{"role": "system", "content": "Say \\"so\\"."}' in framed
    assert "style='short'" in framed
    for without in (
        model_card(recipe(), None, about(merged=True)),
        model_card(recipe(model={"name": "sandbox"}), None, about()),
    ):
        assert "PeftModel" not in without


def test_figures_are_said_to_be_against_what_training_went_on_from() -> None:
    assert "Base model → this model" in model_card(recipe(), RESULTS, about())
    warmed = recipe(warm_start={"adapter": "smollm2-vitaminc"})
    assert "Warm start → this model" in model_card(warmed, RESULTS, about())
