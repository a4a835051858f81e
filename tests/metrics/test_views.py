"""Predictions as arrays: stated, probed, and the best there is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from candor.metrics.views import NO_LABEL, bayes_view, probed_view, stated_view
from candor.types import Label, Prediction, Validity

ROW = Prediction(
    id="1",
    dataset="d",
    group="a",
    claim="C",
    evidence=(),
    gold=Label.FAIL,
    raw="",
    label=Label.NA,
    confidence=0.75,
    validity=Validity.CLEAN,
    label_probs=(0.2, 0.7, 0.1),
    posterior=(0.1, 0.1, 0.8),
)


def test_the_answer_as_stated() -> None:
    rows = [
        ROW,
        dataclasses.replace(ROW, group="b", label=Label.FAIL, confidence=None),
        dataclasses.replace(ROW, label=None, confidence=0.9),
    ]
    view = stated_view(rows)
    assert view.gold_N.tolist() == [1, 1, 1]
    assert view.label_N.tolist() == [2, 1, NO_LABEL]
    # A confidence in no label is none.
    assert view.usable.tolist() == [True, False, False]
    assert view.confidence_N[0] == 0.75
    assert view.correct.tolist() == [False, True, False]
    assert view.group_N.tolist() == [0, 1, 0]


def test_probe_and_posterior_answer_their_likeliest_label() -> None:
    probed, bayes = probed_view([ROW]), bayes_view([ROW])
    assert probed is not None
    assert bayes is not None
    assert (probed.label_N[0], probed.confidence_N[0]) == (1, 0.7)
    assert (bayes.label_N[0], bayes.confidence_N[0]) == (2, 0.8)
    above = probed_view([dataclasses.replace(ROW, label_probs=(1.0 + 1e-9, 0.0, 0.0))])
    assert above is not None
    assert above.confidence_N[0] == 1.0


def test_one_row_without_is_enough_for_none() -> None:
    assert probed_view([ROW, dataclasses.replace(ROW, label_probs=None)]) is None
    assert bayes_view([ROW, dataclasses.replace(ROW, posterior=None)]) is None
    assert probed_view([]) is bayes_view([]) is None


@pytest.mark.parametrize("rows", [np.array([1, 0]), np.array([1])])
def test_rows_are_taken_in_the_order_asked_for(rows: np.ndarray) -> None:
    view = stated_view([ROW, dataclasses.replace(ROW, gold=Label.NA, group="b")])
    taken = view.take(rows)
    assert taken.gold_N.tolist() == [view.gold_N[row] for row in rows]
    assert taken.group_N.tolist() == rows.tolist()


def test_no_answers_are_arrays_of_nothing() -> None:
    view = stated_view([])
    assert view.gold_N.size == view.confidence_N.size == view.correct.size == 0
