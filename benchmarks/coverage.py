"""Do intervals hold the truth as often as they say, and is p small no more often than it says?

Answers are drawn from a made-up model whose true figures are known, alone and in groups of one to ten, of which half of
the rows share what they are about. Every interval of one model and of a difference is made as a comparison makes it;
the table says in which share of the draws it holds the truth. Bounds on one side have a table of their own: they should
lie on their side of the truth in 95 % of the draws or more. Two models of equal skill say how often each p is below .05
although nothing differs, also with 2, 5, 10 and 30 NA examples; seeds that share a test set likewise.

    python benchmarks/coverage.py            # about twelve minutes on one core
    python benchmarks/coverage.py --quick    # does it run? some twenty seconds, numbers of no use
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from candor.metrics.calibration import binned_calibration, label_calibration
from candor.metrics.curves import reliability, risk_coverage
from candor.metrics.figures import exact_figures, share_rows
from candor.metrics.names import METRICS, TESTED
from candor.metrics.paired import Pair, exact_differences, pair_metrics
from candor.metrics.paired_share import paired_share_difference
from candor.metrics.reweighting import reweighted_pair
from candor.metrics.seeds import crossed_interval
from candor.metrics.significance import paired_tests
from candor.metrics.skill import skill_scores
from candor.metrics.views import View
from candor.types import NO_LABEL

NA = 2
SHARED = 0.5
"""Share of the rows of a group that share their confidence and their luck with each other."""
OWN = 0.5
"""Share of the rows on which a model has luck and confidence of its own; on the others every model has the same."""
INVALID = 0.04
"""Share of answers without a label."""
SETTINGS = [(n, most) for most in (1, 10) for n in (100, 300, 1_000)]
"""Rows, and rows of the largest group; at least 30 groups from 200 rows on, so 100 rows come in groups of up to 5."""
SKILLS = ((0.7, 0.7), (0.7, 0.85))
"""Of the two models that are compared: once alike, once not."""
UNLIKE = 0.25
"""Share of the draws in which they are not: a p is counted only where they are alike, an interval in both."""
CLASS_SHARES = {"PASS": 0.45, "FAIL": 0.45, "NA": 0.1}
"""Of gold labels that are drawn as .3, .3 and .4: figures are reweighted to these."""
SHARES = ("accuracy", "na_recall", "pass_recall", "fail_recall", "false_na_rate", "invalid_rate")
"""Tested shares of the same rows for both models; of accuracy and NA recall the p is that of McNemar's test, too."""
WITHIN = (0.93, 0.97)
LEVEL_P = 0.05


@dataclass
class Rates:
    """How often something happened, by name and setting."""

    yes: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    of: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, name: str, setting: str, happened: bool) -> None:
        """Count one draw."""
        self.yes[name, setting] += int(happened)
        self.of[name, setting] += 1

    def rate(self, name: str, setting: str) -> float:
        """Share of the draws; NaN without any."""
        return self.yes[name, setting] / self.of[name, setting] if self.of[name, setting] else math.nan


def group_codes(draw: np.random.Generator, n: int, most: int) -> NDArray[np.int64]:
    """Groups of one to ``most`` rows, n rows in all."""
    return np.repeat(np.arange(n), draw.integers(1, most + 1, n))[:n]


def answers(
    draw: np.random.Generator, n: int, most: int, skills: tuple[float, ...], *, na: int | None = None
) -> list[View]:
    """One view per model: equal examples, groups, and half of the luck; a model of skill s is right with s c + .1.

    Args:
        draw: decides.
        n: rows.
        most: rows of the largest group.
        skills: of each model, in (0, .9].
        na: number of NA examples; ``None`` for four of ten.
    """
    group = group_codes(draw, n, most)

    def luck(shape: tuple[float, float] | None = None) -> NDArray[np.float64]:
        alone, together = draw.beta(*shape, (2, n)) if shape else draw.random((2, n))
        return np.where(draw.random(n) < (SHARED if most > 1 else 0.0), together[group], alone)

    gold = (
        draw.choice(3, n, p=(0.3, 0.3, 0.4)) if na is None else np.where(np.arange(n) < na, NA, draw.integers(0, 2, n))
    )
    gold = gold[draw.permutation(n)] if na is not None else gold
    common, stated = luck(), luck((4, 2))
    views = []
    for skill in skills:
        own = draw.random(n) < OWN
        chance = np.where(own, luck(), common)
        confidence = np.round(np.where(own, luck((4, 2)), stated), 2)
        right = chance < skill * confidence + 0.1
        label = np.where(right, gold, (gold + draw.integers(1, 3, n)) % 3)
        unread = draw.random(n) < INVALID
        label, confidence = np.where(unread, NO_LABEL, label), np.where(unread, np.nan, confidence)
        views.append(View(gold, label, confidence, group))
    return views


