"""What every page is made with: marks, escaping, the style sheet."""

from __future__ import annotations

import json

import pytest
from fake_run import HOSTILE

from candor.report.rendering import dot, environment, frame, stylesheet, track
from candor.report.style import PAPER
from candor.report.tables import Cell, Group, Mark, Row, Table


def grid(table: Table, kind: str = "") -> str:
    source = '{% from "macros.html.j2" import grid %}{{ grid(table, kind) }}'
    return environment().from_string(source).render(table=table, kind=kind)


def test_marks_stand_over_their_intervals_within_the_axis() -> None:
    svg = str(track([Mark("base", 0.25), Mark("series1", 0.5, (-0.1, 0.75)), Mark("bayes", 1.0)]))
    assert svg.count("<circle") == 2
    assert 'class="hollow" style="color: var(--fig-base)" cx="25.0%"' in svg
    assert 'class="reach" style="color: var(--fig-series1)" x1="0.0%" x2="75.0%"' in svg
    assert 'class="bar"' in svg
    assert str(track([])) == ""
    assert "filled" in str(dot("series2"))


def test_names_are_escaped_wherever_a_table_puts_them() -> None:
    table = Table("t", HOSTILE, ("Metric", HOSTILE), (Group(HOSTILE, (Row(HOSTILE, (Cell(HOSTILE, HOSTILE),)),)),))
    html = grid(table, "compact")
    assert "<script" not in html
    assert "<img" not in html


def test_a_cell_shows_its_interval_beside_it_and_the_rest_below() -> None:
    cell = Cell("83.9", "[80.2, 87.5]\n+40.3 to base\nsignificant", value=0.839)
    table = Table("t", "c", ("Metric", "a"), (Group("", (Row("NA recall, %", (cell,), (Mark("series1", 0.839),)),)),))
    html = grid(table, "compact")
    assert '<td data-label="a" data-value="0.839"><span>83.9</span> <small class="ends">[80.2, 87.5]</small>' in html
    assert "<small>+40.3 to base</small><small>significant</small>" in html
    assert 'data-tip="NA recall, %\na: 83.9 [80.2, 87.5]"' in html
    # A note that is no interval is not taken for one.
    other = Table("t", "c", ("Metric", "a"), (Group("", (Row("x", (Cell("1", "sees 3.4"),)),)),))
    assert 'class="ends"' not in grid(other, "compact")


def test_a_table_carries_its_latex() -> None:
    html = grid(Table("t", "c", ("Metric", "a & b"), (Group("", (Row("x", (Cell("1"),)),)),)))
    assert "data-latex=" in html
    assert r"a \&amp; b" in html


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(Exception, match="undefined"):
        environment().from_string("{{ unknown }}").render()


def test_the_frame_has_the_colours_of_paper_and_the_sheet_those_of_both() -> None:
    assert json.loads(frame("t", [])["colours"]) == PAPER
    css = stylesheet()
    assert "{{" not in css
    assert css.count("--fig-series1:") == 2
