"""The rule for accepting answers: written and read back, and chosen on a run's own validation answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from candor.errors import RunError
from candor.metrics.threshold import Choice
from candor.predictions.file import Header, write_predictions
from candor.recipe.recipe import Recipe, recipe_from
from candor.run_folder import RunFolder
from candor.types import Label, Prediction, Validity
from candor.verifier.abstention import Abstention, choose_abstention

RULE = Abstention(0.1, 0.9, ("wiki", "climate"), Choice(0.8, 100, 60, 2, 0.09, None))
ANSWER = Prediction("1", "wiki", "g", "C", (), Label.NA, "", Label.NA, 0.9, Validity.CLEAN)
HEADER = Header("m", "verdict", "ab" * 32, "wiki", "validation", 0)


def test_what_an_earlier_version_wrote_accepts_nothing() -> None:
    old = {"risk": 0.1, "confidence": 0.9, "sources": ["wiki"], "choice": RULE.as_json()["choice"]}
    rule = Abstention.from_json(old)
    assert (rule.choice.threshold, rule.split) == (None, "validation")
    assert "export the run again" in rule.promise
    assert not rule.accepts(1.0, 1.0)


def test_the_promise_names_its_claims_and_its_end() -> None:
    assert RULE.promise == (
        "Answers with a confidence of 0.80 or more are accepted. With 0.9 certainty at most 0.1 of those accepted are "
        "wrong, on claims like the calibration examples of wiki, climate (100 of them, one of each group). On other "
        "claims nothing is promised."
    )
    weighted = replace(RULE, weighted_to=40, split="validation").promise
    assert "claims like the 40 it was weighted to, as far as their differences from the validation examples" in weighted
    assert RULE.as_json()["promise"] == RULE.promise


def test_a_rule_survives_json() -> None:
    assert Abstention.from_json(json.loads(json.dumps(RULE.as_json()))) == RULE


@pytest.mark.parametrize(
    ("confidence", "mass", "accepted"), [(0.8, 1.0, True), (0.79, 1.0, False), (1.0, 0.4, False), (1.0, 0.5, True)]
)
def test_an_answer_must_be_sure_and_likely_at_all(confidence: float, mass: float, accepted: bool) -> None:
    assert RULE.accepts(confidence, mass) is accepted


def test_without_a_threshold_nothing_is_accepted() -> None:
    rule = replace(RULE, choice=Choice(None, 5, 0, 0, None, "too few"))
    assert not rule.accepts(1.0, 1.0)


def recipe(*overrides: str) -> Recipe:
    values = {
        "name": "r",
        "model": {"name": "sandbox"},
        "data": {
            "sources": {"wiki": {"kind": "sandbox"}, "climate": {"kind": "sandbox"}},
            "train": {"wiki": 8},
            "validation": {"wiki": 4, "climate": 4},
        },
    }
    return recipe_from(values, overrides)


def run(folder: Path, **confidences: list[float]) -> Path:
    """A run with validation answers, all of them right."""
    for source, values in confidences.items():
        path = RunFolder(folder).predictions("trained", "validation", source)
        rows = [replace(ANSWER, id=str(n), group=f"{source}-{n}", confidence=value) for n, value in enumerate(values)]
        write_predictions(path, HEADER, rows)
    return folder


def test_it_is_chosen_on_what_was_trained_on_unless_told(tmp_path: Path) -> None:
    folder = run(tmp_path, wiki=[0.9] * 40, climate=[0.7] * 40)
    rule = choose_abstention(folder, recipe())
    assert rule is not None
    assert (rule.sources, rule.choice.threshold, rule.choice.n) == (("wiki",), 0.9, 40)
    assert (rule.risk, rule.confidence) == (0.1, 0.9)
    both = choose_abstention(folder, recipe("evaluation.threshold_risk=0.2"), sources=["climate", "wiki"])
    assert both is not None
    assert (both.sources, both.choice.threshold, both.choice.n, both.risk) == (("wiki", "climate"), 0.7, 80, 0.2)
    json.dumps(both.as_json())


def test_a_risk_of_ones_own_comes_before_the_recipes(tmp_path: Path) -> None:
    rule = choose_abstention(run(tmp_path, wiki=[0.9] * 40), recipe(), risk=0.01)
    assert rule is not None
    assert rule.risk == 0.01
    assert rule.choice.threshold is None
    assert rule.choice.reason is not None
    assert rule.choice.reason.startswith("needs at least 230 answers of different groups")


def test_a_run_without_validation_answers_has_no_rule(tmp_path: Path) -> None:
    assert choose_abstention(tmp_path, recipe()) is None
    # Answers of a source that was not trained on are taken only if they are named.
    assert choose_abstention(run(tmp_path, climate=[0.9] * 40), recipe()) is None


@pytest.mark.parametrize("risk", [0.0, 1.0, -0.1, 10.0])
def test_a_risk_is_a_share(risk: float, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not between 0 and 1; 0\.1 means that one accepted answer in ten"):
        choose_abstention(tmp_path, recipe(), risk=risk)


def test_a_validation_set_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no validation answers of 'climate'; there are: none at all"):
        choose_abstention(tmp_path, recipe(), sources=["climate"])
    with pytest.raises(RunError, match="no validation answers of 'wikki'; there are: wiki"):
        choose_abstention(run(tmp_path, wiki=[0.9]), recipe(), sources=["wiki", "wikki"])
