"""The page in a real browser: what it shows, what can be done with the keyboard, and that nothing gets in or out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, executable
from fake_run import HOSTILE, predictions, write_run

from candor.report.page import build_page
from candor.report.predictions import CONFIDENT
from candor.types import Label

pytestmark = pytest.mark.skipif(executable() is None, reason="no Chromium is installed")

COUNT = 40


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    binary = executable()
    assert binary is not None
    with Page(binary) as tab:
        yield tab


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    return build_page([write_run(folder / "run", count=COUNT)], folder / "report.html")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    return build_page([write_run(folder / "run", hostile=True, datasets=("wiki",))], folder / "report.html")


def count(page: Page, name: str) -> int:
    return int(page.run(f"document.getElementById('count-{name}').textContent"))


def test_hostile_text_is_shown_and_never_becomes_markup(page: Page, hostile: Path) -> None:
    page.messages.clear()
    page.open(hostile)
    assert page.run("typeof window.hacked") == "undefined"
    assert page.run("document.querySelectorAll('img, iframe, object, embed, link').length") == 0
    assert page.run("document.scripts.length") == 2
    assert page.run("document.querySelector('h1').textContent") == HOSTILE
    assert page.run("document.querySelector('#answers .claim').textContent") == HOSTILE
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert page.run("typeof window.hacked") == "undefined"
    assert page.messages == []


def test_the_policy_stops_what_escaping_would_have_let_through(page: Page, plain: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    injected = "<script>window.hacked = 1</script><img src='https://example.invalid/x' onerror='window.hacked = 2'>"
    broken.write_text(plain.read_text(encoding="utf-8").replace("</h1>", f"</h1>{injected}"), encoding="utf-8")
    page.messages.clear()
    page.open(broken)
    assert page.run("typeof window.hacked") == "undefined"
    assert any("Content Security Policy" in message for message in page.messages)


def test_nothing_is_asked_of_the_network(page: Page, plain: Path) -> None:
    page.requests.clear()
    page.messages.clear()
    page.open(plain)
    assert page.requests == [plain.resolve().as_uri()]
    assert page.messages == []


def test_filters_count_what_the_predictions_say(page: Page, plain: Path) -> None:
    page.open(plain)
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


def test_the_predictions_can_be_used_with_the_keyboard_alone(page: Page, plain: Path) -> None:
    page.open(plain)
    page.run("document.querySelector('[name=filter]').focus()")
    page.press("ArrowRight", 39)
    assert page.run("document.querySelector('[name=filter]:checked').value") == "became_right"
    expected = count(page, "became_right")
    assert page.run("document.getElementById('answers-status').textContent").startswith(f"{expected} prediction")

    page.press("ArrowLeft", 37)
    assert page.run("document.querySelectorAll('#answers > li').length") == 25
    page.run("document.getElementById('more').focus()")
    page.press("Enter", 13, text="\r")
    assert page.run("document.querySelectorAll('#answers > li').length") == 50
    assert page.run("[...document.querySelectorAll('#answers > li')].indexOf(document.activeElement)") == 25


def test_search_and_dataset_narrow_the_list(page: Page, plain: Path) -> None:
    page.open(plain)
    page.run("document.getElementById('predictions-search').focus()")
    page.write("PERSON 7 river")
    shown = page.run("[...document.querySelectorAll('#answers .claim')].map((one) => one.textContent)")
    # Persons 7, 17, 27 and 37 of three datasets: every word has to occur, in any case.
    assert len(shown) == 12
    assert all("7 was born" in text for text in shown)
    page.run(
        "(() => { const s = document.getElementById('predictions-dataset'); s.value = 'wiki';"
        " s.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    assert page.run("document.querySelectorAll('#answers > li').length") == 4
    page.write(" nowhere")
    assert page.run("document.getElementById('answers-status').textContent") == "Nothing matches."


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_no_width_makes_the_page_scroll_sideways(page: Page, plain: Path, width: int) -> None:
    page.open(plain, width=width)
    assert page.run("document.documentElement.scrollWidth") <= width


def test_dark_and_light_follow_the_reader(page: Page, plain: Path) -> None:
    grounds = []
    for dark in (False, True):
        page.open(plain, dark=dark)
        grounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(18, 22, 27)"]
    # A figure's text follows along.
    fill = page.run("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert fill not in ("rgb(29, 35, 43)", "rgb(0, 0, 0)")


def test_every_figure_has_its_name_in_the_accessibility_tree(page: Page, plain: Path) -> None:
    page.open(plain)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    images = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in ("image", "img")]
    assert len(images) >= 20
    assert [node for node in images if not node["name"]["value"]] == []
