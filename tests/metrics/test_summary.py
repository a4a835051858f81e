"""All figures of one file, and how often the answer is the probe's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from candor.metrics.names import PROBED, STATED
from candor.metrics.shares import certain_share_interval, clustered_share
from candor.metrics.summary import agreement, summary
from candor.metrics.views import View
from candor.types import LABELS, Label, Prediction, Validity


def answer(number: int, gold: Label, label: Label | None, *, probed: bool = True) -> Prediction:
    return Prediction(
        id=str(number),
        dataset="d",
        group=str(number // 2),
        claim="C",
        evidence=(),
        gold=gold,
        raw="",
        label=label,
        confidence=None if label is None else 0.8,
        validity=Validity.NONE if label is None else Validity.CLEAN,
        label_probs=(0.6, 0.3, 0.1) if probed else None,
    )


def answers(*, probed: bool = True) -> list[Prediction]:
    return [answer(n, LABELS[n % 3], [Label.PASS, Label.FAIL, None][n % 4 % 3], probed=probed) for n in range(24)]


def test_every_name_has_a_figure_and_the_probes_only_where_all_are_probed() -> None:
    found = summary(answers(), resamples=20)
    assert set(found) == {*STATED, *PROBED, "probe_agreement"}
    assert set(summary(answers(probed=False), resamples=20)) == set(STATED)
    assert set(summary([*answers(), answer(99, Label.NA, Label.NA, probed=False)], resamples=20)) == set(STATED)


def test_figures_are_those_of_the_answers() -> None:
    rows = answers()
    found = summary(rows, resamples=20)
    assert found["accuracy"].value == pytest.approx(np.mean([row.label is row.gold for row in rows]))
    assert found["invalid_rate"].value == pytest.approx(np.mean([row.label is None for row in rows]))
    # The probe always answers PASS.
    assert found["probe_accuracy"].value == pytest.approx(1 / 3)
    assert found["probe_agreement"].value == pytest.approx(np.mean([row.label is Label.PASS for row in rows]))


def test_the_seed_decides_the_intervals_and_nothing_else() -> None:
    one, again, other = (summary(answers(), resamples=50, seed=seed) for seed in (1, 1, 2))
    assert repr(one) == repr(again)
    assert one["brier"].value == other["brier"].value
    assert one["brier"].interval != other["brier"].interval
    # A share's interval is computed, not drawn.
    assert one["accuracy"] == other["accuracy"]


def test_no_answers_have_no_figures_but_a_reason() -> None:
    found = summary([], resamples=5)
    assert all(math.isnan(figure.value) and figure.reason for figure in found.values())


def view(labels: list[int], groups: list[int]) -> View:
    return View(np.zeros(len(labels), dtype=np.int64), np.array(labels), np.full(len(labels), 0.5), np.array(groups))


def test_agreement_that_is_certain_counts_groups() -> None:
    groups = [0, 0, 1, 1, 2, 2]
    found = agreement(view([0] * 6, groups), view([0] * 6, groups))
    assert (found.value, found.n) == (1.0, 6)
    assert found.interval == certain_share_interval(1.0, 3)


def test_agreement_is_judged_by_group() -> None:
    # Either a whole group agrees or none of it, so four answers say less than four of their own.
    found = agreement(view([0, 0, 0, 0], [0, 0, 1, 1]), view([0, 0, 1, 1], [0, 0, 1, 1]))
    alone = clustered_share([1, 1, 0, 0], np.arange(4)).interval
    assert found.value == 0.5
    assert found.interval is not None
    assert alone is not None
    assert found.interval[0] < alone[0]
    assert found.interval[1] > alone[1]
    none = agreement(view([], []), view([], []))
    assert (none.n, none.reason) == (0, "there are no answers")