@dataclass(frozen=True)
class Truth:
    """Figures of either model, and second minus first, from a draw so large that chance does not count."""

    first: dict[str, float]
    second: dict[str, float]
    differences: dict[str, float]

    @classmethod
    @cache
    def of(cls, skills: tuple[float, float]) -> Truth:
        """Of models of these skills; alike ones do not differ."""
        first, second = answers(np.random.default_rng(99), 400_000, 1, skills)
        sides = [exact_figures(view, binned_calibration(view)) for view in (first, second)]
        if skills[0] == skills[1]:
            return cls(sides[0], sides[0], dict.fromkeys(sides[0], 0.0))
        return cls(sides[0], sides[1], exact_differences(first, second))


def settings(repetitions: int) -> Iterator[tuple[str, int, int, int]]:
    """Name, rows, largest group, and number of draws: more where answers are few."""
    for n, most in SETTINGS:
        most = min(most, 5) if n == 100 else most
        yield f"{n}{'' if most == 1 else f', 1-{most}'}", n, most, repetitions if n == 100 else repetitions // 2


def count_pair(pair: Pair, truth: Truth, setting: str, held: Rates, bounds: Rates) -> None:
    """Whether the intervals of either model and of the differences hold the truth, and bounds lie below it."""
    for side, expected in ((pair.first, truth.first), (pair.second, truth.second)):
        for name, figure in side.items():
            count(held, name, setting, figure.interval, expected[name])
            if figure.at_least is not None:
                bounds.add(name, setting, figure.at_least <= expected[name] + 1e-9)
    for name, difference in pair.differences.items():
        expected_difference = truth.differences[name]
        count(held, f"difference of {name}", setting, difference.interval, expected_difference)
        count(held, f"BCa difference of {name}", setting, difference.interval_bca, expected_difference)


def simulate_comparisons(
    repetitions: int, resamples: int, part: int, held: Rates, bounds: Rates, alarms: Rates
) -> None:
    """Intervals where the models differ and where they do not; p where they do not."""
    for skills in SKILLS:
        truth, alike = Truth.of(skills), skills[0] == skills[1]
        for setting, n, most, times in settings(repetitions if alike else round(UNLIKE * repetitions)):
            draw = np.random.default_rng([n, most, round(100 * skills[1]), part])
            for number in range(times):
                first, second = answers(draw, n, most, skills)
                pair = pair_metrics(first, second, resamples=resamples, seed=number)
                count_pair(pair, truth, setting, held, bounds)
                if not alike:
                    continue
                for name in TESTED:
                    if name in pair.differences and name not in SHARES and math.isfinite(pair.differences[name].p):
                        alarms.add(name, setting, pair.differences[name].p < LEVEL_P)


def simulate_tests(repetitions: int, part: int, alarms: Rates) -> None:
    """Two models that are alike, by tests that need no resamples: ten times as many draws."""
    for setting, n, most, times in settings(10 * repetitions):
        draw = np.random.default_rng([n, most, 4, part])
        for _ in range(times):
            first, second = answers(draw, n, most, SKILLS[0])
            for name in SHARES:
                p = share_p(name, first, second)
                if math.isfinite(p):
                    alarms.add(name, setting, p < LEVEL_P)
            for name, test in paired_tests(first, second).items():
                if test["p"] is not None and not name.startswith("mcnemar"):
                    alarms.add(f"test {name}", setting, test["p"] < LEVEL_P)


def share_p(name: str, first: View, second: View) -> float:
    """Return p of a difference of shares of the same rows: McNemar's, by group."""
    over_N, hits_N = share_rows(name, first) or (first.usable, first.usable)
    _, other_N = share_rows(name, second) or (first.usable, first.usable)
    return paired_share_difference(hits_N[over_N], other_N[over_N], first.group_N[over_N]).p_two_sided


@cache
def large_view() -> View:
    """Answers of one model, so many that chance does not count."""
    return answers(np.random.default_rng(98), 400_000, 1, (0.7,))[0]


