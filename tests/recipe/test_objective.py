"""The objective's part of a recipe: presets, and values that would have no effect."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from candor.recipe.objective import PRESETS, ObjectiveConfig


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_fill_in_and_values_win(preset: str) -> None:
    config = ObjectiveConfig.model_validate({"preset": preset})
    assert {name: getattr(config, name) for name in PRESETS[preset]} == PRESETS[preset]
    assert ObjectiveConfig.model_validate({"preset": preset, "kl": 0.5}).kl == 0.5


def test_the_study_has_no_extras() -> None:
    paper = ObjectiveConfig.model_validate({"preset": "paper"})
    assert (paper.kind, paper.divide_by_std, paper.credit) == ("sampled", True, "whole")
    assert paper.kl == paper.log_gold == paper.log_valid == paper.confidence_entropy == 0.0
    assert ObjectiveConfig.model_validate({}).preset == "candor"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"preset": "paper", "log_valid": 1.0}, "log_valid"),
        ({"preset": "paper", "confidence_labels": "all"}, "confidence_labels"),
        ({"preset": "paper", "confidence_entropy": 0.1}, "confidence_entropy"),
        ({"preset": "paper", "confidence": "enumerated"}, "confidence"),
        ({"preset": "paper", "ends": 4}, "ends"),
        ({"preset": "candor", "confidence": "enumerated"}, "confidence"),
        ({"preset": "candor", "credit": "whole"}, "confidence_entropy"),
        ({"preset": "candor", "credit": "whole", "confidence_entropy": 0}, "confidence_weight"),
        ({"preset": "paper", "confidence_weight": 40}, "confidence_weight"),
    ],
)
def test_values_without_effect_are_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=f"{named}.*no effect with kind"):
        ObjectiveConfig.model_validate(values)
