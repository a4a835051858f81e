"""The page in a real browser: what it shows, what can be done with the keyboard, and that nothing gets in or out."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium import Tab
from fake_run import HOSTILE, predictions, write_run
from playwright.sync_api import Page

from candor.predictions.file import read_predictions, write_predictions
from candor.report.glossary import TERMS
from candor.report.page import build_page
from candor.report.predictions import CONFIDENT
from candor.report.style import PAPER
from candor.types import Label

COUNT = 40


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    return build_page([write_run(folder / "run", count=COUNT)], folder / "report.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return build_page([write_run(folder / "run", hostile=True, datasets=("wiki",))], folder / "report.html")


def text(page: Page, name: str) -> str | None:
    return page.locator(f"#{name}").text_content()


def count(page: Page, name: str) -> int:
    return int(text(page, f"count-{name}") or "")


def show_all(page: Page) -> None:
    page.locator("[name=filter][value=all]").check(force=True)


def test_hostile_text_is_shown_and_never_becomes_markup(tab: Tab, hostile: Path) -> None:
    page = tab.open(hostile)
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.locator("img, iframe, object, embed, link").count() == 0
    assert page.evaluate("document.scripts.length") == 2
    assert page.locator("h1").text_content() == HOSTILE
    show_all(page)
    assert page.locator("#answers .claim").first.text_content() == HOSTILE
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert tab.messages == []


def test_the_policy_stops_what_escaping_would_have_let_through(tab: Tab, plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    injected = "<script>window.hacked = 1</script><img src='https://example.invalid/x' onerror='window.hacked = 2'>"
    broken.write_text(plain.read_text(encoding="utf-8").replace("</h1>", f"</h1>{injected}"), encoding="utf-8")
    page = tab.open(broken)
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert any("Content Security Policy" in message for message in tab.messages)


def test_nothing_is_asked_of_the_network(tab: Tab, plain: Path) -> None:
    tab.open(plain)
    assert tab.requests == [plain.resolve().as_uri()]
    assert tab.messages == []


def test_filters_count_what_the_predictions_say(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    pairs = [
        pair
        for name in ("wiki", "revision", "climate")
        for pair in zip(
            predictions(name, stage="base", count=COUNT, hostile=False),
            predictions(name, stage="trained", count=COUNT, hostile=False),
            strict=True,
        )
    ]
    assert count(page, "all") == len(pairs) == 3 * COUNT
    assert count(page, "became_right") == sum(a.label != a.gold and b.label == b.gold for a, b in pairs)
    assert count(page, "became_wrong") == sum(a.label == a.gold and b.label != b.gold for a, b in pairs)
    assert count(page, "newly_na") == sum(a.label != Label.NA and b.label == Label.NA for a, b in pairs)
    assert count(page, "confidently_wrong") == sum(
        b.label != b.gold and b.confidence is not None and b.confidence >= CONFIDENT for _, b in pairs
    )
    assert min(count(page, name) for name in ("became_right", "became_wrong", "newly_na")) > 0


def test_the_predictions_can_be_used_with_the_keyboard_alone(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    page.locator("[name=filter]").first.focus()
    assert page.locator("[name=filter]:checked").input_value() == "differ"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("[name=filter]:checked").input_value() == "became_right"
    expected = count(page, "became_right")
    assert (text(page, "answers-status") or "").startswith(f"{expected} claim")

    page.keyboard.press("ArrowLeft")
    answers = page.locator("#answers > li")
    assert answers.count() == 8
    page.locator("#more").focus()
    page.keyboard.press("Enter")
    assert answers.count() == 16
    assert page.evaluate("[...document.querySelectorAll('#answers > li')].indexOf(document.activeElement)") == 8


def test_search_and_dataset_narrow_the_list(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    show_all(page)
    page.locator("#predictions-search").press_sequentially("PERSON 7 river")
    page.locator("#more").click()
    shown = page.locator("#answers .claim").all_text_contents()
    # Persons 7, 17, 27 and 37 of three datasets: every word has to occur, in any case.
    assert len(shown) == 12
    assert all("7 was born" in claim for claim in shown)
    page.locator("#predictions-dataset").select_option("wiki")
    assert page.locator("#answers > li").count() == 4
    page.locator("#predictions-search").press_sequentially(" nowhere")
    assert text(page, "answers-status") == "Nothing matches."


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_no_width_makes_the_page_scroll_sideways(tab: Tab, plain: Path, width: int) -> None:
    page = tab.open(plain, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_word_is_explained_on_hover_and_on_focus_until_escape(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    tip = page.locator("#tip")
    assert not tip.is_visible()
    page.locator(".tiles .term").first.hover()
    assert tip.text_content() == TERMS["NA recall"]
    page.mouse.move(0, 0)
    assert not tip.is_visible()
    page.locator("#results th[scope=row] button").first.focus()
    assert tip.text_content() == TERMS["NA recall"]
    assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_row_shows_the_rest_of_its_figures_on_demand(tab: Tab, plain: Path) -> None:
    page = tab.open(plain, width=390)
    interval = page.locator("#results .compact td small.ends").first
    assert not interval.is_visible()
    row = page.locator("#results th[scope=row] button").first
    row.focus()
    page.keyboard.press("Enter")
    assert row.get_attribute("aria-expanded") == "true"
    assert interval.is_visible()
    page.keyboard.press("Enter")
    assert not interval.is_visible()
    page.get_by_role("button", name="All intervals and tests").first.click()
    assert interval.is_visible()
    second = page.locator("#results .compact").first.locator("tbody").nth(1)
    assert not second.locator("tr").nth(1).is_visible()
    second.locator("button.fold").click()
    assert second.locator("tr").nth(1).is_visible()


def test_a_table_is_sorted_by_a_column_and_back(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    body = page.locator("#results .compact").first.locator("tbody").first
    column = page.locator("#results thead .sort", has_text="Base").first

    def values() -> list[float]:
        cells = body.locator("tr:not(.title) td:nth-child(2)")
        found = cells.evaluate_all(
            "(cells) => cells.map((cell) => cell.dataset.value).filter((one) => one !== undefined)"
        )
        return [float(one) for one in found]

    before = values()
    column.click()
    assert values() == sorted(before, reverse=True) != before
    column.click()
    assert values() == sorted(before)
    column.click()
    assert values() == before
    # The name of the dataset stays on top.
    assert "title" in (body.locator("tr").first.get_attribute("class") or "")


def test_a_figure_is_saved_as_svg_and_a_table_as_latex(tab: Tab, plain: Path, tmp_path: Path) -> None:
    page = tab.open(plain, dark=True)
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save as SVG: Reliability on wiki").click()
    assert saving.value.suggested_filename == "reliability-wiki.svg"
    saving.value.save_as(tmp_path / "figure.svg")
    svg = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(svg)
    assert "var(" not in svg
    # In the colours of paper, whatever the reader's.
    assert PAPER["series1"] in svg
    assert "data-tip" not in svg
    with page.expect_download() as saving:
        page.locator("#results .tools").first.get_by_role("button", name="Save .tex").click()
    saving.value.save_as(tmp_path / "table.tex")
    tex = (tmp_path / "table.tex").read_text(encoding="utf-8")
    assert saving.value.suggested_filename == "results.tex"
    assert tex.startswith("% ")
    assert r"NA recall, \%" in tex
    assert tab.messages == []


def test_the_values_of_a_figure_are_told_by_the_arrow_keys(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    figure = page.locator("#effects figure").first
    figure.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").text_content() == "wiki (trained on): +35 points (+31 to +39)"
    page.keyboard.press("ArrowRight")
    assert (page.locator("#tip").text_content() or "").startswith("revision: ")


def test_the_answers_of_all_arms_stand_side_by_side_and_open_on_those_that_differ(tab: Tab, tmp_path: Path) -> None:
    for arm in ("alpha", "beta"):
        write_run(tmp_path / "both" / arm, count=COUNT, datasets=("wiki",), leave_out=("train",))
    other = tmp_path / "both" / "beta" / "predictions" / "trained" / "wiki.jsonl"
    header = read_predictions(other).header
    write_predictions(other, header, predictions("wiki", stage="base", count=COUNT, hostile=False))
    page = tab.open(build_page([tmp_path / "both"], tmp_path / "report.html"))
    pairs = [predictions("wiki", stage=stage, count=COUNT, hostile=False) for stage in ("trained", "base")]
    differing = sum(one.label != other.label for one, other in zip(*pairs, strict=True))
    assert count(page, "differ") == differing > 0
    names = page.locator("#answers > li").first.locator("dt").all_text_contents()
    assert names == ["gold", "base", "alpha", "beta"]
    page.locator("#predictions-of").select_option("beta")
    assert count(page, "became_right") == 0
    page.locator("#predictions-of").select_option("alpha")
    assert count(page, "became_right") > 0


def test_dark_and_light_follow_the_reader(tab: Tab, plain: Path) -> None:
    grounds = []
    for dark in (False, True):
        page = tab.open(plain, dark=dark)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(18, 22, 27)"]
    # A figure's text follows along.
    fill = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert fill not in ("rgb(29, 35, 43)", "rgb(0, 0, 0)")


def test_every_figure_has_its_name_in_the_accessibility_tree(tab: Tab, plain: Path) -> None:
    page = tab.open(plain)
    # What is folded away is in the tree once it is open.
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    protocol = page.context.new_cdp_session(page)
    protocol.send("Accessibility.enable")
    nodes = protocol.send("Accessibility.getFullAXTree")["nodes"]
    images = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in ("image", "img")]
    assert len(images) >= 20
    assert [node for node in images if not node["name"]["value"]] == []
