"""From results and training logs to the figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from candor.recipe.reward import OwnTerm
from candor.report import plots, wording
from candor.report.arms import Arm, Comparison, Spread, datasets_of, difference
from candor.report.plots import Effect, Histogram, Series
from candor.report.runs import SavedRun
from candor.report.style import LABEL_ROLES, SERIES, Drawing, role_of

EFFECTS = ("na_recall", "false_na_rate", "accuracy", "macro_f1", "auroc", "brier")
"""Metrics with a forest plot."""

TERMS = {
    "accuracy": "Accuracy term",
    "shaping": "Shaping term",
    "calibration": "Calibration term",
    "alignment": "Alignment term",
    "false_na": "False-NA term",
    "consistency": "Consistency term",
    "format": "Format term",
}

ARMS_A_PANEL: Final = len(SERIES)
"""More arms are drawn in several panels, in training without the single steps of each seed."""

Points = tuple[list[float], list[float], list[float], list[float], list[int]]
"""x, y, and where there are some the low and high ends of intervals and numbers of answers."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """A panel over the steps of training: which key of the log it shows, and how."""

    key: str
    title: str
    ylabel: str
    percent: bool = False
    cumulative: bool = False
    own_axes: bool = False
    """Whether every arm has axes of its own: rewards of different arms are not on one scale."""


_PANELS = (
    _Panel("accuracy", "Accuracy of sampled answers", "share right", percent=True),
    _Panel("reward", "Mean reward", "reward", own_axes=True),
    _Panel("reward", "Cumulative reward", "sum of means", cumulative=True, own_axes=True),
    _Panel("zero_variance", "Groups without variance", "share", percent=True),
    _Panel("invalid", "Answers out of form", "share", percent=True),
    _Panel("validation_score", "Validation score", ""),
    _Panel("entropy", "Entropy", "nats"),
    _Panel("kl", "Divergence from the base model", "nats"),
    _Panel("grad_norm", "Gradient norm", "before clipping"),
    _Panel("learning_rate", "Learning rate", ""),
    _Panel("sampler_gap", "Log-probabilities, sampler to update", "nats apart, mean"),
)

_EXACT = frozenset({"learning_rate", "validation_score"})
"""Keys without noise from step to step, shown as they are."""


@dataclass(frozen=True, slots=True)
class FigureGroup:
    """Figures that belong together, with what could not be drawn and why.

    Attributes:
        title: of the group; may be empty.
        drawings: in order.
        missing: sentences.
        folded: whether the page shows it only on demand.
    """

    title: str
    drawings: tuple[Drawing, ...]
    missing: tuple[str, ...] = ()
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a report: confidence (a group per dataset), effects, training (overview, then terms)."""

    calibration: tuple[FigureGroup, ...]
    effects: FigureGroup
    training: tuple[FigureGroup, ...]

    @classmethod
    def of(cls, arms: Sequence[Arm]) -> Figures:
        """Draw everything that there is data for."""
        return cls(tuple(calibration_figures(arms)), effect_figures(arms), tuple(training_figures(arms)))

    @property
    def drawings(self) -> list[Drawing]:
        """All of them, in the order of the page."""
        groups = (*self.calibration, self.effects, *self.training)
        return [drawing for group in groups for drawing in group.drawings]

    def within(self, limit: int) -> Figures:
        """The same without the folded groups if the SVGs of all together exceed ``limit`` bytes."""
        if sum(len(drawing.svg) for drawing in self.drawings) <= limit:
            return self
        left_out = "Each term by gold label is left out here to keep this file small; see the files under figures/."
        kept = [group for group in self.training if not group.folded]
        return replace(self, training=(*kept, FigureGroup("", (), (left_out,))))


