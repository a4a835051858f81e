"""How numbers read: what rounds to which text, and which way is better."""

from __future__ import annotations

import math

import pytest

from candor.report import wording
from candor.report.wording import NOTHING


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("na_recall", 0.0, "0.0"),
        ("na_recall", 1.0, "100.0"),
        ("brier", 0.0004, "0.000"),
        ("brier", -0.25, "−0.250"),
        ("new_score", 0.5, "0.500"),
        ("accuracy", None, NOTHING),
    ],
)
def test_figures(metric: str, value: float | None, text: str) -> None:
    assert wording.number(metric, value) == text


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("na_recall", 0.35, "+35.0"), ("na_recall", -0.004, "−0.4"), ("brier", 0.0, "+0.000"), ("brier", None, NOTHING)],
)
def test_differences_have_their_sign(metric: str, value: float | None, text: str) -> None:
    assert wording.signed(metric, value) == text


def test_intervals_are_in_the_unit_of_their_figure() -> None:
    assert wording.interval("accuracy", (0.5, 0.75)) == "[50.0, 75.0]"
    assert wording.interval("accuracy", (-0.05, 0.1), sign=True) == "[−5.0, +10.0]"
    assert wording.interval("brier", (0.1, 0.2)) == "[0.100, 0.200]"
    assert wording.interval("brier", None) == ""


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "<0.0001"),
        (0.0000999, "<0.0001"),
        (0.0001, "0.0001"),
        (math.nextafter(0.001, 0), "0.0010"),
        (0.001, "0.001"),
        (1.0, "1.000"),
        (None, NOTHING),
    ],
)
def test_p_values_never_read_as_zero(p: float | None, text: str) -> None:
    assert wording.p_value(p) == text


@pytest.mark.parametrize(
    ("metric", "difference", "tone"),
    [
        ("accuracy", 0.1, "better"),
        ("accuracy", -0.1, "worse"),
        ("brier", 0.1, "worse"),
        ("brier", -0.1, "better"),
        ("accuracy", 0.0, ""),
        ("accuracy", None, ""),
        ("new_score", 0.1, ""),
    ],
)
def test_up_is_better_or_worse_by_the_metric(metric: str, difference: float | None, tone: str) -> None:
    assert wording.tone(metric, difference) == tone


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_in_a_sentence(names: list[str], text: str) -> None:
    assert wording.listed(names) == text


@pytest.mark.parametrize(
    ("text", "slug"), [("../../etc/passwd", "etc-passwd"), ("Ünï 1", "n-1"), ("…", "x"), ("", "x")]
)
def test_slugs_are_safe_as_file_names_and_ids(text: str, slug: str) -> None:
    assert wording.slug(text) == slug


def test_titles_have_their_unit_and_unknown_metrics_their_name() -> None:
    assert wording.title("na_recall") == "NA recall, %"
    assert wording.title("new_score") == "new score"
    assert wording.info("new_score").better == "neither"
