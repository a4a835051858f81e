"""The abstention threshold: exact bounds, and when no confidence carries the guarantee."""

from __future__ import annotations

import importlib.util
import math
import sys
from types import ModuleType

import numpy as np
import pytest
from places import ROOT
from scipy import stats

from candor.comparison.threshold import threshold_side
from candor.metrics.threshold import LEAST_VALID_MASS, SAME, accepts, choose_threshold, one_per_group, risk_bound
from candor.metrics.views import View, stated_view
from candor.types import NO_LABEL, Label, Prediction, Validity
from candor.verifier.abstention import Abstention


def answers(*levels: tuple[float, int, int], missing: int = 0) -> View:
    """So many right and wrong answers at each confidence, and some that cannot be read."""
    confidence = np.concatenate([*(np.full(r + w, level) for level, r, w in levels), np.full(missing, np.nan)])
    label = np.concatenate(
        [*(np.where(np.arange(r + w) < r, 0, 1) for _, r, w in levels), np.full(missing, NO_LABEL)]
    ).astype(np.int64)
    return View(np.zeros(label.size, dtype=np.int64), label, confidence, np.arange(label.size))


@pytest.mark.parametrize(("errors", "accepted"), [(0, 29), (3, 60), (10, 11)])
def test_at_the_bound_so_few_errors_are_just_too_unlikely(errors: int, accepted: int) -> None:
    bound = risk_bound(errors, accepted, 0.95)
    assert stats.binom.cdf(errors, accepted, bound) == pytest.approx(0.05)


def test_where_all_are_wrong_nothing_is_bounded() -> None:
    assert risk_bound(4, 4, 0.95) == 1.0
    assert risk_bound(0, 0, 0.95) == 1.0


def test_the_lowest_confidence_that_keeps_to_the_risk() -> None:
    view = answers((0.9, 60, 0), (0.8, 58, 2), (0.7, 20, 40), missing=7)
    choice = choose_threshold(view, risk=0.1, confidence=0.95)
    assert (choice.threshold, choice.accepted, choice.errors, choice.n) == (0.8, 120, 2, 187)
    assert choice.bound == risk_bound(2, 120, 0.95)
    assert choice.reason is None


def test_the_first_failure_ends_the_search() -> None:
    # All that is .8 or surer fails; .7 would pass, but it was not asked any more.
    view = answers((0.9, 50, 0), (0.8, 30, 20), (0.7, 2000, 0))
    choice = choose_threshold(view, risk=0.1, confidence=0.95)
    assert choice.threshold == 0.9


def test_levels_with_too_few_answers_are_passed_over() -> None:
    # At 10 % and 95 % even errorless answers show nothing below 29 of them.
    view = answers((1.0, 4, 1), (0.9, 300, 0))
    choice = choose_threshold(view, risk=0.1, confidence=0.95)
    assert (choice.threshold, choice.errors) == (0.9, 1)
    assert choose_threshold(answers((0.9, 29, 0)), risk=0.1, confidence=0.95).threshold == 0.9


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        (
            answers((0.9, 28, 0), missing=50),
            "needs at least 29 answers of different groups, each with a confidence; there are 28",
        ),
        (answers((0.9, 20, 20)), "the surest answers that could show a risk of at most 0.1 do not"),
        (answers(missing=3), "needs at least 29 answers of different groups, each with a confidence; there are 0"),
    ],
)
def test_no_threshold_has_a_reason(view: View, reason: str) -> None:
    choice = choose_threshold(view, risk=0.1, confidence=0.95)
    assert (choice.threshold, choice.bound, choice.reason) == (None, None, reason)
    assert choice.n == view.gold_N.size


def _row(index: int, confidence: float | None, mass: float | None, *, right: bool = True) -> Prediction:
    label = None if confidence is None else Label.NA
    gold = Label.NA if right else Label.PASS
    clean = Validity.CLEAN if label else Validity.NONE
    return Prediction(str(index), "toy", str(index), "c", (), gold, "", label, confidence, clean, None, mass)


