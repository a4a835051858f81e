"""Tables and figure of docs/objective-results.md and docs/real.md, from the runs that an experiment left.

    python benchmarks/objectives.py runs/objectives [--figure docs/images/objectives.svg]
    python benchmarks/objectives.py runs/ablations --metrics auroc,brier,na_recall
    python benchmarks/objectives.py runs/smollm2-arms --figure docs/images/real.svg
    python benchmarks/objectives.py runs/field --against candor

Prints one table for each domain that was evaluated on: mean and (lowest-highest) over the seeds of every arm. With
``--metrics`` one table for each of these, with a column for each domain. With ``--against`` the named arm minus every
other, with p for new seeds and new examples at once, after Holm over the arms. The figure sets the stated confidence of
every seed beside the label probe and, where it is known, the Bayes limit.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from candor.comparison.results import read_results
from candor.comparison.seeds import crossed_over_arms
from candor.comparison.stages import Both
from candor.predictions.file import read_predictions
from candor.run_folder import RunFolder
from candor.types import Prediction

METRICS = {
    "accuracy": "accuracy",
    "na_recall": "NA recall",
    "false_na_rate": "false NA",
    "auroc": "AUROC",
    "brier": "Brier",
    "rms_calibration_error": "calibration error",
    "probe_auroc": "AUROC of p",
    "invalid_rate": "no label",
}

DIFFERENCES = ("accuracy", "na_recall", "auroc", "brier")

Figures = dict[tuple[str, str, str], dict[str, list[float]]]
"""From arm, dataset and side to the values of each metric, one for each seed."""


def read_runs(folder: Path) -> tuple[list[str], list[str], Figures]:
    """Arms and datasets in the order in which runs were finished, and every figure."""
    arms: list[str] = []
    datasets: list[str] = []
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*seed*/results.json"), key=lambda path: path.stat().st_mtime):
        arm = path.parent.name.rpartition("-seed")[0] or folder.name
        arms += [arm] if arm not in arms else []
        for comparison in read_results(path)["comparisons"]:
            dataset = comparison["dataset"]
            datasets += [dataset] if dataset not in datasets else []
            for side, metrics in comparison["metrics"].items():
                for metric in METRICS:
                    value = metrics.get(metric, {}).get("value")
                    if value is not None:
                        figures[arm, dataset, side][metric].append(value)
    if not arms:
        raise SystemExit(f"{folder}: no finished runs (ARM-seedN/results.json, or seedN where the recipe has no arms)")
    return arms, datasets, figures


def short(value: float) -> str:
    """Three digits, without the leading 0.

    >>> short(0.25), short(1.0)
    ('.250', '1.000')
    """
    return f"{value:.3f}".removeprefix("0")


def cell(values: list[float]) -> str:
    """Mean and spread."""
    if not values:
        return "-"
    spread = f" ({short(min(values))}-{short(max(values))})" if len(values) > 1 else ""
    return short(statistics.mean(values)) + spread


def rows(arms: list[str], columns: list[tuple[str, str]], figures: Figures) -> list[list[str]]:
    """Base model, arms and Bayes limit; a cell for each column's dataset and metric."""

    def one(side: str) -> list[str]:
        return [cell(figures[arms[0], dataset, side][metric][:1]) for dataset, metric in columns]

    def of(arm: str) -> list[str]:
        return [cell(figures[arm, dataset, "trained"][metric]) for dataset, metric in columns]

    def seeds(arm: str) -> str:
        return str(len(figures[arm, columns[0][0], "trained"]["accuracy"]))

    trained = [[arm, seeds(arm), *of(arm)] for arm in arms]
    known = any((arms[0], dataset, "bayes") in figures for dataset, _ in columns)
    limit = [["Bayes limit", "", *one("bayes")]] if known else []
    return [["nothing more (base, or warm start)", "", *one("base")], *trained, *limit]


def markdown(title: str, heads: list[str], body: list[list[str]]) -> str:
    """A table in Markdown under its title."""
    lines = [["trained", "seeds", *heads], ["---"] * (2 + len(heads)), *body]
    return f"**{title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table(dataset: str, arms: list[str], figures: Figures) -> str:
    """One dataset's table."""
    columns = [(dataset, metric) for metric in METRICS]
    return markdown(f"Evaluated on {dataset}", list(METRICS.values()), rows(arms, columns, figures))


