"""Colours by role, and how a drawing becomes a file and a part of the page."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from candor.report import plots
from candor.report.plots import Effect
from candor.report.style import DARK, PAPER, Drawing, inline_svg, role_of, save

HARD = "a<b> & $x_1$ 1.23456 #1d232b"


@pytest.fixture(scope="module")
def forest() -> Drawing:
    effects = [Effect(HARD, "series1", 0.123, (0.1, 0.146)), Effect("plain", "series2", -0.05, None)]
    return plots.forest("effect", "NA recall", effects, xlabel="points", percent=True)


def test_an_inline_figure_uses_colours_by_role_and_ids_of_its_own(forest: Drawing) -> None:
    svg = inline_svg(forest)
    root = ElementTree.fromstring(svg)
    tags = re.sub(r'data-tip="[^"]*"', "", re.sub(r">[^<]*<", "><", svg))
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


def test_light_and_dark_know_the_same_roles_and_no_colour_twice() -> None:
    assert list(PAPER) == list(DARK)
    assert len(set(PAPER.values())) == len(PAPER)


def test_colours_of_arms_repeat_after_six() -> None:
    assert [role_of(place) for place in (0, 5, 6, 13)] == ["series1", "series6", "series1", "series2"]


def test_the_users_own_settings_do_not_show(forest: Drawing) -> None:
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        again = plots.forest("effect", "NA recall", [Effect("plain", "series2", -0.05, None)], xlabel="x", percent=True)
        assert mpl.rcParams["font.size"] == 30
    plain = plots.forest("effect", "NA recall", [Effect("plain", "series2", -0.05, None)], xlabel="x", percent=True)
    assert again.svg == plain.svg