@pytest.fixture
def rows() -> list[Prediction]:
    """A hundred right and sure answers, and at the same confidence such as the form keeps from being accepted."""
    sure = [_row(index, 0.9, 0.99) for index in range(100)]
    out_of_form = [_row(100 + index, 0.95, LEAST_VALID_MASS - 0.01, right=False) for index in range(20)]
    unread = [_row(120 + index, None, 0.99, right=False) for index in range(5)]
    unsure = [_row(125 + index, 0.4, 0.99, right=index % 2 == 0) for index in range(20)]
    return [*sure, *out_of_form, *unread, *unsure]


def test_what_is_chosen_counts_what_is_accepted(rows: list[Prediction]) -> None:
    choice = choose_threshold(stated_view(rows), risk=0.05, confidence=0.9)
    # Twenty wrong answers that are never accepted are no reason against the threshold.
    assert (choice.threshold, choice.accepted, choice.errors, choice.n) == (0.9, 100, 0, len(rows))


def test_coverage_reported_is_coverage_served(rows: list[Prediction]) -> None:
    view = stated_view(rows)
    choice = choose_threshold(view, risk=0.05, confidence=0.9)
    side = threshold_side(view, choice)
    rule = Abstention(0.05, 0.9, ("toy",), choice)
    served = [r.confidence is not None and rule.accepts(r.confidence, r.valid_mass) for r in rows]
    assert side["coverage"]["value"] == np.mean(served) == 100 / len(rows)
    assert side["risk"]["value"] == 0.0


def test_a_mass_that_was_not_computed_keeps_nothing_back(rows: list[Prediction]) -> None:
    bare = [_row(index, 0.9, None) for index in range(40)]
    assert stated_view(bare).valid_mass_N is None
    assert accepts(0.9, stated_view(bare).confidence_N, stated_view(bare).valid_mass_N).all()
    mixed = stated_view([*bare, *rows])
    assert mixed.valid_mass_N is not None
    assert np.isnan(mixed.valid_mass_N).tolist() == [True] * 40 + [False] * len(rows)
    assert mixed.take(np.arange(40, 42)).valid_mass_N.tolist() == [0.99, 0.99]


def test_levels_apart_by_rounding_are_one_threshold() -> None:
    confidence_N = np.repeat([0.3, 0.1 + 0.2], 30)  # the second is 0.3 but for the last bit
    assert len(set(confidence_N.tolist())) == 2
    right = np.arange(60) % 15 > 0
    view = View(np.zeros(60, int), np.where(right, 0, 1), confidence_N, np.arange(60))
    choice = choose_threshold(view, risk=0.3, confidence=0.9)
    assert choice.threshold is not None
    assert choice.accepted == accepts(choice.threshold, confidence_N).sum() == 60
    assert choice.errors == 4


def test_the_rule_at_its_edges() -> None:
    assert accepts(None, [0.0, 1.0]).tolist() == [False, False]
    assert accepts(0.0, [0.0, math.nan]).tolist() == [True, False]
    assert accepts(0.5, [0.5 - SAME / 2, 0.5 - 2 * SAME]).tolist() == [True, False]
    assert accepts(0.5, 0.5, LEAST_VALID_MASS).tolist() is True


def test_one_answer_of_each_group_counts() -> None:
    """Thirty groups of ten equal answers show what thirty answers show, and no more."""
    view = answers((0.9, 300, 0))
    grouped = View(view.gold_N, view.label_N, view.confidence_N, np.repeat(np.arange(30), 10))
    choice = choose_threshold(grouped, risk=0.1, confidence=0.95)
    assert (choice.threshold, choice.n, choice.accepted) == (0.9, 30, 30)
    assert choice.bound == risk_bound(0, 30, 0.95)
    one_group = View(view.gold_N, view.label_N, view.confidence_N, np.zeros(300, dtype=np.int64))
    nothing = choose_threshold(one_group, risk=0.1, confidence=0.95)
    assert (nothing.threshold, nothing.n) == (None, 1)
    assert nothing.reason == "needs at least 29 answers of different groups, each with a confidence; there are 1"


