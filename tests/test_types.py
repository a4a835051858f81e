"""What flows through candor is frozen and is written as plain words."""

from __future__ import annotations

import dataclasses
import json

import pytest

from candor.types import (
    LABEL_NAMES,
    LABEL_NAMES_WITH_DISPUTED,
    LABELS,
    NO_LABEL,
    Example,
    Label,
    Prediction,
    Rollout,
    Validity,
)


def test_labels_stand_in_the_order_of_every_array() -> None:
    assert LABELS == (Label.PASS, Label.FAIL, Label.NA)
    assert set(LABELS) == set(Label)


def test_labels_and_validity_are_written_as_their_words() -> None:
    assert json.dumps([*LABELS, *Validity]) == '["PASS", "FAIL", "NA", "clean", "readable", "none"]'
    assert Label("NA") is Label.NA
    with pytest.raises(ValueError, match="'na' is not a valid Label"):
        Label("na")


def example() -> Example:
    return Example("1", "wiki", "Claim", ("Evidence",), Label.PASS, "group")


def prediction() -> Prediction:
    copied = {"id": "1", "dataset": "wiki", "group": "group", "claim": "Claim", "evidence": ("Evidence",)}
    return Prediction(**copied, gold=Label.PASS, raw="", label=None, confidence=None, validity=Validity.NONE)


@pytest.mark.parametrize(
    ("value", "field"),
    [(example(), "label"), (prediction(), "label"), (Rollout((1,), "a", (0.0,), (0.0,), (0.0,), True), "text")],
)
def test_nothing_is_changed_on_its_way(value: object, field: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, "other")
    with pytest.raises((AttributeError, TypeError)):
        value.something_else = 1  # type: ignore[attr-defined]


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert (example().evidence_source, example().posterior) == ("annotated", None)
    unread = prediction()
    # An answer that cannot be read has no label; it is not taken as NA.
    assert unread.label is None
    assert (unread.label_probs, unread.valid_mass, unread.evidence_dropped, unread.posterior) == (None, None, 0, None)


def test_equal_examples_are_one_in_a_set() -> None:
    assert len({example(), example(), dataclasses.replace(example(), label=Label.NA)}) == 2


def test_every_label_is_called_by_its_own_name() -> None:
    assert {name: LABEL_NAMES[name.casefold()] for name in ("PASS", "FAIL", "NA")} == {
        "PASS": Label.PASS,
        "FAIL": Label.FAIL,
        "NA": Label.NA,
    }
    assert all(name == name.casefold() for name in LABEL_NAMES_WITH_DISPUTED)


def test_disputed_is_a_label_only_where_it_is_asked_for() -> None:
    assert "disputed" not in LABEL_NAMES
    assert LABEL_NAMES_WITH_DISPUTED["disputed"] is Label.NA


def test_no_label_is_the_place_of_none() -> None:
    assert NO_LABEL not in range(len(LABELS))
