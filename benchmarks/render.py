"""Write the measured tables into ``docs/performance.md`` and draw its plots, from the results kept beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from common import RESULTS, ROOT

PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
COLOURS = {
    "trl": "#b5651d",
    "generate": "#b5651d",
    "candor": "#1f5fa8",
    "all_answers": "#6fa8dc",
    "verdict": "#3d85c6",
    "floor": "#9a9a9a",
}


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def step_table(result: dict[str, Any]) -> str:
    """Seconds, ratios, token counts and memory of a step."""
    rows = [
        [
            name,
            *(f"{row[side]:.2f}" for side in ("trl", "candor", "floor")),
            f"**{row['trl_over_candor']:.1f}**",
            f"{row['candor_over_floor']:.2f}",
            f"{row['unique_tokens']:,}",
        ]
        for name, row in result["cells"].items()
    ]
    memory = result["peak_mb"]
    text = table(["", "TRL, s", "candor, s", "floor, s", "TRL / candor", "candor / floor", "distinct tokens"], rows)
    return (
        f"{text}\n\nPeak memory of separate processes: TRL (tuned) {memory['trl']:,.0f} MB, "
        f"candor {memory['candor']:,.0f} MB, **{memory['candor'] / memory['trl']:.2f}** of it."
    )


def evaluate_table(result: dict[str, Any]) -> str:
    """Seconds of each way of answering, and how often generate's time holds them."""
    names = {
        "generate": "`generate`, text alone",
        "candor": "candor, text and label probabilities",
        "all_answers": "candor, probabilities of all 303 answers",
        "verdict": "candor, a verdict: the same with the ends of few",
        "floor": "floor",
    }
    seconds = result["medians"]
    rows = [
        [name, f"{seconds[side]:.2f}", f"{seconds['generate'] / seconds[side]:.1f}"] for side, name in names.items()
    ]
    return table(["", "CPU seconds", "`generate` / this"], rows)


def growth_table(axes: dict[str, Any]) -> str:
    """One table for each axis."""
    parts = []
    for name, points in axes.items():
        rows = [
            [
                f"{row['value']}",
                f"{row['candor']:.2f}",
                f"{row['floor']:.2f}",
                f"{row['unique_tokens']:,}",
                f"{row['all_tokens']:,}",
                *(
                    "" if before is None else f"{row[side] / before[side]:.2f}"
                    for side in ("candor", "floor", "unique_tokens")
                ),
            ]
            for before, row in zip([None, *points], points, strict=False)
        ]
        header = [
            name.split(",")[0],
            "candor, s",
            "floor, s",
            "distinct tokens",
            "tokens row by row",
            "candor / row above",
            "floor / row above",
            "distinct tokens / row above",
        ]
        parts.append(f"{name.capitalize()}:\n\n{table(header, rows)}")
    return "\n\n".join(parts)


def bars(path: Path, title: str, groups: dict[str, dict[str, float]]) -> None:
    """Seconds of each side, a group of bars for each kind of work."""
    figure, axis = plt.subplots(figsize=(7, 0.5 + 0.34 * sum(map(len, groups.values()))))
    place, ticks, labels = 0.0, [], []
    for group, sides in groups.items():
        for side, seconds in sides.items():
            axis.barh(place, seconds, color=COLOURS[side])
            axis.text(seconds, place, f" {seconds:.1f}", va="center", fontsize=8)
            ticks.append(place)
            labels.append(f"{group}  {side.replace('_', ' ')}" if group else side.replace("_", " "))
            place -= 1
        place -= 0.6
    axis.set_yticks(ticks, labels, fontsize=8)
    axis.set_xlabel("CPU seconds, one thread")
    axis.set_title(title, fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def lines(path: Path, axes: dict[str, Any]) -> None:
    """Cost and floor along each axis."""
    figure, panels = plt.subplots(1, len(axes), figsize=(3.0 * len(axes), 3.0))
    for panel, (name, rows) in zip(panels, axes.items(), strict=True):
        values = [row["value"] for row in rows]
        for side in ("candor", "floor"):
            panel.plot(values, [row[side] for row in rows], marker="o", markersize=3, color=COLOURS[side], label=side)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(values, [str(value) for value in values], fontsize=7)
        panel.minorticks_off()
        panel.set_title(name.replace(", ", ",\n"), fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("CPU seconds of a step")
    panels[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Fill the page's marked places with what has been measured."""
    plt.rcParams["svg.hashsalt"] = "candor"
    IMAGES.mkdir(parents=True, exist_ok=True)
    page = PAGE.read_text()
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        kind = path.stem.split("_")[0]
        if kind == "step":
            text = step_table(result)
            groups = {n: {s: row[s] for s in ("trl", "candor", "floor")} for n, row in result["cells"].items()}
            draw = (bars, "One GRPO step", groups)
        elif kind == "evaluate":
            text = evaluate_table(result)
            draw = (bars, f"Answers to {result['prompts']} prompts", {"": result["medians"]})
        else:
            text = growth_table(result["axes"])
            draw = (lines, result["axes"])
        image, (kind_of_plot, *what) = IMAGES / f"{path.stem}.svg", draw
        if image.name in page:
            kind_of_plot(image, *what)
        begin, end = f"<!-- {path.stem} -->", f"<!-- end {path.stem} -->"
        page = re.sub(f"{begin}.*?{end}", lambda _, t=text, b=begin, e=end: f"{b}\n{t}\n{e}", page, flags=re.DOTALL)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
