"""Lines and bars that a person sees, in a terminal and where the output is none."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from candor import progress
from candor.progress import SECONDS_BETWEEN_LINES, Reporter


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), record=True, width=120, force_terminal=terminal)


def test_words_are_printed_as_they_are_with_their_prefix() -> None:
    shown = console(terminal=False)
    reporter = Reporter(shown, prefix="seed 1: ")
    reporter.say("read [bold]3[/bold] files")
    reporter.warn("few rows [/]")
    assert shown.export_text().splitlines() == [
        "seed 1: read [bold]3[/bold] files",
        "seed 1: warning: few rows [/]",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing(terminal: bool, clock: Clock) -> None:
    shown = console(terminal=terminal)
    reporter = Reporter(shown, quiet=True)
    reporter.say("a")
    reporter.warn("b")
    with reporter.bar("c", 3) as bar:
        clock.now += 10 * SECONDS_BETWEEN_LINES
        bar.advance(3)
    assert shown.export_text() == ""
    assert bar.done == 3


def test_a_terminal_shows_how_far_it_is_with_the_figures_that_are_there() -> None:
    shown = console(terminal=True)
    with Reporter(shown, prefix="p ").bar("training [x]", 10, done=4) as bar:
        assert bar.done == 4
        bar.advance(2, {"accuracy": 0.5, "reward": -1.25, "step": 6})
    text = shown.export_text()
    assert "p training [x]" in text
    assert "6/10" in text
    assert "acc 0.500  reward -1.250" in text
    assert "step" not in text


def test_elsewhere_a_line_now_and_then_tells_that_work_goes_on(clock: Clock) -> None:
    shown = console(terminal=False)
    rows: list[tuple[float, dict[str, Any] | None]] = [
        (SECONDS_BETWEEN_LINES, None),  # exactly so long is not longer
        (1.0, {"accuracy": 0.5}),
        (SECONDS_BETWEEN_LINES / 2, {"accuracy": 0.6}),
        (SECONDS_BETWEEN_LINES / 2 + 1, None),
    ]
    with Reporter(shown).bar("training", 10) as bar:
        for waited, row in rows:
            clock.now += waited
            bar.advance(1, row)
    said = [line.rstrip() for line in shown.export_text().splitlines() if line.strip()]
    assert said == ["training 2/10  acc 0.500", "training 4/10"]


def test_stages_have_a_bar_each() -> None:
    shown = console(terminal=True)
    with Reporter(shown).bars([("one", 2), ("two", 5)]) as (one, two):
        one.advance(2)
        two.advance()
    assert (one.done, two.done) == (2, 1)
    text = shown.export_text()
    assert "2/2" in text
    assert "1/5" in text