def calibration_figures(arms: Sequence[Arm]) -> list[FigureGroup]:
    """Reliability, risk-coverage and confidence distribution, a group per dataset."""
    groups = []
    for dataset in datasets_of(arms):
        name = wording.slug(dataset)
        drawings = []
        for part, suffix, place in _parts(arms):
            curves = _curves(part, dataset, reliability_points, named=len(arms) > 1)
            if curves:
                title = f"Reliability on {dataset}{place}"
                drawings.append(plots.reliability(f"reliability-{name}{suffix}", title, curves))
        for part, suffix, place in _parts(arms):
            curves = _curves(part, dataset, risk_coverage_points, named=len(arms) > 1)
            if curves:
                title = f"Risk and coverage on {dataset}{place}"
                drawings.append(plots.risk_coverage(f"risk-coverage-{name}{suffix}", title, curves))
        histograms = _histograms(arms, dataset)
        side_by_side = 3 if len(histograms) == 3 else 2
        for number, first in enumerate(range(0, len(histograms), side_by_side), start=1):
            file = f"confidence-{name}-{number}" if len(histograms) > 3 else f"confidence-{name}"
            shown = histograms[first : first + side_by_side]
            drawings.append(plots.confidence_distribution(file, f"Confidence on {dataset}", shown))
        missing = () if drawings else (f"{dataset}: no answers with a confidence, so nothing to draw.",)
        groups.append(FigureGroup(dataset, tuple(drawings), missing))
    return groups


def effect_figures(arms: Sequence[Arm]) -> FigureGroup:
    """A forest plot per metric: a row per dataset and arm; over several seeds, mean with lowest and highest."""
    drawings = []
    for metric in EFFECTS:
        effects = [
            effect
            for dataset in datasets_of(arms)
            for place, arm in enumerate(arms)
            if (effect := _effect(arm, dataset, metric, role_of(place), named=len(arms) > 1)) is not None
        ]
        if effects:
            known = wording.info(metric)
            better = {"up": "higher is better", "down": "lower is better", "neither": ""}[known.better]
            unit = "points" if known.percent else "trained minus base"
            drawings.append(
                plots.forest(
                    f"effect-{wording.slug(metric)}",
                    known.title,
                    effects,
                    xlabel=", ".join(filter(None, (unit, better))),
                    percent=known.percent,
                )
            )
    return FigureGroup("", tuple(drawings), () if drawings else ("No differences in the results.",))


def training_figures(arms: Sequence[Arm]) -> list[FigureGroup]:
    """Curves of all arms in common panels, then for each arm its reward terms by gold label."""
    logged = [arm for arm in arms if any(run.steps for run in arm.runs)]
    if not logged:
        return [FigureGroup("", (), ("No training log (train/metrics.jsonl) in these runs.",))]
    groups = [_overview(logged)]
    for arm in logged:
        prefix = f"{wording.slug(arm.name)}-" if len(logged) > 1 else ""
        title = "Each term by gold label" + (f": {arm.name}" if len(logged) > 1 else "")
        groups.append(_by_label(arm, prefix, title))
    return groups


def training_warnings(runs: Sequence[SavedRun]) -> list[str]:
    """What the training loop itself warned of: each sign once per run, with the steps at which it began."""
    steps: dict[tuple[str, str], list[str]] = {}
    texts: dict[tuple[str, str], str] = {}
    for run in runs:
        for row in run.steps:
            for text in row.get("warnings") or ():
                # The figures in brackets differ each time; those of the first time are shown.
                sign = (run.name, text.split(" (")[0])
                texts.setdefault(sign, text)
                steps.setdefault(sign, []).append(str(row.get("step", "?")))
    return [
        f"{f'{name}: ' if len(runs) > 1 else ''}{texts[name, sign]}, from step {wording.listed(at)}"
        for (name, sign), at in steps.items()
    ]


