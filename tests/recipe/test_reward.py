"""The reward's presets are complete, and being wrong never pays."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from candor.recipe.reward import PRESETS, RewardConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_give_every_term(preset: str) -> None:
    assert set(PRESETS[preset]) == set(RewardConfig.model_fields) - {"preset", "own"}
    assert RewardConfig.model_validate({"preset": preset}).model_dump() == {
        "preset": preset,
        "own": [],
        **PRESETS[preset],
    }


def test_ours_is_made_of_proper_scores_alone() -> None:
    ours = RewardConfig.model_validate({})
    assert ours.preset == "candor"
    # Neither of the two terms moves the best answer away from the likeliest label, nor the confidence from its chance.
    assert ours.false_na == ours.consistency == ours.shaping == 0.0
    assert ours.alignment_form == "quadratic"


def test_a_wrong_label_may_earn_as_much_as_a_right_one_but_not_more() -> None:
    assert RewardConfig.model_validate({"correct": 1.0, "wrong": 1.0}).wrong == 1.0
    with pytest.raises(ValidationError, match=r"wrong: 1.5 is more than correct \(1\), so that being wrong would pay"):
        RewardConfig.model_validate({"correct": 1.0, "wrong": 1.5})


@pytest.mark.parametrize("term", ["shaping", "calibration", "alignment", "false_na", "consistency", "format"])
def test_costs_are_not_negative(term: str) -> None:
    with pytest.raises(ValidationError, match=term):
        RewardConfig.model_validate({term: -0.1})


def test_the_warm_up_is_in_whole_steps() -> None:
    with pytest.raises(ValidationError, match="warmup_steps"):
        RewardConfig.model_validate({"warmup_steps": 1.5})
