"""What a person sees: lines where nothing moves, bars on a terminal, nothing when asked for quiet."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from candor import progress
from candor.progress import Reporter, visible


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", -1.0)  # every move gives a line
    return io.StringIO()


def reporter_to(stream: io.StringIO, *, terminal: bool = False, quiet: bool = False, prefix: str = "") -> Reporter:
    console = Console(file=stream, force_terminal=terminal, width=60, color_system=None, legacy_windows=False)
    return Reporter(console, quiet=quiet, prefix=prefix)


def test_lines_are_said_as_they_are(written: io.StringIO) -> None:
    reporter = reporter_to(written, prefix="one: ")
    path = "/a/very/long/path/" + "x" * 80
    reporter.say(f"[bold] {path}:3: 'y'")
    reporter.warn("[careful]")
    assert written.getvalue() == f"one: [bold] {path}:3: 'y'\none: warning: [careful]\n"


def test_without_a_terminal_a_line_now_and_then_tells_how_far_it_is(written: io.StringIO) -> None:
    with reporter_to(written, prefix="two: ").bar("train", 30, done=10) as bar:
        bar.advance(row={"accuracy": 0.5, "invalid": 0, "other": 1.0})
        bar.advance(19)
        assert bar.done == 30
    assert written.getvalue().split("\n") == [
        "two: train 10/30",
        "two: train 11/30  acc 0.500  invalid 0.000",
        "two: train 30/30",
        "",
    ]


@pytest.mark.parametrize(("total", "of_all"), [(2_500_000, "/2.5 MB"), (None, "")])
def test_a_download_is_told_in_bytes_with_its_end_or_without(
    written: io.StringIO, total: int | None, of_all: str
) -> None:
    with reporter_to(written).download("wiki.zip", total, done=500) as bar:
        bar.advance(1_000_000)
    assert written.getvalue() == f"wiki.zip 500 bytes{of_all}\nwiki.zip 1.0 MB{of_all}\n"


def test_on_a_terminal_bars_take_the_place_of_lines(written: io.StringIO) -> None:
    reporter = reporter_to(written, terminal=True, prefix="p ")
    with reporter.bars([("[one]", 4), ("two", 5)]) as (one, two):
        one.advance(3)
        two.advance(5)
    with reporter.download("file", None) as bar:
        bar.advance(7)
    drawn = written.getvalue()
    assert "p [one]" in drawn
    assert "3/4" in drawn
    assert "5/5" in drawn
    assert "7/? bytes" in drawn


def test_quiet_is_silent_and_counts_all_the_same(written: io.StringIO) -> None:
    reporter = reporter_to(written, terminal=True, quiet=True)
    reporter.say("x")
    reporter.warn("x")
    with reporter.bar("x", 2) as bar, reporter.download("x", 2) as other:
        bar.advance(2)
        other.advance(1)
    assert (bar.done, other.done) == (2, 1)
    assert written.getvalue() == ""


def test_nothing_else_draws_bars() -> None:
    source = Path(progress.__file__).parent
    drawing = ("tqdm", "progressbar", "rich.progress", "rich.live", "rich.status")
    found = {}
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if words := [word for word in drawing if f"import {word}" in text or f"from {word}" in text]:
            found[path.relative_to(source).as_posix()] = words
    assert found == {"progress.py": ["rich.progress"]}


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\x00", "\ud800"])
def test_no_sign_that_a_terminal_obeys_is_printed(sign: str) -> None:
    stream = io.StringIO()
    reporter = Reporter(Console(file=stream, width=200))
    reporter.say(f"a{sign}b")
    reporter.warn(f"[/b]{sign}")
    with reporter.bar(f"c{sign}", 1) as bar:
        bar.advance(1)
    told = stream.getvalue()
    assert sign not in told
    assert "[/b]" in told
    assert visible("é ✓\tx\ny") == "é ✓\tx\ny"