def metric_table(metric: str, datasets: list[str], arms: list[str], figures: Figures) -> str:
    """One metric's table, a column for each dataset."""
    columns = [(dataset, metric) for dataset in datasets]
    return markdown(METRICS[metric], [f"on {name}" for name in datasets], rows(arms, columns, figures))


def against(folder: Path, arm: str, arms: list[str], dataset: str) -> str:
    """How far an arm is from every other one on a dataset."""

    def answers(name: str, seed: str) -> Sequence[Prediction]:
        run = RunFolder(folder / f"{name}-seed{seed}")
        return read_predictions(run.predictions("trained", "test", dataset)).predictions

    def seeds(name: str) -> list[str]:
        return [path.parent.name.rpartition("-seed")[2] for path in sorted(folder.glob(f"{name}-seed*/results.json"))]

    own = {seed: answers(arm, seed) for seed in seeds(arm)}
    others = [name for name in arms if name != arm]
    found = crossed_over_arms(
        {name: [Both(answers(name, seed), own[seed]) for seed in seeds(name) if seed in own] for name in others}
    )
    lines = [[f"`{arm}` minus", *(METRICS[name] for name in DIFFERENCES)], ["---"] * (1 + len(DIFFERENCES))]
    for name in others:
        cells = [f"`{name}`"]
        for figure in DIFFERENCES:
            there = found[name].get(figure)
            p = None if there is None else there["p_holm"]
            value = "-" if there is None else f"{there['value']:+.3f}".replace("0.", ".", 1)
            cells.append(value if p is None else f"{value} (p {'< .001' if p < 0.001 else short(p)})")
        lines.append(cells)
    return f"**On {dataset}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(path: Path, arms: list[str], datasets: list[str], figures: Figures) -> None:
    """One panel for each dataset; one row for each arm and for what they begin with, one dot for each seed."""
    from matplotlib.figure import Figure

    names = ["before training", *arms]
    figure = Figure(figsize=(11, 0.36 * len(names) + 1.4), layout="constrained")
    axes = figure.subplots(1, len(datasets), sharey=True)
    for axis, dataset in zip(axes, datasets, strict=True):
        for row, name in enumerate(names):
            found = figures[arms[0], dataset, "base"] if row == 0 else figures[name, dataset, "trained"]
            last = 1 if row == 0 else None
            probed, stated = found["probe_auroc"][:last], found["auroc"][:last]
            axis.plot(probed, [row - 0.16] * len(probed), "|", color="#5f6b7a", markersize=9, label="p(label), probed")
            axis.plot(stated, [row + 0.12] * len(stated), "o", color="#0b6e4f", markersize=5, alpha=0.8, label="stated")
        for limit in figures[arms[0], dataset, "bayes"]["auroc"][:1]:
            axis.axvline(limit, color="#b3541e", linewidth=1, label="Bayes limit")
        axis.axvline(0.5, color="#9aa4b0", linewidth=1, linestyle=":", label="chance")
        axis.set(title=f"evaluated on {dataset}", xlabel="AUROC", xlim=(0.4, 0.86))
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    handles, labels = axes[0].get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known.keys(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the tables; draw the figure if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--metrics", type=lambda names: names.split(","), help=f"of {','.join(METRICS)}")
    parser.add_argument("--against", metavar="ARM", help="this arm minus every other one")
    arguments = parser.parse_args()
    if unknown := set(arguments.metrics or ()) - set(METRICS):
        parser.error(f"unknown metric {', '.join(sorted(unknown))}; known: {', '.join(METRICS)}")
    arms, datasets, figures = read_runs(arguments.runs)
    if arguments.against:
        if arguments.against not in arms:
            parser.error(f"no runs of {arguments.against}; there are {', '.join(arms)}")
        print("\n\n".join(against(arguments.runs, arguments.against, arms, dataset) for dataset in datasets))
    elif arguments.metrics:
        print("\n\n".join(metric_table(metric, datasets, arms, figures) for metric in arguments.metrics))
    else:
        print("\n\n".join(table(dataset, arms, figures) for dataset in datasets))
    if arguments.figure:
        draw(arguments.figure, arms, datasets, figures)


if __name__ == "__main__":
    main()
