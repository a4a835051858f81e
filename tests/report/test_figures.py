"""Figures: which are drawn from what, and how they become files and parts of a page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fake_run import results, steps
from hypothesis import given
from hypothesis import strategies as st

from candor.report import plots
from candor.report.arms import Arm, arms_of
from candor.report.figures import calibration_figures, effect_figures, training_figures, training_warnings
from candor.report.plots import Effect, Histogram, Series, smoothed
from candor.report.runs import Run
from candor.report.style import DARK, PAPER, Drawing, inline_svg, save

HARD = "a<b> & $x_1$ 1.23456 #1d232b"


@pytest.fixture(scope="module")
def forest() -> Drawing:
    effects = [Effect(HARD, "series1", 0.123, (0.1, 0.146)), Effect("plain", "series2", -0.05, None)]
    return plots.forest("effect", "NA recall", effects, xlabel="points", percent=True)


def arm(name: str, *, role: str = "wiki", log: bool = False) -> Arm:
    values = results(role_of={role: "in_domain"})
    return Arm(name, (Run(name=name, folder=Path(), results=values, steps=steps(20) if log else []),))


def test_an_inline_figure_uses_colours_by_role_and_ids_of_its_own(forest: Drawing) -> None:
    svg = inline_svg(forest)
    root = ElementTree.fromstring(svg)
    tags = re.sub(r">[^<]*<", "><", svg)
    assert not re.search(r"#[0-9a-f]{6}\b", tags)
    assert "var(--fig-series1)" in tags
    assert set(re.findall(r"var\(--fig-(\w+)\)", tags)) <= set(PAPER)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(one).startswith("effect-") for one in ids)
    assert "font-family" not in svg
    assert "<metadata" not in svg


def test_names_that_people_chose_stay_as_they_are(forest: Drawing) -> None:
    root = ElementTree.fromstring(inline_svg(forest))
    assert HARD in ["".join(element.itertext()).strip() for element in root.iter() if element.tag == "text"]


def test_a_figure_says_in_words_what_it_shows(forest: Drawing) -> None:
    assert "+12.3 points (+10 to +14.6)" in forest.description
    assert "plain −5 points (no interval)" in forest.description
    root = ElementTree.fromstring(inline_svg(forest))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "effect-title effect-desc"
    assert root.findtext("title") == "NA recall"


def test_the_files_are_stand_alone_and_in_colours_of_paper(forest: Drawing, tmp_path: Path) -> None:
    svg, png = save(forest, tmp_path)
    text = svg.read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert PAPER["series1"] in text
    assert "var(" not in text
    assert png.read_bytes().startswith(b"\x89PNG")


def test_equal_data_gives_equal_figures() -> None:
    one, other = (plots.risk_coverage("r", "R", [Series("base", "base", [0.5, 1], [0.1, 0.2])]) for _ in range(2))
    assert one.svg == other.svg


def test_light_and_dark_know_the_same_roles_and_no_colour_twice() -> None:
    assert list(PAPER) == list(DARK)
    assert len(set(PAPER.values())) == len(PAPER)


def test_a_histogram_tells_mean_confidence_of_right_and_wrong() -> None:
    drawing = plots.confidence_distribution("c", "C", [Histogram("base", [0, 0.5, 1], [0, 4], [1, 1])])
    assert "base: 4 right, 2 wrong, mean confidence 0.75 when right and 0.50 when wrong" in drawing.description
    empty = plots.confidence_distribution("c", "C", [Histogram("base", [0, 1], [0], [2])])
    assert "unknown when right" in empty.description


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
    (group,) = calibration_figures(arms_of([Run(name="x", folder=Path(), results=values)]))
    assert group.drawings == ()
    assert "wiki: no answers with a confidence" in group.missing[0]


def test_effects_name_dataset_and_arm() -> None:
    group = effect_figures([arm("one"), arm("two", role="climate")])
    assert group.drawings[0].name == "effect-na-recall"
    for name in ("wiki, one", "wiki, two", "climate, two"):
        assert f"{name} +35 points (+31 to +39)" in group.drawings[0].description


def test_seeds_show_lowest_and_highest_instead_of_one_interval() -> None:
    runs = [Run(name=f"one/{n}", folder=Path(), results=results(shift=0.1 * n)) for n in range(2)]
    assert "wiki (trained on) +40 points (+35 to +45)" in effect_figures(arms_of(runs)).drawings[0].description


def test_training_curves_of_one_arm_and_what_is_missing() -> None:
    one = arm("one", log=True)
    for row in one.runs[0].steps:
        del row["kl"]  # type: ignore[attr-defined]
    overview, terms = training_figures([one])
    names = [drawing.name for drawing in overview.drawings]
    assert names[:5] == [
        "training-accuracy-of-sampled-answers",
        "training-cumulative-reward",
        "training-mean-reward",
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
    runs = [Run(name=name, folder=Path(), results={}, steps=rows) for name in ("a", "b")]
    assert training_warnings(runs) == [f"{name}: few groups (0.81), from step 3 and 9" for name in ("a", "b")]


def test_without_a_training_log_it_is_said() -> None:
    (group,) = training_figures([arm("one")])
    assert group.drawings == ()
    assert "No training log" in group.missing[0]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(1, 30))
def test_smoothing_keeps_length_and_range(values: list[float], window: int) -> None:
    means = smoothed(values, window)
    assert len(means) == len(values)
    assert min(values) - 1e-6 <= min(means)
    assert max(means) <= max(values) + 1e-6


def test_smoothing_over_one_value_changes_nothing() -> None:
    assert smoothed([3.0, 1.0, 2.0], 1) == [3.0, 1.0, 2.0]