def _parts(arms: Sequence[Arm]) -> list[tuple[Sequence[Arm], str, str]]:
    """The arms of each panel, and what its file name and its title end in."""
    count = -(-len(arms) // ARMS_A_PANEL)
    if count == 1:
        return [(arms, "", "")]
    parts = [arms[first : first + ARMS_A_PANEL] for first in range(0, len(arms), ARMS_A_PANEL)]
    return [(part, f"-{number}", f", {number} of {count}") for number, part in enumerate(parts, start=1)]


def _apart(arms: Sequence[Arm]) -> list[tuple[Sequence[Arm], str, str]]:
    """Each arm in a panel of its own, in the form of :func:`_parts`."""
    return [([arm], f"-{wording.slug(arm.name)}", f": {arm.name}") for arm in arms]


def _roles(arms: Sequence[Arm]) -> dict[str, str]:
    return {arm.name: role_of(place) for place, arm in enumerate(arms)}


def _curves(
    arms: Sequence[Arm], dataset: str, read: Callable[[Mapping[str, Any]], Points], *, named: bool
) -> list[Series]:
    """Base, every arm, Bayes; of several seeds the first is in the legend and the others are faint."""
    series: list[Series] = []

    def add(name: str, role: str, side: str, items: Sequence[Comparison], *, dashed: bool = False) -> None:
        seen: list[Points] = []
        for item in items:
            points = read(item.get("curves", {}).get(side, {}))
            if points[0] and points not in seen:
                x, y, low, high, counts = points
                faint = bool(seen)
                if faint or dashed:
                    low, high = [], []
                series.append(Series("" if faint else name, role, x, y, low, high, counts, dashed=dashed, faint=faint))
                seen.append(points)

    everything = [item for arm in arms for item in arm.on(dataset)]
    add("base", "base", "base", everything)
    for place, arm in enumerate(arms):
        add(arm.name if named else "trained", role_of(place), "trained", arm.on(dataset))
    if not named:
        add("trained, probed p", "series3", "trained_probe", everything[:1], dashed=True)
    add("Bayes limit", "bayes", "bayes", everything[:1], dashed=True)
    return series


def reliability_points(curves: Mapping[str, Any]) -> Points:
    """The reliability curve of one model's ``curves`` in results."""
    bins = curves.get("reliability", [])
    return (
        [item["confidence"] for item in bins],
        [item["accuracy"] for item in bins],
        [item["interval"][0] for item in bins],
        [item["interval"][1] for item in bins],
        [item["n"] for item in bins],
    )


def risk_coverage_points(curves: Mapping[str, Any]) -> Points:
    """The risk-coverage curve of one model's ``curves`` in results, thinned."""
    found = curves.get("risk_coverage", {})
    coverage, risk = plots.thinned(found.get("coverage", []), found.get("risk", []))
    # Results of an older version have no band.
    low, high = (plots.thinned(found[end], found[end])[0] if end in found else [] for end in ("risk_low", "risk_high"))
    return coverage, risk, low, high, []


def _histograms(arms: Sequence[Arm], dataset: str) -> list[Histogram]:
    """Base and every arm, of the first seed each."""
    first = {arm.name: items[0].get("curves", {}) for arm in arms if (items := arm.on(dataset))}
    sides = [("base", curves.get("base", {})) for curves in first.values()][:1]
    sides += [(name if len(arms) > 1 else "trained", curves.get("trained", {})) for name, curves in first.items()]
    return [
        Histogram(name, found["edges"], found["correct"], found["incorrect"])
        for name, curves in sides
        if (found := curves.get("histogram"))
    ]


def _effect(arm: Arm, dataset: str, metric: str, role: str, *, named: bool) -> Effect | None:
    items = arm.on(dataset)
    spread = Spread.of([difference(item, metric).get("value") for item in items])
    if spread is None:
        return None
    interval = (spread.low, spread.high) if spread.n > 1 else _interval(items, metric)
    trained_on = " (trained on)" if dataset in arm.trained_on and not named else ""
    return Effect(f"{dataset}, {arm.name}" if named else f"{dataset}{trained_on}", role, spread.mean, interval)


def _interval(items: Sequence[Comparison], metric: str) -> tuple[float, float] | None:
    ends = _first(difference(item, metric).get("interval") for item in items)
    return None if ends is None else (ends[0], ends[1])


def _overview(arms: Sequence[Arm]) -> FigureGroup:
    single = len(arms) == 1
    marks = _marks(arms) if single else ()
    drawings, missing = [], []
    for panel in _PANELS:
        drawn = False
        apart = panel.own_axes and not single
        for part, suffix, place in _apart(arms) if apart else _parts(arms):
            seeds = apart or not suffix
            curves = _arm_curves(
                part, panel.key, cumulative=panel.cumulative, named=not single, seeds=seeds, roles=_roles(arms)
            )
            if curves and single and panel.key == "accuracy":
                curves += _label_curves(arms[0], panel.key)
            if curves:
                name, title = f"training-{wording.slug(panel.title)}{suffix}", f"{panel.title}{place}"
                drawings.append(
                    plots.training(name, title, curves, ylabel=panel.ylabel, percent=panel.percent, marks=marks)
                )
                drawn = True
        if not drawn:
            missing.append(panel.title)
    note = (f"Not in the training log: {wording.listed(missing).lower()}.",) if missing else ()
    return FigureGroup("", tuple(drawings), note)


def _by_label(arm: Arm, prefix: str, title: str) -> FigureGroup:
    drawings, missing = [], []
    for term, name in (TERMS | _own_terms(arm)).items():
        curves = _label_curves(arm, f"reward_{term}") or _arm_curves([arm], f"reward_{term}", named=False)
        if curves:
            drawings.append(plots.training(f"{prefix}term-{wording.slug(term)}", name, curves, ylabel="mean reward"))
        else:
            missing.append(name.lower())
    note = (f"Not in the training log: {wording.listed(missing)}.",) if missing else ()
    return FigureGroup(title, tuple(drawings), note, folded=bool(prefix))


def _own_terms(arm: Arm) -> dict[str, str]:
    """Terms that the recipes have beside candor's, by the name under which they are logged."""
    own = [OwnTerm.model_validate(term) for run in arm.runs for term in run.recipe.get("reward", {}).get("own", [])]
    return {term.name: f"{term.name} ({term.term})" for term in own}


def _label_curves(arm: Arm, key: str) -> list[Series]:
    return [
        Series(f"gold {label}", role, *curve)
        for label, role in LABEL_ROLES.items()
        if (curve := _mean_curve(arm.runs, f"{key}_{label}")) is not None
    ]


def _arm_curves(
    arms: Sequence[Arm],
    key: str,
    *,
    named: bool,
    cumulative: bool = False,
    seeds: bool = True,
    roles: Mapping[str, str] | None = None,
) -> list[Series]:
    """The mean over seeds of each arm, smoothed, over each seed's own values, faint, unless ``seeds`` is false."""
    faint, means = [], []
    for place, arm in enumerate(arms):
        role = roles[arm.name] if roles and len(arms) == 1 else role_of(place)
        for run in arm.runs:
            steps, values = _logged(run, key)
            if values and seeds and not cumulative:
                faint.append(Series("", role, *plots.thinned(steps, values), faint=True))
        curve = _mean_curve(arm.runs, key, cumulative=cumulative)
        if curve is not None:
            means.append(Series(arm.name if named else "all" if key == "accuracy" else "", role, *curve))
    return [*faint, *means]


def _mean_curve(
    runs: Sequence[SavedRun], key: str, *, cumulative: bool = False
) -> tuple[list[float], list[float]] | None:
    by_step: dict[float, list[float]] = {}
    for run in runs:
        total = 0.0
        for step, value in zip(*_logged(run, key), strict=True):
            total += value
            by_step.setdefault(step, []).append(total if cumulative else value)
    if not by_step:
        return None
    steps = sorted(by_step)
    values = [sum(by_step[step]) / len(by_step[step]) for step in steps]
    if not cumulative and key not in _EXACT:
        values = plots.smoothed(values, max(1, len(values) // 16))
    return plots.thinned(steps, values)


def _logged(run: SavedRun, key: str) -> tuple[list[float], list[float]]:
    """Steps and values where the log has a number under ``key``."""
    rows = [row for row in run.steps if isinstance(row.get("step"), int | float) and _is_number(row.get(key))]
    return [row["step"] for row in rows], [row[key] for row in rows]


def _marks(arms: Sequence[Arm]) -> list[float]:
    return [row["step"] for arm in arms for run in arm.runs for row in run.steps if row.get("warnings")]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _first(values: Any) -> Any:
    return next((value for value in values if value), None)
