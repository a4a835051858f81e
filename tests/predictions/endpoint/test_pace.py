"""What a server asks for in the way of patience, in all the ways that servers say it."""

from __future__ import annotations

import asyncio
import email.utils
import math
import time

import pytest

from candor.predictions.endpoint.pace import Pace, retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("  ", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.25", 0.25),
        ("1e2", 100.0),
        ("-3", 0.0),
        ("inf", math.inf),
        ("nan", None),
        ("soon", None),
        ("7 seconds", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (email.utils.formatdate(NOW + 40, usegmt=True), 40.0),
        (email.utils.formatdate(NOW + 40, localtime=True), 40.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("2026-11-27T12:00:00Z", None),
    ],
)
def test_forms_of_retry_after(monkeypatch: pytest.MonkeyPatch, value: str, seconds: float | None) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert retry_after(value) == seconds


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


def test_attempts_start_at_the_rate_and_all_wait_when_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace, starts = Clock(monkeypatch), Pace(120.0), []

    async def begin() -> None:
        for number in range(6):
            if number == 3:
                pace.hold(10.0)
            if number == 4:
                pace.hold(0.1)  # less than what is to be waited for anyway
            await pace.turn()
            starts.append(clock.now - 100.0)

    asyncio.run(begin())
    assert starts == pytest.approx([0.0, 0.5, 1.0, 11.0, 11.5, 12.0])


def test_without_a_limit_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, pace = Clock(monkeypatch), Pace(None)

    async def begin() -> None:
        for _ in range(100):
            await pace.turn()

    asyncio.run(begin())
    assert clock.now == 100.0