def test_every_answer_of_a_group_may_be_the_one_that_counts() -> None:
    groups = np.tile(np.arange(200), 3)  # a group's answers stand 200 apart
    picked_G = one_per_group(groups)
    assert sorted(groups[picked_G]) == list(range(200))
    assert (picked_G == one_per_group(groups)).all()
    # Each third holds about a third of those picked; at 200 draws, 20 is three standard errors.
    assert np.bincount(picked_G // 200, minlength=3) == pytest.approx(200 / 3, abs=20)
    assert one_per_group(np.zeros(0, dtype=np.int64)).size == 0


def test_weights_choose_what_counts() -> None:
    """Two kinds of claims at the same confidence, right and wrong; weights say which kind will come."""
    view = answers((0.9, 200, 100))
    right_kind = np.where(view.correct, 1.0, 0.0)
    choice = choose_threshold(view, risk=0.1, confidence=0.95, weight_N=right_kind)
    assert (choice.threshold, choice.n, choice.errors) == (0.9, 200, 0)
    assert choose_threshold(view, risk=0.1, confidence=0.95, weight_N=1 - right_kind).threshold is None
    # Weights count by their ratios alone.
    mixed = np.where(view.correct, 1.0, 0.05)
    assert choose_threshold(view, risk=0.1, confidence=0.95, weight_N=mixed) == choose_threshold(
        view, risk=0.1, confidence=0.95, weight_N=7 * mixed
    )


def test_even_weights_keep_every_answer() -> None:
    view = answers((0.9, 60, 0), (0.8, 58, 2), (0.7, 20, 40))
    even = choose_threshold(view, risk=0.1, confidence=0.95, weight_N=np.full(180, 0.25))
    assert even == choose_threshold(view, risk=0.1, confidence=0.95)


def test_weights_that_leave_too_little_say_so() -> None:
    view = answers((0.9, 300, 0))
    few = np.where(np.arange(300) < 5, 1.0, 0.0)
    choice = choose_threshold(view, risk=0.1, confidence=0.95, weight_N=few)
    assert (choice.threshold, choice.n) == (None, 5)
    assert (
        choice.reason == "needs at least 29 answers that are left after weighting, each with a confidence; there are 5"
    )


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    """The benchmark that draws answers and looks up the true error rate of what is accepted."""
    spec = importlib.util.spec_from_file_location("threshold_simulation", ROOT / "benchmarks" / "threshold.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


DRAWS = 250


@pytest.mark.parametrize(
    "setting",
    [
        "ties, the worst case",
        "continuous, the worst case",
        "continuous, error falls",
        "continuous, surest are worst",
        "groups of 2",
        "groups of 5",
        "groups of 10",
        "5 checkpoints, answers apart",
        "shift, true weights",
        "shift, estimated weights",
    ],
)
def test_the_promise_is_kept(setting: str, simulation: ModuleType) -> None:
    assert simulation.SETTINGS[setting][0] == "mended"
    _, broken = simulation.simulate(setting, DRAWS)
    # At most one draw in ten; so many more would come of chance once in a thousand.
    assert broken * DRAWS <= stats.binom.isf(0.001, DRAWS, 1 - simulation.CONFIDENCE)


@pytest.mark.parametrize(
    "setting",
    [
        "groups of 5 as if independent",
        "groups of 10 as if independent",
        "5 checkpoints, same answers",
        "shift, no weights",
    ],
)
def test_what_must_not_be_done_breaks_it(setting: str, simulation: ModuleType) -> None:
    _, broken = simulation.simulate(setting, DRAWS)
    assert broken * DRAWS > stats.binom.isf(0.001, DRAWS, 1 - simulation.CONFIDENCE)


def test_weights_still_find_thresholds_under_a_shift(simulation: ModuleType) -> None:
    chosen, _ = simulation.simulate("shift, estimated weights", DRAWS)
    assert chosen > 0.1
