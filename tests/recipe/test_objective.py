"""The objective's part of a recipe: presets, shapes, and values that would have no effect."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from candor.recipe.objective import (
    PRESETS,
    EnumeratedSplit,
    EnumeratedWhole,
    SampledExpected,
    SampledSplit,
    SampledWhole,
    SupervisedConstant,
    SupervisedCrossFitted,
    SupervisedDrawn,
    SupervisedProbe,
    objective_config,
    without_idle,
)

SHAPES: list[tuple[dict[str, Any], type]] = [
    ({}, EnumeratedSplit),
    ({"preset": "paper"}, SampledWhole),
    ({"preset": "rlcr"}, SampledWhole),
    ({"preset": "candor", "credit": "whole"}, EnumeratedWhole),
    ({"preset": "candor", "kind": "sampled"}, SampledSplit),
    ({"preset": "candor", "kind": "sampled", "credit": "whole"}, SampledWhole),
    ({"preset": "candor", "kind": "sampled", "confidence": "enumerated"}, SampledExpected),
    ({"preset": "candor-sampled"}, SampledExpected),
    ({"preset": "candor-sampled", "kind": "enumerated"}, EnumeratedSplit),
    ({"preset": "sft"}, SupervisedConstant),
    ({"preset": "sft", "taught_confidence": "drawn"}, SupervisedDrawn),
    ({"preset": "sft", "taught_confidence": "cross_fitted"}, SupervisedCrossFitted),
    ({"preset": "probe-distilled"}, SupervisedProbe),
]


@pytest.mark.parametrize("preset", [name for name in PRESETS if PRESETS[name]["kind"] != "supervised"])
def test_presets_fill_in_and_values_win(preset: str) -> None:
    config = objective_config({"preset": preset})
    acting = {name: value for name, value in PRESETS[preset].items() if name in type(config).model_fields}
    assert {name: getattr(config, name) for name in acting} == acting
    assert len(acting) >= 5
    assert objective_config({"preset": preset, "kl": 0.5}).kl == 0.5


@pytest.mark.parametrize(("values", "shape"), SHAPES, ids=str)
def test_a_shape_has_the_values_that_act_in_it_and_reads_back_what_it_writes(
    values: dict[str, Any], shape: type
) -> None:
    config = objective_config(values)
    assert type(config) is shape
    assert objective_config(config.model_dump(mode="json")) == config


def test_what_is_shown_states_a_confidence_that_is_written_down() -> None:
    assert objective_config({"preset": "sft"}).model_dump() == {"preset": "sft", "label_weight": 1.0, **PRESETS["sft"]}
    fitted = objective_config({"preset": "sft", "taught_confidence": "cross_fitted", "folds": 3})
    assert fitted.model_dump() == {
        "preset": "sft",
        "kind": "supervised",
        "taught_confidence": "cross_fitted",
        "label_weight": 1.0,
        "folds": 3,
    }


def test_the_study_has_no_extras() -> None:
    paper = objective_config({"preset": "paper"})
    assert isinstance(paper, SampledWhole)
    assert paper.divide_by_std
    assert paper.kl == paper.log_gold == 0.0
    assert set(paper.model_dump()) == {"preset", "kind", "credit", "divide_by_std", "log_gold", "kl"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"preset": "paper", "log_valid": 1.0}, "log_valid"),
        ({"preset": "paper", "confidence_labels": "all"}, "confidence_labels"),
        ({"preset": "paper", "confidence_entropy": 0.1}, "confidence_entropy"),
        ({"preset": "paper", "confidence": "enumerated"}, "confidence"),
        ({"preset": "paper", "ends": 4}, "ends"),
        ({"preset": "candor", "confidence": "enumerated"}, "confidence"),
        ({"preset": "candor", "clip": 0.1}, "clip"),
        ({"preset": "candor", "credit": "whole", "confidence_entropy": 0}, "confidence_entropy"),
        ({"preset": "candor", "kind": "sampled", "ends": 4}, "ends"),
        ({"preset": "candor-sampled", "log_valid": 0.0}, "log_valid"),
        ({"preset": "paper", "confidence_weight": 1}, "confidence_weight"),
    ],
)
def test_values_without_effect_cannot_be_written(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=f"{named}: no effect with kind=.* and credit=.*; leave it out"):
        objective_config(values)


def test_what_earlier_versions_wrote_out_is_left_out() -> None:
    written = {"preset": "paper", "kind": "sampled", "credit": "whole", "clip": 0.2, "log_valid": 1.0, "kl": 0.5}
    assert without_idle(written) == {"preset": "paper", "kind": "sampled", "credit": "whole", "kl": 0.5}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"preset": "papr"}, "preset: 'papr' is none of paper, candor"),
        ({"kind": "both"}, "kind: 'both' is none of sampled, enumerated, supervised"),
        ({"preset": "sft", "kl": 0.1}, "kl: no effect with kind=supervised and taught_confidence=constant"),
        (
            {"preset": "sft", "taught_confidence": "drawn", "constant_confidence": 0.5},
            "constant_confidence: no effect with kind=supervised and taught_confidence=drawn",
        ),
        ({"preset": "sft", "taught_confidence": "felt"}, "'felt' is none of constant, drawn, cross_fitted"),
        ({"preset": "sft", "constant_confidence": 1.5}, "less than or equal to 1"),
        ({"credit": "none"}, "credit: 'none' is neither whole nor split"),
        ({"kind": "sampled", "confidence": "guessed"}, "confidence: 'guessed' is neither sampled nor enumerated"),
    ],
)
def test_what_tells_the_shapes_apart_is_one_of_two(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        objective_config(values)