def simulate_curves(repetitions: int, part: int, held: Rates, alarms: Rates) -> None:
    """Bands, skill and gaps by label of one model; the calibration test and the band of ECE for calibrated answers."""
    large = large_view()
    risk = float(1 - large.correct[large.confidence_N >= 0.7].mean())
    skills = {name: figure["value"] for name, figure in skill_scores(large).items()}
    gaps = {label: found["gap"]["value"] for label, found in label_calibration(large).items()}
    middle = large.take((large.confidence_N > 10 / 15) & (large.confidence_N <= 11 / 15)).correct.mean()
    for setting, n, most, times in settings(repetitions):
        draw = np.random.default_rng([n, most, 1, part])
        for number in range(times):
            view = answers(draw, n, most, (0.7,))[0]
            line = risk_coverage(view)
            place = max(index for index, threshold in enumerate(line["threshold"]) if threshold >= 0.7)
            count(held, "risk at confidence .7", setting, (line["risk_low"][place], line["risk_high"][place]), risk)
            for one in reliability(view):
                if math.isclose(one["low"], 10 / 15):
                    count(held, "accuracy in the bin at .7", setting, one["interval"], float(middle))
            for name, figure in skill_scores(view).items():
                count(held, f"skill {name}", setting, figure["interval"], skills[name] or math.nan)
            for label, found in label_calibration(view).items():
                count(held, f"gap of answers {label}", setting, found["gap"]["interval"], gaps[label] or math.nan)
            count_calibrated(answers(draw, n, most, (0.9,))[0], setting, number, held, alarms)


def count_calibrated(view: View, setting: str, number: int, held: Rates, alarms: Rates) -> None:
    """Right with .9 c + .1: stated as such, the confidence is calibrated."""
    calibrated = View(view.gold_N, view.label_N, 0.9 * view.confidence_N + 0.1, view.group_N)
    found = binned_calibration(calibrated, seed=number)
    if found is not None:
        held.add("ECE in its band if calibrated", setting, found.ece_band[0] <= found.ece <= found.ece_band[1])
        alarms.add("calibrated", setting, found.p_calibrated < LEVEL_P)
        low = None if found.error.interval is None else found.error.interval[0]
        held.add("rms_calibration_error if 0", setting, low == 0.0)


@cache
def values_under_shares() -> list[dict[str, float]]:
    """Figures of each model on rows that are kept so often that gold labels have other shares."""
    large = answers(np.random.default_rng(97), 400_000, 1, SKILLS[1])
    weight_N = np.array(list(CLASS_SHARES.values()))[large[0].gold_N] / np.array([0.3, 0.3, 0.4])[large[0].gold_N]
    kept_N = np.random.default_rng(96).random(weight_N.size) < weight_N / weight_N.max()
    return [exact_figures(view.take(kept_N), None) for view in large]


def simulate_shares(repetitions: int, resamples: int, part: int, held: Rates) -> None:
    """Figures of one model, and differences, under other class shares."""
    values = values_under_shares()
    for setting, n, most, times in settings(repetitions):
        draw = np.random.default_rng([n, most, 3, part])
        for number in range(times):
            sides = answers(draw, n, most, SKILLS[1])
            first, _, differences = reweighted_pair(*sides, CLASS_SHARES, resamples=resamples, seed=number)
            for name, figure in first.items():
                count(held, f"reweighted {name}", setting, figure.interval, values[0][name])
            for name, figure in differences.items():
                truth = values[1][name] - values[0][name]
                count(held, f"difference of reweighted {name}", setting, figure.interval, truth)


def simulate_few(repetitions: int, resamples: int, part: int, alarms: Rates) -> None:
    """Few NA examples among 100, two models of equal skill; p that need no resamples are drawn ten times as often."""
    for na in (2, 5, 10, 30):
        draw = np.random.default_rng([na, 2, part])
        setting = f"{na} NA"
        for number in range(repetitions):
            differences = pair_metrics(
                *answers(draw, 100, 1, SKILLS[0], na=na), resamples=resamples, seed=number
            ).differences
            for name in ("na_precision", "macro_f1"):
                if math.isfinite(differences[name].p):
                    alarms.add(f"{name}, few NA", setting, differences[name].p < LEVEL_P)
        for _ in range(10 * repetitions):
            first, second = answers(draw, 100, 1, SKILLS[0], na=na)
            for name in ("na_recall", "false_na_rate"):
                alarms.add(f"{name}, few NA", setting, share_p(name, first, second) < LEVEL_P)
        for _ in range(4 * repetitions):
            place = draw.random(na)
            for margin in (0.1, -0.05):
                share = paired_share_difference(place > 0.8, place < 0.2 + margin, np.arange(na), margin=margin)
                alarms.add(f"one-sided p at the margin {margin:+g}", setting, share.p < LEVEL_P)


