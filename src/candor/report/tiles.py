"""The first screen: does it say "I don't know" when it should, is it right, does its confidence mean something?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from candor.metrics.seeds import Crossed
from candor.report import wording
from candor.report.arms import (
    Arm,
    Spread,
    datasets_of,
    difference,
    figure,
    is_significant,
    overall,
)
from candor.report.seeds import crossed
from candor.report.style import role_of
from candor.report.tables import Mark

NOWHERE_ELSE: Final = 0.05
"""NA recall that is not above false NA by as much says nothing about evidence: the model says NA anywhere."""

_TONES: Final = {"better": "better", "worse": "worse", "": "no clear difference"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One model on one dataset within a tile.

    Attributes:
        name: the arm, the dataset or both, as far as there are several; else empty.
        role: colour of the arm.
        before, after: the figure of the base model and of the trained one.
        change: the difference with its interval.
        tone: ``better``, ``worse`` or nothing where the interval leaves it open.
        verdict: the same in words.
        sentence: what the figures mean for a hundred claims.
        marks: where both stand between 0 and 1.
    """

    name: str
    role: str
    before: str
    after: str
    change: str
    tone: str
    verdict: str
    sentence: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A question with the answer of every arm; ``metric`` is the title of the figure that answers it."""

    title: str
    metric: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure before and after training, over the seeds of an arm."""

    before: float
    after: float
    change: float
    interval: tuple[float, float] | None
    tone: str
    ends: tuple[float, float] | None


def tiles(arms: Sequence[Arm]) -> list[Tile]:
    """Three tiles, each with a row for every arm on every dataset that it was trained on.

    An arm that was trained on none of its datasets, or does not say so, is shown on its first one. Over several seeds
    the figures are means, and the interval of a change holds for new seeds and new examples.
    """
    places = [(place, arm, dataset) for place, arm in enumerate(arms) for dataset in _home(arm)]
    many_datasets = len({dataset for _, _, dataset in places}) > 1
    found = {
        (arm.name, dataset): {name: _figure(arm, dataset, name) for name in _METRICS} for _, arm, dataset in places
    }
    made = []
    for title, metric, sentence in _QUESTIONS:
        shown = []
        for place, arm, dataset in places:
            figures = found[arm.name, dataset]
            one = figures[metric]
            if one is None:
                continue
            name = " on ".join([arm.name] * (len(arms) > 1) + [dataset] * many_datasets)
            tone, verdict = _judged(metric, figures)
            shown.append(
                Shown(
                    name=name,
                    role=role_of(place),
                    before=_value(metric, one.before),
                    after=_value(metric, one.after),
                    change=_change(metric, one),
                    tone=tone,
                    verdict=verdict,
                    sentence=sentence(figures),
                    marks=(Mark("base", one.before), Mark(role_of(place), one.after, one.ends)),
                )
            )
        if shown:
            made.append(Tile(title, wording.info(metric).title, tuple(shown)))
    return made


def where(arms: Sequence[Arm]) -> str:
    """On what the tiles look, and over how many seeds."""
    names = wording.listed(list(dict.fromkeys(dataset for arm in arms for dataset in _home(arm))))
    seeds = max(len(arm.runs) for arm in arms)
    of = "what was trained on: " if any(arm.trained_on for arm in arms) else ""
    means = " Means over the seeds; the intervals hold for new seeds and new claims." if seeds > 1 else ""
    return f"Before and after training, on test claims of {of}{names}.{means}"


def _home(arm: Arm) -> Sequence[str]:
    return arm.trained_on or datasets_of([arm])[:1]


def _figure(arm: Arm, dataset: str, metric: str) -> _Figure | None:
    items = arm.on(dataset)
    before = overall([arm], dataset, "base", metric)
    after = arm.spread(dataset, "trained", metric)
    if before is None or after is None:
        return None
    change = Spread.of([difference(item, metric).get("value") for item in items])
    value = after.mean - before.mean if change is None else change.mean
    ends: tuple[float, float] | None
    if len(items) > 1:
        over_seeds: Mapping[str, Crossed] = crossed(arm, dataset)
        interval = over_seeds[metric].interval if metric in over_seeds else None
        clear = interval is not None and (interval[0] > 0 or interval[1] < 0)
        ends = (after.low, after.high)
    else:
        interval = _ends(difference(items[0], metric))
        clear = bool(is_significant(items[0], metric))
        ends = _ends(figure(items[0], "trained", metric))
    return _Figure(before.mean, after.mean, value, interval, wording.tone(metric, value) if clear else "", ends)


def _ends(found: Mapping[str, Any]) -> tuple[float, float] | None:
    ends = found.get("interval")
    return None if ends is None else (ends[0], ends[1])


def _judged(metric: str, figures: Mapping[str, _Figure | None]) -> tuple[str, str]:
    """Better or worse; more NA is not better where it is said as much more to claims that could be decided."""
    one, false_na = figures[metric], figures["false_na_rate"]
    assert one is not None
    if metric == "na_recall" and one.tone == "better" and false_na is not None and false_na.change >= one.change:
        return "worse", "no better: NA is said as much more where it should not be"
    outside = one.interval is not None and (one.interval[0] > 0 or one.interval[1] < 0)
    if not one.tone and outside:
        return "", "not significant (Holm)"
    return one.tone, _TONES[one.tone]


def _value(metric: str, value: float) -> str:
    return wording.number(metric, value) + (" %" if wording.info(metric).percent else "")


def _change(metric: str, one: _Figure) -> str:
    unit = " points" if wording.info(metric).percent else ""
    ends = wording.interval(metric, one.interval, sign=True)
    return f"{wording.signed(metric, one.change)}{unit}{f' {ends}' if ends else ''}"


def _hundred(value: float) -> str:
    return f"{100 * value:.0f}"


def _says_na(figures: Mapping[str, _Figure | None]) -> str:
    na, false_na = figures["na_recall"], figures["false_na_rate"]
    assert na is not None
    text = f"Of 100 claims that lack evidence it says so of {_hundred(na.after)} (before: {_hundred(na.before)})"
    if false_na is None:
        return f"{text}."
    text += f"; of 100 that could be decided it says so of {_hundred(false_na.after)}, wrongly "
    text += f"(before: {_hundred(false_na.before)})."
    if na.after - false_na.after < NOWHERE_ELSE:
        text += " It says NA hardly more often where it should than where it should not."
    return text


def _is_right(figures: Mapping[str, _Figure | None]) -> str:
    one = figures["accuracy"]
    assert one is not None
    return f"Of 100 claims it judges {_hundred(one.after)} rightly (before: {_hundred(one.before)})."


def _means_something(figures: Mapping[str, _Figure | None]) -> str:
    one = figures["auroc"]
    assert one is not None
    text = (
        f"Of a right and a wrong answer, the right one has the higher confidence {_hundred(one.after)} times of 100 "
        f"(before: {_hundred(one.before)}; a coin: 50)."
    )
    error = figures["rms_calibration_error"]
    if error is not None:
        text += (
            f" Confidence and share right lie {_hundred(error.after)} points apart (before: {_hundred(error.before)})."
        )
    return text


_METRICS: Final = ("na_recall", "false_na_rate", "accuracy", "auroc", "rms_calibration_error")
_QUESTIONS: Final = (
    ("Says “I don’t know” when it should", "na_recall", _says_na),
    ("Is right", "accuracy", _is_right),
    ("Its confidence means something", "auroc", _means_something),
)
