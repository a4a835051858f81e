"""How numbers read: figures, intervals, differences and p-values as short text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from candor.metrics.names import METRICS, MetricInfo

NOTHING = "–"
"""Stands where there is no figure."""


def info(metric: str) -> MetricInfo:
    """What is known of a metric; one that this version does not know keeps its name and has no better side."""
    known = METRICS.get(metric)
    return known if known is not None else MetricInfo(metric, metric.replace("_", " "), "neither", "labels")


def title(metric: str) -> str:
    """Title of a row, with the unit where there is one.

    >>> title("na_recall"), title("brier")
    ('NA recall, %', 'Brier score')
    """
    return f"{info(metric).title}, %" if info(metric).percent else info(metric).title


def number(metric: str, value: float | None) -> str:
    """A figure: percent with one decimal for shares, three decimals otherwise.

    >>> number("na_recall", 0.3891), number("brier", 0.28349), number("brier", None)
    ('38.9', '0.283', '–')
    """
    if value is None:
        return NOTHING
    return _minus(f"{100 * value:.1f}" if info(metric).percent else f"{value:.3f}")


def signed(metric: str, value: float | None) -> str:
    """A difference, always with its sign.

    >>> signed("na_recall", 0.149), signed("brier", -0.008)
    ('+14.9', '−0.008')
    """
    if value is None:
        return NOTHING
    return _minus(f"{100 * value:+.1f}" if info(metric).percent else f"{value:+.3f}")


def interval(metric: str, ends: Sequence[float] | None, *, sign: bool = False) -> str:
    """``[low, high]`` or nothing.

    >>> interval("accuracy", (0.5, 0.75)), interval("accuracy", None)
    ('[50.0, 75.0]', '')
    """
    if ends is None:
        return ""
    low, high = (signed(metric, end) if sign else number(metric, end) for end in ends)
    return f"[{low}, {high}]"


def p_value(p: float | None) -> str:
    """A p-value with three decimals, four where it is small; one that would read as zero is given as a bound.

    >>> p_value(0.00002), p_value(0.00034), p_value(0.0312), p_value(None)
    ('<0.0001', '0.0003', '0.031', '–')
    """
    if p is None:
        return NOTHING
    if p < 0.0001:
        return "<0.0001"
    return f"{p:.4f}" if p < 0.001 else f"{p:.3f}"


def tone(metric: str, difference: float | None) -> str:
    """``better``, ``worse`` or nothing: which way a difference points for this metric."""
    better = info(metric).better
    if difference is None or difference == 0 or better == "neither":
        return ""
    return "better" if (difference > 0) == (better == "up") else "worse"


def slug(text: str) -> str:
    """A name that is safe as a file name and as an id.

    >>> slug("../Wiki & co")
    'wiki-co'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def listed(names: Sequence[str]) -> str:
    """Names as part of a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _minus(text: str) -> str:
    return text.replace("-", "−")