def count(held: Rates, name: str, setting: str, interval: tuple[float, float] | None, truth: float) -> None:
    """Whether an interval holds the truth, where there is one."""
    if interval is not None:
        held.add(name, setting, interval[0] - 1e-9 <= truth <= interval[1] + 1e-9)


def simulate_seeds(repetitions: int, part: int, held: Rates, alarms: Rates) -> None:
    """Accuracy over seeds that share 300 examples, in groups; seeds differ by as much as the examples say, or not."""
    for seeds in (3, 5):
        for spread in (0.0, 0.02, 0.06):
            draw = np.random.default_rng([seeds, round(100 * spread), part])
            setting = f"{seeds} seeds"
            for _ in range(2 * repetitions):
                group = group_codes(draw, 300, 10)
                place = np.where(draw.random(300) < SHARED, draw.random(300)[group], draw.random(300))
                rises = 0.15 + spread * draw.normal(size=(seeds, 1))
                own = draw.random((seeds, 300)) < OWN
                places = np.where(own, draw.random((seeds, 300)), place)
                shift = (places < rises).astype(float) - (places > 0.85)
                values = shift.mean(axis=1)
                parts = np.array(
                    [np.bincount(group, row - mean) / 300 for row, mean in zip(shift, values, strict=True)]
                )
                found = crossed_interval(values, parts)
                if found.interval is not None:
                    held.add(f"seeds that differ by {spread:g}", setting, found.interval[0] <= 0 <= found.interval[1])
                    alarms.add(f"seeds that differ by {spread:g}", setting, found.p < LEVEL_P)


def show(title: str, rates: Rates, low: float, high: float) -> None:
    """Print a table: rows by name, columns by setting; what lies outside by more than chance is starred."""
    columns = list(dict.fromkeys(setting for _, setting in rates.of))
    lines = [f"\n{title}\n", f"| | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    fewest = [min(number for (_, column), number in rates.of.items() if column == setting) for setting in columns]
    lines.append(f"| draws, at least | {' | '.join(map(str, fewest))} |")
    for name in dict.fromkeys(name for name, _ in rates.of):
        cells = []
        for setting in columns:
            rate, number = rates.rate(name, setting), rates.of[name, setting]
            chance = 2 * math.sqrt(0.05 * 0.95 / number) if number else 0.0
            mark = "*" if rate < low - chance or rate > high + chance else ""
            cells.append("" if math.isnan(rate) else f"{rate:.3f}{mark}".lstrip("0"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(lines), flush=True)


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="the tables are printed after each, of all so far")
    parser.add_argument("--repetitions", type=int, default=50, help="draws of a round behind each p; of intervals more")
    parser.add_argument("--resamples", type=int, default=500, help="of the bootstrap in each draw")
    parser.add_argument("--quick", action="store_true", help="one round of 6 repetitions of 50 resamples")
    asked = parser.parse_args()
    rounds, repetitions, resamples = (asked.rounds, asked.repetitions, asked.resamples)
    if asked.quick:
        rounds, repetitions, resamples = 1, 6, 50

    held, bounds, alarms, few, seeds_held, seeds_alarms = (Rates() for _ in range(6))
    for part in range(rounds):
        simulate_seeds(repetitions, part, seeds_held, seeds_alarms)
        simulate_few(repetitions, resamples, part, few)
        simulate_curves(4 * repetitions, part, held, alarms)
        simulate_tests(repetitions, part, alarms)
        simulate_shares(repetitions, resamples, part, held)
        simulate_comparisons(repetitions, resamples, part, held, bounds, alarms)
        assert set(METRICS) >= {name for name, _ in held.of} & set(METRICS)
        print(f"\n{part + 1} of {rounds} rounds; * is outside by more than chance (two standard errors).")
        show("Share of 95 % intervals that hold the truth (rows, rows of a group)", held, *WITHIN)
        show("Share of bounds on one side that lie on it", bounds, 0.95, 1.0)
        show("Share of p below .05 where nothing differs", alarms, 0.03, 0.07)
        show("Share of p below .05 where nothing differs, few NA examples of 100", few, 0.0, 0.05)
        show("Seeds on one test set: share of intervals that hold the truth", seeds_held, *WITHIN)
        show("Seeds on one test set: share of p below .05", seeds_alarms, 0.03, 0.07)


if __name__ == "__main__":
    main()
