"""Watching training for collapse: it is named as it begins, not found in the report afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from candor.types import LABELS

WINDOW: Final = 10
"""Steps over which a figure is averaged; a single batch may look collapsed by chance."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A figure that tells a kind of collapse when its mean over the window passes a bound."""

    name: str
    figure: str
    bound: float
    above: bool
    words: str


SIGNS: Final = (
    *(
        Sign(f"one label: {label.value}", f"share_{label.value}", 0.97, True, "nearly every answer has this label")
        for label in LABELS
    ),
    Sign("one confidence", "confidence_spread", 0.01, False, "nearly every prompt gets the same confidence"),
    Sign("invalid answers", "invalid", 0.05, True, "answers are not in the form that was asked for"),
    Sign("zero-variance groups", "zero_variance", 0.8, True, "most groups have equal rewards and teach nothing"),
)
"""The bounds are ours: outside what healthy runs of the sandbox and of the published study show, except for
zero-variance groups, of which the study's own run at temperature 0.2 has about as many. That of the confidence is a
step of its grid."""


class CollapseWatch:
    """Remembers the last steps and names a collapse once, when it begins, and again after it has been over."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._recent: dict[str, deque[float]] = {}
        self._active: set[str] = set()

    def look(self, row: Mapping[str, Any]) -> list[str]:
        """Take a step's figures; return what has begun, in words."""
        begun = []
        for sign in SIGNS:
            if sign.figure not in row:
                continue
            recent = self._recent.setdefault(sign.name, deque(maxlen=WINDOW))
            recent.append(float(row[sign.figure]))
            mean = sum(recent) / len(recent)
            passed = len(recent) == WINDOW and (mean > sign.bound if sign.above else mean < sign.bound)
            if passed and sign.name not in self._active:
                begun.append(f"{sign.name}: {sign.words} ({sign.figure} {mean:.3f} over {WINDOW} steps)")
            if passed:
                self._active.add(sign.name)
            else:
                self._active.discard(sign.name)
        return begun
