"""When a server may be asked next: the rate limit, and the patience that it asks for itself."""

from __future__ import annotations

import asyncio
import email.utils
import time


class Pace:
    """Spaces attempts out, those of all questions together."""

    def __init__(self, per_minute: float | None) -> None:
        """Take how many attempts may start in a minute; ``None`` for no limit."""
        self._interval = 0.0 if per_minute is None else 60.0 / per_minute
        self._not_before = 0.0

    async def turn(self) -> None:
        """Wait until one more attempt may start."""
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        self._not_before = max(self._not_before, time.monotonic()) + self._interval

    def hold(self, seconds: float) -> None:
        """Start nothing for so long: the limit is the server's, not that of the question which ran into it."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)


def retry_after(value: str) -> float | None:
    """Seconds that a server asks to wait, at least 0; ``None`` if it asks for nothing that can be read.

    Args:
        value: of the header ``Retry-After``: a number of seconds or a date.

    >>> retry_after(" 2.5 "), retry_after("-3"), retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), retry_after("soon")
    (2.5, 0.0, 0.0, None)
    """
    value = value.strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None
