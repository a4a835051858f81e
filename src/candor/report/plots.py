"""The figures, as functions of plain numbers: each returns one panel, a :class:`~candor.report.style.Drawing`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from candor.report.style import MARKERS, PANEL_INCHES, PAPER, Drawing, Point, finish, style

MAX_POINTS = 200
"""Of a curve: more cannot be told apart in a panel, and would only make the page heavy."""
LEGEND_CHARACTERS = 50
"""That fit side by side above a panel."""
LEGEND_ROWS = 3
"""That fit above a panel of the usual height; more make it higher."""
LEGEND_ROW_INCHES = 0.21

TOLD_POINTS = 17
"""Of a curve whose values a page shows."""

Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A named curve.

    Attributes:
        name: as the legend says it; empty keeps it out of the legend.
        role: its colour, a key of :data:`~candor.report.style.PAPER`.
        x, y: coordinates, as long as each other.
        low, high: ends of an interval at each point, or empty.
        counts: how many answers each point stands for, or empty.
        dashed: whether the line is dashed; used for what no model reached (Bayes, chance).
        faint: whether the line is thin, for one seed among several.
    """

    name: str
    role: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    counts: Sequence[int] = ()
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """One row of a forest plot: an estimate with its interval (``None`` where there is none)."""

    name: str
    role: str
    value: float
    interval: Ends | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of right and wrong answers by stated confidence.

    Attributes:
        name: whose answers.
        edges: B + 1 ends of the bins, ascending.
        right, wrong: B counts each.
    """

    name: str
    edges: Sequence[float]
    right: Sequence[float]
    wrong: Sequence[float]


def reliability(name: str, title: str, curves: Sequence[Series]) -> Drawing:
    """Share of right answers against stated confidence; a calibrated model follows the diagonal."""
    with style():
        figure, axes = _panel(title)
        axes.plot([0, 1], [0, 1], color=PAPER["muted"], linewidth=1, dashes=(2, 2))
        for number, curve in enumerate(curves):
            _errorbar(axes, curve, MARKERS[number % len(MARKERS)])
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="stated confidence", ylabel="share right")
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        _legend(figure, axes)
    described = "; ".join(f"{curve.name}: {_pairs(curve)}" for curve in curves if curve.name)
    description = f"Share of right answers by stated confidence; larger dots stand for more answers. {described}."
    points = [Point(x, y, text) for curve in curves for x, y, text in _told(curve, "{y:.0%} right at {x:.2f}")]
    return finish(name, title, description, figure, [(axes, points)])


def risk_coverage(name: str, title: str, curves: Sequence[Series]) -> Drawing:
    """Share of wrong answers among the most confident ones, by how many are kept."""
    with style():
        figure, axes = _panel(title)
        for curve in curves:
            _line(axes, curve)
        # Of the few surest answers a band reaches far; the curves decide how much of it is shown.
        top = max((max(curve.y, default=0.0) for curve in curves), default=0.0)
        axes.set(xlim=(0, 1.02), ylim=(0, max(0.05, top * 1.08)), xlabel="answers kept", ylabel="wrong among kept")
        _percent(axes.xaxis)
        _percent(axes.yaxis)
        _legend(figure, axes)
    described = "; ".join(
        f"{curve.name}: {curve.y[-1]:.0%} wrong at full coverage" for curve in curves if curve.name and curve.y
    )
    points = [Point(x, y, text) for curve in curves for x, y, text in _told(curve, "{y:.1%} wrong of {x:.0%} kept")]
    return finish(name, title, f"Risk against coverage. {described}.", figure, [(axes, points)])


def confidence_distribution(name: str, title: str, histograms: Sequence[Histogram]) -> Drawing:
    """Stated confidence of right (upwards) and wrong (downwards) answers, one column per model."""
    with style():
        figure = Figure(figsize=PANEL_INCHES, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12.5, fontweight="bold", color=PAPER["text"])
        columns = figure.subplots(1, len(histograms), sharey=True, squeeze=False)[0]
        for axes, histogram in zip(columns, histograms, strict=True):
            widths = [(high - low) * 0.9 for low, high in _bins(histogram.edges)]
            middles = [(high + low) / 2 for low, high in _bins(histogram.edges)]
            axes.bar(middles, histogram.right, widths, color=PAPER["right"], label="right")
            downwards = [-count for count in histogram.wrong]
            axes.bar(middles, downwards, widths, color=PAPER["wrong"], label="wrong")
            axes.axhline(0, color=PAPER["muted"], linewidth=0.8)
            axes.set_title(histogram.name, fontsize=11, fontweight="normal", color=PAPER["muted"])
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):.0f}"))
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
            _percent(axes.xaxis)
            axes.set(xlim=(0, 1), xlabel="confidence", xticks=[0, 0.5, 1] if len(columns) < 3 else [0, 1])
        columns[0].set_ylabel("answers")
        figure.legend(*columns[0].get_legend_handles_labels(), loc="upper right", ncols=2)
    described = "; ".join(
        f"{item.name}: {sum(item.right):.0f} right, {sum(item.wrong):.0f} wrong, mean confidence "
        f"{_mean(item, item.right)} when right and {_mean(item, item.wrong)} when wrong"
        for item in histograms
    )
    points = [(axes, _told_bars(histogram)) for axes, histogram in zip(columns, histograms, strict=True)]
    return finish(name, title, f"Stated confidence of right and wrong answers. {described}.", figure, points)


def forest(name: str, title: str, effects: Sequence[Effect], *, xlabel: str, percent: bool) -> Drawing:
    """Effects with their intervals, one under the other, against a line at no effect."""
    with style():
        height = 1.35 + 0.34 * len(effects)
        figure, axes = _panel(title, height=height)
        axes.axvline(0, color=PAPER["muted"], linewidth=1)
        for row, effect in enumerate(effects):
            colour = PAPER[effect.role]
            if effect.interval is not None:
                axes.plot(effect.interval, (row, row), color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot([effect.value], [row], "o", color=colour, markersize=6.5)
        axes.set(yticks=range(len(effects)), xlabel=xlabel, ylim=(len(effects) - 0.4, -0.6))
        axes.set_yticklabels([effect.name for effect in effects], color=PAPER["text"])
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5, symmetric=False))
        axes.margins(x=0.08)
        scale = 100 if percent else 1
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value * scale)))
    described = "; ".join(f"{effect.name} {_effect(effect, percent)}" for effect in effects)
    points = [
        Point(effect.value, row, f"{effect.name}: {_effect(effect, percent)}") for row, effect in enumerate(effects)
    ]
    return finish(
        name, title, f"Difference trained minus base with its interval. {described}.", figure, [(axes, points)]
    )


def training(
    name: str,
    title: str,
    curves: Sequence[Series],
    *,
    ylabel: str,
    percent: bool = False,
    marks: Sequence[float] = (),
) -> Drawing:
    """A quantity over the steps of training; ``marks`` are steps at which a collapse was noticed."""
    with style():
        figure, axes = _panel(title)
        for curve in curves:
            _line(axes, curve)
        for step in marks:
            axes.axvline(step, color=PAPER["wrong"], linewidth=1, dashes=(2, 2))
        axes.set(xlabel="step", ylabel=ylabel)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if percent:
            top = max((max(curve.y, default=0.0) for curve in curves), default=0.0)
            axes.set_ylim(0, 1.02 if top > 0.5 else max(0.05, 1.15 * top))
            _percent(axes.yaxis)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(6))
        _legend(figure, axes)
    described = "; ".join(
        f"{curve.name or title}: {_number(curve.y[0])} at step {curve.x[0]:.0f}, "
        f"{_number(curve.y[-1])} at step {curve.x[-1]:.0f}"
        for curve in curves
        if curve.y and not curve.faint
    )
    points = [Point(x, y, text) for curve in curves for x, y, text in _told(curve, "{y:.3g} at step {x:.0f}")]
    return finish(name, title, f"{title} over training. {described}.", figure, [(axes, points)])


def smoothed(values: Sequence[float], window: int) -> list[float]:
    """Centred running mean over ``window`` values, shorter at both ends.

    >>> smoothed([0.0, 3.0, 0.0, 3.0], 3)
    [1.5, 1.0, 2.0, 1.5]
    """
    half = window // 2
    means = []
    for place in range(len(values)):
        near = values[max(0, place - half) : place + half + 1]
        means.append(sum(near) / len(near))
    return means


def thinned(x: Sequence[float], y: Sequence[float], most: int = MAX_POINTS) -> tuple[list[float], list[float]]:
    """At most ``most`` of the points (at least 2), evenly chosen, first and last among them.

    >>> thinned([0, 1, 2, 3, 4], [5, 6, 7, 8, 9], 3)
    ([0, 2, 4], [5, 7, 9])
    """
    if len(x) <= most:
        return list(x), list(y)
    places = [round(step * (len(x) - 1) / (most - 1)) for step in range(most)]
    return [x[place] for place in places], [y[place] for place in places]


def _panel(title: str, *, height: float = PANEL_INCHES[1]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(PANEL_INCHES[0], height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12.5, fontweight="bold", color=PAPER["text"])
    return figure, figure.subplots()


def _line(axes: Axes, curve: Series) -> None:
    appearance: dict[str, Any] = {"color": PAPER[curve.role], "label": curve.name or "_hidden"}
    if curve.dashed:
        appearance["dashes"] = (4, 2)
    if len(curve.x) == 1:
        appearance["marker"] = "o"
    if curve.faint:
        appearance |= {"linewidth": 0.8, "alpha": 0.35}
    axes.plot(curve.x, curve.y, **appearance)
    if len(curve.low) == len(curve.x) and len(curve.x) > 0:
        axes.fill_between(curve.x, curve.low, curve.high, color=PAPER[curve.role], alpha=0.15, linewidth=0)


def _errorbar(axes: Axes, curve: Series, marker: str) -> None:
    colour = PAPER[curve.role]
    line: dict[str, Any] = {"color": colour, "linestyle": "--" if curve.dashed else "-"}
    if len(curve.low) == len(curve.x):
        axes.vlines(curve.x, curve.low, curve.high, color=colour, linewidth=1.2, alpha=0.45)
    if curve.dashed or curve.faint or not curve.counts:
        axes.plot(curve.x, curve.y, linewidth=0.8 if curve.faint else 1.6, alpha=0.4 if curve.faint else 1, **line)
    else:
        # Area by number of answers: a bin with three answers should not look like one with three hundred.
        axes.plot(curve.x, curve.y, linewidth=1, alpha=0.5, **line)
        most = max(curve.counts)
        axes.scatter(curve.x, curve.y, [8 + 90 * count / most for count in curve.counts], color=colour, marker=marker)
    if curve.name:
        axes.plot([], [], label=curve.name, marker=None if curve.dashed else marker, **line)


def _legend(figure: Figure, axes: Axes) -> None:
    """Names above the axes; a long list makes the figure higher, so that the axes keep their height."""
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    columns = next(
        (count for count in (5, 4, 3, 2) if sum(_widest(names, count)) <= LEGEND_CHARACTERS and count <= len(names)), 1
    )
    # As many columns as rows need: a legend is filled column by column, and would end with lone entries.
    rows = math.ceil(len(names) / columns)
    columns = math.ceil(len(names) / rows)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW_INCHES * max(0, rows - LEGEND_ROWS))
    axes.legend(handles, names, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderpad=0.1)


def _widest(names: Sequence[str], columns: int) -> list[int]:
    """Characters of each column of a legend, handle included; a legend is filled column by column."""
    rows = math.ceil(len(names) / columns)
    return [max(len(name) + 5 for name in names[start : start + rows]) for start in range(0, len(names), rows)]


def _percent(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f}%"))


def _bins(edges: Sequence[float]) -> list[Ends]:
    return list(itertools.pairwise(edges))


def _mean(histogram: Histogram, counts: Sequence[float]) -> str:
    total = sum(counts)
    if total == 0:
        return "unknown"
    middles = [(low + high) / 2 for low, high in _bins(histogram.edges)]
    return f"{sum(m * c for m, c in zip(middles, counts, strict=True)) / total:.2f}"


def _signed(value: float) -> str:
    text = f"{value:+.3g}"
    return "0" if math.isclose(value, 0, abs_tol=1e-12) else text.replace("-", "−")


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _told(curve: Series, form: str) -> list[tuple[float, float, str]]:
    """Points of a curve with their values in words; not those of single seeds, which have no name of their own."""
    if curve.faint:
        return []
    x, y = thinned(curve.x, curve.y, TOLD_POINTS)
    counts = curve.counts if len(curve.counts) == len(x) else [None] * len(x)
    found = []
    for at, value, count in zip(x, y, counts, strict=True):
        text = form.format(x=at, y=value).replace("-", "−")
        told = f" ({count:,} answers)" if count is not None else ""
        found.append((at, value, f"{curve.name}: {text}{told}" if curve.name else f"{text}{told}"))
    return found


def _told_bars(histogram: Histogram) -> list[Point]:
    bars = zip(_bins(histogram.edges), histogram.right, histogram.wrong, strict=True)
    return [
        Point(
            (low + high) / 2,
            right / 2 if right else -wrong / 2,
            f"{histogram.name}, {low:.2f} to {high:.2f}: {right:.0f} right, {wrong:.0f} wrong",
        )
        for (low, high), right, wrong in bars
        if right or wrong
    ]


def _pairs(curve: Series) -> str:
    return ", ".join(f"{y:.0%} at {x:.2f}" for x, y in zip(curve.x, curve.y, strict=True))


def _effect(effect: Effect, percent: bool) -> str:
    scale, unit = (100, " points") if percent else (1, "")
    text = f"{_signed(effect.value * scale)}{unit}"
    if effect.interval is None:
        return f"{text} (no interval)"
    low, high = effect.interval
    return f"{text} ({_signed(low * scale)} to {_signed(high * scale)})"
