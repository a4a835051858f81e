"""Figures: which are drawn from what."""

from __future__ import annotations

import re
from pathlib import Path

from fake_run import results, steps

from candor.report import figures
from candor.report.arms import Arm, arms_of
from candor.report.figures import calibration_figures, effect_figures, training_figures, training_warnings
from candor.report.runs import SavedRun


def arm(name: str, *, role: str = "wiki", log: bool = False) -> Arm:
    values = results(role_of={role: "in_domain"})
    return Arm(name, (SavedRun(name=name, folder=Path(), results=values, steps=steps(20) if log else []),))


def test_each_dataset_has_reliability_risk_coverage_and_confidence() -> None:
    groups = calibration_figures([arm("one")])
    assert [group.title for group in groups] == ["wiki", "revision", "climate"]
    assert [drawing.name for drawing in groups[0].drawings] == [
        "reliability-wiki",
        "risk-coverage-wiki",
        "confidence-wiki",
    ]
    description = groups[0].drawings[0].description
    assert all(name in description for name in ("base: ", "trained: ", "trained, probed p: ", "Bayes limit: "))


def test_answers_without_confidence_leave_no_figure_and_a_sentence() -> None:
    values = results()
    values["comparisons"] = values["comparisons"][:1]
    values["comparisons"][0]["curves"] = {}
    (group,) = calibration_figures(arms_of([SavedRun(name="x", folder=Path(), results=values)]))
    assert group.drawings == ()
    assert "wiki: no answers with a confidence" in group.missing[0]


def test_effects_name_dataset_and_arm() -> None:
    group = effect_figures([arm("one"), arm("two", role="climate")])
    assert group.drawings[0].name == "effect-na-recall"
    for name in ("wiki, one", "wiki, two", "climate, two"):
        assert f"{name} +35 points (+31 to +39)" in group.drawings[0].description


def test_seeds_show_lowest_and_highest_instead_of_one_interval() -> None:
    runs = [SavedRun(name=f"one/{n}", folder=Path(), results=results(shift=0.1 * n)) for n in range(2)]
    assert "wiki (trained on) +40 points (+35 to +45)" in effect_figures(arms_of(runs)).drawings[0].description


def test_training_curves_of_one_arm_and_what_is_missing() -> None:
    one = arm("one", log=True)
    for row in one.runs[0].steps:
        del row["kl"]  # type: ignore[attr-defined]
    overview, terms = training_figures([one])
    names = [drawing.name for drawing in overview.drawings]
    assert names[:5] == [
        "training-accuracy-of-sampled-answers",
        "training-mean-reward",
        "training-cumulative-reward",
        "training-groups-without-variance",
        "training-answers-out-of-form",
    ]
    assert overview.missing == ("Not in the training log: validation score and divergence from the base model.",)
    assert next(drawing.title for drawing in terms.drawings) == "Accuracy term"
    assert len(terms.drawings) == 7
    assert "gold NA" in terms.drawings[0].description
    assert training_warnings(one.runs) == ["more than half of the groups have no variance, from step 10"]


def test_training_curves_of_two_arms_share_panels_and_fold_their_terms() -> None:
    groups = training_figures([arm("one", log=True), arm("two", log=True)])
    assert [group.folded for group in groups] == [False, True, True]
    assert "one: " in groups[0].drawings[0].description
    assert "two: " in groups[0].drawings[0].description
    names = [drawing.name for group in groups for drawing in group.drawings]
    assert len(names) == len(set(names))


def test_more_arms_than_colours_take_several_panels() -> None:
    arms = [arm(f"arm{number}", log=True) for number in range(13)]
    calibration = calibration_figures(arms)[0].drawings
    overview = training_figures(arms)[0].drawings
    for stem, title in (("reliability-wiki", "Reliability on wiki"), ("training-entropy", "Entropy")):
        panels = [drawing for drawing in (*calibration, *overview) if drawing.name.rpartition("-")[0] == stem]
        assert [drawing.title for drawing in panels] == [f"{title}, {number} of 3" for number in (1, 2, 3)]
        named = [re.findall(r"arm\d+", drawing.description) for drawing in panels]
        assert [len(dict.fromkeys(names)) for names in named] == [6, 6, 1]
        assert sorted({name for names in named for name in names}) == sorted(each.name for each in arms)


def test_a_collapse_that_comes_and_goes_is_told_once_with_its_steps() -> None:
    rows = [{"step": 3, "warnings": ["few groups (0.81)"]}, {"step": 5}, {"step": 9, "warnings": ["few groups (0.93)"]}]
    runs = [SavedRun(name=name, folder=Path(), results={}, steps=rows) for name in ("a", "b")]
    assert training_warnings(runs) == [f"{name}: few groups (0.81), from step 3 and 9" for name in ("a", "b")]


def test_without_a_training_log_it_is_said() -> None:
    (group,) = training_figures([arm("one")])
    assert group.drawings == ()
    assert "No training log" in group.missing[0]


def test_risk_and_coverage_has_a_band_where_the_results_have_one() -> None:
    curve = {"coverage": [0.5, 1.0], "risk": [0.1, 0.2], "risk_low": [0.05, 0.15], "risk_high": [0.2, 0.3]}
    assert figures.risk_coverage_points({"risk_coverage": curve}) == (
        [0.5, 1.0],
        [0.1, 0.2],
        [0.05, 0.15],
        [0.2, 0.3],
        [],
    )
    del curve["risk_low"], curve["risk_high"]
    assert figures.risk_coverage_points({"risk_coverage": curve})[2:] == ([], [], [])
