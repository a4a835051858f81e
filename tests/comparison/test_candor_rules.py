"""candor's own rules: which views there are, what is tested, and what the reader is told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from candor.comparison.candor_rules import CANDOR, candor_figures, candor_tests, candor_views, candor_warnings
from candor.comparison.pairing import Matched, Side
from candor.comparison.stages import Both, Draws
from candor.metrics.names import PROBED, STATED, TESTED
from candor.metrics.significance import holm
from candor.types import LABELS, Prediction, Validity

DRAWS = Draws(30, 0)


def answers(right: int, *, probed: bool = False, posterior: bool = False) -> tuple[Prediction, ...]:
    made = []
    for n in range(12):
        gold = LABELS[n % 3]
        label = gold if n < right else LABELS[(n + 1) % 3]
        row = Prediction(str(n), "d", str(n), "C", ("E",), gold, "", label, 0.4 + n % 6 / 10, Validity.CLEAN)
        extra: dict[str, Any] = {"label_probs": (0.5, 0.3, 0.2)} if probed else {}
        made.append(replace(row, **extra, posterior=(0.1, 0.1, 0.8) if posterior else None))
    return tuple(made)


def matched(base: tuple[Prediction, ...], trained: tuple[Prediction, ...]) -> Matched:
    return Matched(base, trained, (), (), ())


SIDES: Any = None
"""Views of candor's rules look at the matched answers alone."""


def test_every_matched_answer_is_in_both_views() -> None:
    rows = list(answers(6))
    rows[0] = replace(rows[0], label=None, confidence=None, validity=Validity.NONE)
    views = candor_views(SIDES, matched(tuple(rows), answers(9)))
    assert views.own is views.paired
    assert views.own.base.gold_N.size == 12
    assert not views.own.base.correct[0]
    assert views.probes == (None, None)
    assert views.bayes is None


def test_probes_and_bayes_are_there_where_every_row_has_them() -> None:
    views = candor_views(SIDES, matched(answers(6, probed=True, posterior=True), answers(9)))
    assert views.probes.base is not None
    assert views.probes.trained is None
    assert views.bayes is not None
    figures = candor_figures(views, DRAWS)
    # Without a second probe there is nothing to take a difference from.
    assert set(figures.metrics["base"]) == {*STATED, *PROBED, "probe_agreement"}
    assert set(figures.metrics["trained"]) == set(STATED)
    assert set(figures.differences) == set(STATED)
    assert set(figures.curves) == {"base", "trained", "base_probe", "bayes"}
    assert set(figures.confusion) == {"base", "trained", "bayes"}
    both = candor_views(SIDES, matched(answers(6, probed=True), answers(9, probed=True)))
    assert set(candor_figures(both, DRAWS).differences) == {*STATED, *PROBED}


def test_answers_without_any_confidence_have_no_curves() -> None:
    bare = tuple(replace(row, confidence=None) for row in answers(6))
    figures = candor_figures(candor_views(SIDES, matched(bare, answers(9))), DRAWS)
    assert set(figures.curves) == {"trained"}


def test_one_correction_covers_all_that_is_tested() -> None:
    views = candor_views(SIDES, matched(answers(4), answers(10)))
    figures = candor_figures(views, DRAWS)
    found = candor_tests(views, figures)
    assert list(found.tested) == [name for name in TESTED if name in STATED]
    expected = holm({n: figures.differences[n].p for n in found.tested if math.isfinite(figures.differences[n].p)})
    for name, difference in found.differences.items():
        assert difference["p_holm"] == expected.get(name)
        assert (difference["p"] is None) == (name not in expected)
    assert "mcnemar" in found.classical


def side(**header: Any) -> Side:
    told = {"format": "candor", "template_sha256": "ab", "source": None, **header}
    return Side(told, (), (), ("a note",))  # type: ignore[arg-type]


ROWS: Any = {"used": 12, "invalid": {"base": 0, "trained": 2}, "without_confidence": {"base": 0, "trained": 2}}


def test_what_the_figures_do_not_show_is_told() -> None:
    readable = tuple(replace(row, validity=Validity.READABLE) for row in answers(6))
    found = candor_warnings(Both(side(), side()), replace(matched(answers(6), readable), warnings=("first",)), ROWS)
    assert found[0] == "first"
    assert found.count("a note") == 2
    assert "trained: 2 of 12 answers hold no label; each counts as wrong." in found
    assert any("leave out the 0 answers of base and 2 of trained" in text for text in found)
    (form,) = (text for text in found if "not in the form" in text)
    assert form.startswith("trained: 12 of 12")
    assert len(found) == 6


def test_of_the_studys_files_no_form_is_known() -> None:
    study = side(format="study")
    readable = tuple(replace(row, validity=Validity.READABLE) for row in answers(6))
    quiet: Any = {"used": 12, "invalid": {"base": 0}, "without_confidence": {"base": 0, "trained": 0}}
    found = candor_warnings(Both(study, study), matched(readable, readable), quiet)
    assert found == ["a note", "a note"]


def test_the_rules_have_the_name_that_results_say() -> None:
    assert CANDOR.name == "candor"
