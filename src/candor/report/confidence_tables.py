"""The tables about confidence: what it means, what a fit would do for it, and from where on it may be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from candor.metrics.schema import Threshold
from candor.report import wording
from candor.report.arms import Comparison, figure, start_of
from candor.report.tables import Cell, Group, Row, Table, dataset_title, figure_cell
from candor.run_folder import SIDES
from candor.types import LABELS

_FITS = {
    "none": "as stated",
    "temperature": "temperature",
    "platt": "Platt",
    "isotonic": "isotonic",
    "label_probability": "p of its label",
    "scaled_label_probability": "p, temperature",
    "agreement": "8 samples agree",
    "distractors": "DINCO",
}


def calibration_table(items: Sequence[Comparison]) -> Table | None:
    """How far the confidence is off, with what chance alone would show, over all answers and by label."""
    groups = []
    for item in items:
        rows = []
        for side in SIDES:
            found = item.get("calibration", {}).get(side)
            if not found:
                continue
            error = figure_cell("rms_calibration_error", figure(item, side, "rms_calibration_error"))
            band = wording.interval("ece", found["ece_band"])
            ece = Cell(wording.number("ece", found["ece"]), f"if calibrated {band}")
            gaps = [
                _gap_cell(found["by_label"][label]) if label in found["by_label"] else Cell(wording.NOTHING)
                for label in LABELS
            ]
            rows.append(Row(side, (error, ece, Cell(wording.p_value(found["p_calibrated"])), *gaps)))
        if rows:
            groups.append(Group(dataset_title(item), tuple(rows)))
    columns = ("Model", "Error, debiased", "ECE", "p (calibrated)", *(f"Answers {label}" for label in LABELS))
    caption = (
        "Calibration error without what chance adds (root mean square over bins); the usual ECE with the band where it "
        "would lie if the answers were calibrated, and the p of that; confidence minus accuracy by answered label."
    )
    return Table("calibration", caption, columns, tuple(groups)) if groups else None


def _gap_cell(found: Mapping[str, Any]) -> Cell:
    gap = found["gap"]
    return Cell(wording.signed("ece", gap["value"]), wording.interval("ece", gap["interval"], sign=True))


def recalibration_table(items: Sequence[Comparison]) -> Table | None:
    """The base model's confidence after a fit on validation, and what training adds to it."""
    metrics = ("brier", "ece", "log_score", "auroc")
    groups = []
    for item in items:
        rows = []
        for fit in item.get("recalibration", ()):
            cells = []
            for metric in metrics:
                found = fit.get("metrics", {}).get(metric, {})
                gain = fit.get("trained_minus", {}).get(metric, {}).get("value")
                note = "" if gain is None else f"trained {wording.signed(metric, gain)}"
                cells.append(Cell(wording.number(metric, found.get("value")), note))
            rows.append(Row(f"base, {_FITS.get(fit['method'], fit['method'])}", tuple(cells)))
        if rows:
            trained = tuple(figure_cell(metric, figure(item, "trained", metric)) for metric in metrics)
            groups.append(Group(dataset_title(item), (*rows, Row("trained", trained))))
    if not groups:
        return None
    caption = (
        f"The {start_of(items)}'s answers with other confidences: the stated one recalibrated on validation answers, "
        "the probability of the label, the share of sampled labels that agree, and DINCO, the mean of that share and "
        "of what is stated by what is stated for all labels; below each, trained minus this."
    )
    return Table("recalibration", caption, ("Confidence", *map(wording.title, metrics)), tuple(groups))


def threshold_table(items: Sequence[Comparison]) -> Table | None:
    """The abstention threshold and what it does on the test rows of every dataset."""
    groups = []
    caption = ""
    notes: list[str] = []
    for item in items:
        chosen = item.get("threshold")
        if not chosen:
            continue
        caption = (
            f"The lowest confidence at which at most {chosen['risk']:.0%} of the accepted answers are wrong, with "
            f"{chosen['confidence']:.0%} confidence, chosen on {_chosen_on(chosen)}."
        )
        rows = []
        for side in SIDES:
            found = chosen[side]
            bound = found["threshold"]
            text = "none reaches it" if bound is None else f"{bound:.2f}"
            cells = (Cell(text), *(figure_cell("accuracy", found[key]) for key in ("coverage", "risk")))
            rows.append(Row(side, cells))
        notes += chosen.get("notes", [])
        promised = item["dataset"] in chosen.get("sources", [item["dataset"]])
        title = dataset_title(item) + ("" if promised else ": the threshold promises nothing here")
        groups.append(Group(title, tuple(rows)))
    columns = ("Model", "Threshold", "Answers accepted, %", "Wrong among them, %")
    return Table("threshold", " ".join([caption, *dict.fromkeys(notes)]), columns, tuple(groups)) if groups else None


def _chosen_on(chosen: Threshold) -> str:
    """Which answers, and what they stand for."""
    if "sources" not in chosen:  # results of an earlier version: each dataset's own validation answers
        return "each dataset's validation answers"
    sources = ", ".join(chosen["sources"])
    return f"{chosen.get('split') or 'other'} answers of {sources}. It holds for claims like those and for no others"
