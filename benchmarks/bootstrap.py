"""How fast is the paired bootstrap of all figures, against a plain loop that resamples rows?

Both sides compute the same figures of two files with 1,000 answers each, on the same machine in the same run, taking
turns. The loop draws rows and computes every figure from the drawn rows, as one would write it down, but for those
that take off what chance adds; it runs a fraction of the resamples and its time is scaled up. Our side runs all of
them, and makes every interval and p-value too. Both sides are checked to agree on every figure of the data and, within
the noise of the loop's resamples, on the spread.

    python benchmarks/bootstrap.py
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Sequence

import numpy as np

from candor.metrics.calibration import BINNED, BINS, LOG_SCORE_CLIP
from candor.metrics.paired import pair_metrics
from candor.metrics.views import View
from candor.types import NO_LABEL

Row = tuple[int, int, float]  # gold, answer, confidence


def answers(rows: int, seed: int, accuracy: float, levels: Sequence[float]) -> View:
    """Made-up answers: half NA, a tenth of the labels at random, confidences as a model states them, all readable."""
    draw = random.Random(seed)
    gold = [(0, 1, 2, 2)[number % 4] for number in range(rows)]
    label = [code if draw.random() < accuracy else draw.randrange(3) for code in gold]
    weights = [1 / (1 + number) for number in range(len(levels))]
    confidence = draw.choices(levels, weights, k=rows)
    return View(np.array(gold), np.array(label), np.array(confidence), np.arange(rows))


def plain_figures(rows: Sequence[Row]) -> dict[str, float]:
    """Every figure in a plain pass over the rows."""
    n = len(rows)
    figures: dict[str, float] = {
        "accuracy": sum(gold == label for gold, label, _ in rows) / n,
        "na_rate": sum(label == 2 for _, label, _ in rows) / n,
        "false_na_rate": sum(gold != 2 and label == 2 for gold, label, _ in rows) / sum(gold != 2 for gold, *_ in rows),
        "invalid_rate": sum(label == NO_LABEL for _, label, _ in rows) / n,
        "confidence_missing_rate": sum(math.isnan(c) for _, _, c in rows) / n,
    }
    f1s = []
    for code, name in enumerate(("pass", "fail", "na")):
        hits = sum(gold == code and label == code for gold, label, _ in rows)
        golds = sum(gold == code for gold, _, _ in rows)
        answered = sum(label == code for _, label, _ in rows)
        figures[f"{name}_recall"] = hits / golds
        figures[f"{name}_precision"] = hits / answered
        figures[f"{name}_f1"] = 2 * hits / (golds + answered)
        f1s.append(figures[f"{name}_f1"])
    figures["macro_f1"] = sum(f1s) / 3

    scored = [(c, gold == label) for gold, label, c in rows]
    mean = sum(c for c, _ in scored) / n
    figures["brier"] = figures["brier_all"] = sum((c - right) ** 2 for c, right in scored) / n
    clip = LOG_SCORE_CLIP
    figures["log_score"] = sum(math.log(min(max(c if right else 1 - c, clip), 1 - clip)) for c, right in scored) / n
    figures["confidence_mean"] = mean
    figures["confidence_std"] = math.sqrt(sum((c - mean) ** 2 for c, _ in scored) / n)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for c, right in scored:
        bins.setdefault(min(max(math.ceil(c * BINS - 1e-9) - 1, 0), BINS - 1), []).append((c, right))
    ece = 0.0
    for members in bins.values():
        size = len(members)
        stated = sum(c for c, _ in members) / size
        hit = sum(right for _, right in members) / size
        ece += size * abs(stated - hit) / n
    figures["ece"] = ece

    ties: dict[float, list[int]] = {}
    for c, right in scored:
        ties.setdefault(c, [0, 0])[right] += 1
    equal_mass = [0.0] * BINS
    accepted = errors = found = 0
    pairs = precision = area = general = 0.0
    covered = {0.01: 0, 0.05: 0, 0.10: 0}
    rights = sum(right for _, right in scored)
    wrongs = n - rights
    for c in sorted(ties, reverse=True):
        misses, hits = ties[c]
        size = misses + hits
        pairs += hits * (wrongs - errors - misses + misses / 2)
        for k in range(1, size + 1):
            area += (errors + k * misses / size) / (accepted + k)
            general += errors + (k - 0.5) * misses / size
        bin_number = min(int((accepted + size / 2) * BINS / n), BINS - 1)
        equal_mass[bin_number] += c * size - hits
        accepted, errors, found = accepted + size, errors + misses, found + hits
        precision += hits * found / accepted
        for risk in covered:
            if errors <= risk * accepted + 1e-9:
                covered[risk] = accepted
    figures["auroc"] = pairs / (rights * wrongs)
    figures["auprc"] = precision / rights
    figures["adaptive_ece"] = sum(abs(gap) for gap in equal_mass) / n
    figures["aurc"] = area / n
    figures["augrc"] = general / n**2
    figures["excess_aurc"] = (area - sum((k - rights) / k for k in range(rights + 1, n + 1))) / n
    for risk, share in covered.items():
        figures[f"coverage_at_{round(100 * risk)}"] = share / n
    return figures


def plain_bootstrap(base: Sequence[Row], trained: Sequence[Row], resamples: int) -> dict[str, list[float]]:
    """Difference of every figure on each resample, drawn and computed row by row."""
    draw = random.Random(0)
    n = len(base)
    differences: dict[str, list[float]] = {}
    for _ in range(resamples):
        chosen = [draw.randrange(n) for _ in range(n)]
        before = plain_figures([base[number] for number in chosen])
        after = plain_figures([trained[number] for number in chosen])
        for name, value in after.items():
            differences.setdefault(name, []).append(value - before[name])
    return differences


def main() -> None:
    """Check that both sides agree, then time them in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--loop-resamples", type=int, default=200, help="that the loop really runs, per turn")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()

    grid = [
        0.9,
        0.95,
        0.85,
        0.8,
        0.99,
        0.7,
        0.6,
        0.98,
        0.5,
        0.92,
        0.75,
        0.65,
        0.88,
        0.4,
        0.97,
        1.0,
        0.55,
        0.3,
        0.2,
        0.0,
    ]
    views = answers(arguments.rows, 1, 0.6, grid), answers(arguments.rows, 2, 0.75, grid)
    base, trained = (
        list(zip(view.gold_N.tolist(), view.label_N.tolist(), view.confidence_N.tolist(), strict=True))
        for view in views
    )

    pair = pair_metrics(*views, resamples=arguments.resamples)
    expected = plain_figures(base), plain_figures(trained)
    assert set(pair.first) == {*expected[0], *BINNED}, set(pair.first) ^ set(expected[0])
    for name in expected[0]:
        assert math.isclose(pair.first[name].value, expected[0][name], abs_tol=1e-9), name
        assert math.isclose(pair.second[name].value, expected[1][name], abs_tol=1e-9), name

    loop_seconds, our_seconds, drawn = [], [], {}
    for _ in range(arguments.turns):
        start = time.perf_counter()
        drawn = plain_bootstrap(base, trained, arguments.loop_resamples)
        loop_seconds.append((time.perf_counter() - start) * arguments.resamples / arguments.loop_resamples)
        start = time.perf_counter()
        pair_metrics(*views, resamples=arguments.resamples)
        our_seconds.append(time.perf_counter() - start)

    # The loop's few resamples know their own spread to some 5 %; ten times that would be an error, not noise.
    for name, values in drawn.items():
        interval = pair.differences[name].interval
        theirs = statistics.pstdev(values)
        if theirs > 1e-9 and not name.startswith("coverage") and not name.endswith("ece"):
            assert interval is not None, name
            ours = (interval[1] - interval[0]) / 3.92
            assert 0.5 < ours / theirs < 2.0, (name, ours, theirs)

    loop, ours = statistics.median(loop_seconds), statistics.median(our_seconds)
    print(
        json.dumps(
            {
                "rows": arguments.rows,
                "figures": len(pair.differences),
                "resamples": arguments.resamples,
                "loop_seconds": round(loop, 2),
                "loop_seconds_turns": [round(seconds, 1) for seconds in loop_seconds],
                "loop_resamples_run": arguments.loop_resamples,
                "candor_seconds": round(ours, 4),
                "candor_seconds_turns": [round(seconds, 4) for seconds in our_seconds],
                "ratio_of_medians": round(loop / ours, 1),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
