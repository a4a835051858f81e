"""Base against trained on the same examples: from two prediction files to one set of results."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from candor.comparison.pairing import Side, Which, load_side, match_sides, provenance_warnings, shortcut_warning
from candor.comparison.study_rules import CALIBRATION_FIGURES, PAIRED_FIGURES, StudyTables, study_p, study_tables
from candor.comparison.validation_fits import recalibration_rows, threshold_side
from candor.errors import PredictionError
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL, RESAMPLES
from candor.metrics.calibration import BINS, LOG_SCORE_CLIP
from candor.metrics.classification import confusion
from candor.metrics.curves import curves
from candor.metrics.names import PROBED, TESTED
from candor.metrics.paired import Metric, MetricDifference, pair_metrics, view_metrics
from candor.metrics.significance import holm, levene_test, mcnemar_test, paired_tests
from candor.metrics.summary import agreement
from candor.metrics.views import View, bayes_view, probed_view, stated_view
from candor.types import LABELS, NO_LABEL, Prediction, Validity

SIGNIFICANCE: Final = 0.01
"""Level below which a corrected p counts as significant, the study's."""

RISK: Final = 0.10
"""Default risk that the abstention threshold keeps."""

SIDES: Final[tuple[Which, Which]] = ("base", "trained")
"""In the order of every pair."""

_PROBE_CURVES: Final[Mapping[Which, Literal["base_probe", "trained_probe"]]] = {
    "base": "base_probe",
    "trained": "trained_probe",
}

_TwoFiles = tuple[Path | str, Path | str]


def compare_files(
    base: Path | str,
    trained: Path | str,
    *,
    paper_conventions: bool = False,
    validation: _TwoFiles | None = None,
    allow: Collection[str] = (),
    dataset: str | None = None,
    role: schema.Role | None = None,
    risk: float = RISK,
    risk_confidence: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> schema.Comparison:
    """Compare two prediction files, of candor's or of the study's format, plain or gzipped.

    Args:
        base: the base model's answers.
        trained: the trained model's answers to the same examples.
        paper_conventions: drop, pair and test as the study did, to reproduce its printed digits.
        validation: both models' answers to the validation split, base first: for recalibration and threshold.
        allow: in what the files may differ all the same: ``prompt``, ``ids``, ``gold``.
        dataset: its name; as in the files' headers if not given.
        role: whether the trained model was trained on this dataset.
        risk: error rate among accepted answers that the abstention threshold keeps, in (0, 1).
        risk_confidence: probability with which it keeps it, in (0, 1).
        resamples: bootstrap resamples, at least 1.
        seed: the same seed and files give the same results.

    Returns:
        results as documented in ``docs/results.md``.

    Raises:
        PredictionError: a file cannot be read, or the files differ in what is not allowed.
    """
    if resamples < 1 or not 0.0 < risk < 1.0 or not 0.0 < risk_confidence < 1.0:
        raise PredictionError(
            f"resamples is {resamples}, risk {risk}, risk_confidence {risk_confidence}: "
            "needs at least 1 resample, and shares strictly between 0 and 1"
        )
    if paper_conventions and validation is not None:
        raise PredictionError("the study's conventions use no validation answers; leave out one of the two")
    sides = (load_side(base, "base"), load_side(trained, "trained"))
    name = dataset or sides[0].header["dataset"] or sides[1].header["dataset"] or Path(trained).name.split(".")[0]
    if paper_conventions:
        results = _by_the_study(*sides, allow, resamples, seed)
    else:
        results = _by_candor(*sides, allow, resamples, seed)
        if validation is not None:
            _add_validation(results, sides, validation, allow, risk, risk_confidence)
    results["dataset"], results["role"] = name, role
    return results


def _by_candor(base: Side, trained: Side, allow: Collection[str], resamples: int, seed: int) -> schema.Comparison:
    matched = match_sides(base, trained, allow)
    views = (stated_view(matched.base), stated_view(matched.trained))
    pair = pair_metrics(*views, resamples=resamples, seed=seed)
    first, second, differences = dict(pair.first), dict(pair.second), dict(pair.differences)
    results = _frame(base, trained, views, resamples, seed)
    for which, view in zip(SIDES, views, strict=True):
        results["confusion"][which] = confusion(view).tolist()
        if view.usable.any():
            results["curves"][which] = curves(view)

    probes = (probed_view(matched.base), probed_view(matched.trained))
    for which, view, probe, side in zip(SIDES, views, probes, (first, second), strict=True):
        if probe is not None:
            side["probe_agreement"] = agreement(view, probe, resamples=resamples, seed=seed)
            results["curves"][_PROBE_CURVES[which]] = curves(probe)
    if probes[0] is not None and probes[1] is not None:
        probe_pair = pair_metrics(probes[0], probes[1], resamples=resamples, seed=seed)
        for name in PROBED:
            plain = name.removeprefix("probe_")
            first[name], second[name] = probe_pair.first[plain], probe_pair.second[plain]
            differences[name] = probe_pair.differences[plain]
    else:
        for probe, side in zip(probes, (first, second), strict=True):
            if probe is not None:
                alone = view_metrics(probe, resamples=resamples, seed=seed)
                side.update({name: alone[name.removeprefix("probe_")] for name in PROBED})

    results["metrics"] = {"base": _figures(first), "trained": _figures(second), "bayes": {}}
    bayes = bayes_view(matched.base)
    if bayes is not None:
        results["metrics"]["bayes"] = _figures(view_metrics(bayes, resamples=resamples, seed=seed))
        results["confusion"]["bayes"] = confusion(bayes).tolist()
        results["curves"]["bayes"] = curves(bayes)
    results["differences"] = _corrected(differences)
    results["settings"]["tested"] = [name for name in TESTED if name in differences]
    results["tests"] = paired_tests(*views)
    results["rows"]["dropped"] = list(matched.dropped)
    results["allowed"] = list(matched.allowed)
    results["warnings"] = [
        *matched.warnings,
        *shortcut_warning(matched.base),
        *provenance_warnings(base.header, trained.header),
        *base.notes,
        *trained.notes,
        *_row_warnings(results["rows"]),
        *_form_warnings((base, trained), (matched.base, matched.trained)),
    ]
    return results


def _figures(metrics: Mapping[str, Metric]) -> dict[str, schema.Figure]:
    return {name: metric.as_json() for name, metric in metrics.items()}


def _corrected(differences: Mapping[str, MetricDifference]) -> dict[str, schema.Difference]:
    tested = {
        name: differences[name].p for name in TESTED if name in differences and math.isfinite(differences[name].p)
    }
    corrected = holm(tested)
    return {name: difference.as_json(corrected.get(name)) for name, difference in differences.items()}


def _frame(base: Side, trained: Side, views: tuple[View, View], resamples: int, seed: int) -> schema.Comparison:
    """Everything that does not depend on a figure."""
    gold = views[0].gold_N
    invalid = [int((view.label_N == NO_LABEL).sum()) for view in views]
    missing = [int((~view.usable).sum()) for view in views]
    return {
        "schema": schema.SCHEMA,
        "kind": "comparison",
        "conventions": "candor",
        "dataset": "",
        "role": None,
        "base": base.header,
        "trained": trained.header,
        "settings": {
            "resamples": resamples,
            "seed": seed,
            "level": LEVEL,
            "bins": BINS,
            "log_score_clip": LOG_SCORE_CLIP,
            "tested": [],
            "significance": SIGNIFICANCE,
        },
        "rows": {
            "base": len(base.rows),
            "trained": len(trained.rows),
            "used": gold.size,
            "groups": len(set(views[0].group_N.tolist())),
            "invalid": {"base": invalid[0], "trained": invalid[1]},
            "without_confidence": {"base": missing[0], "trained": missing[1]},
            "gold": {label.value: int((gold == code).sum()) for code, label in enumerate(LABELS)},
            "dropped": [],
        },
        "metrics": {"base": {}, "trained": {}, "bayes": {}},
        "differences": {},
        "tests": {},
        "confusion": {},
        "curves": {},
        "recalibration": [],
        "threshold": None,
        "allowed": [],
        "warnings": [],
    }


def _form_warnings(sides: tuple[Side, Side], rows: tuple[Sequence[Prediction], Sequence[Prediction]]) -> list[str]:
    """What the figures do not show: a label counts wherever in an answer it can be read."""
    warnings = []
    for which, side, answers in zip(SIDES, sides, rows, strict=True):
        count = sum(row.validity is Validity.READABLE for row in answers)
        # The study's files do not say what form was asked for.
        if count and side.header["format"] == "candor":
            warnings.append(
                f"{which}: {count} of {len(answers)} answers hold a label but are not in the form that was asked for; "
                "they are taken as they can be read."
            )
    return warnings


def _row_warnings(rows: schema.Rows) -> list[str]:
    warnings = [
        f"{side}: {rows['invalid'][side]} of {rows['used']} answers hold no label; each counts as wrong."
        for side in SIDES
        if rows["invalid"][side]
    ]
    missing = rows["without_confidence"]
    if missing["base"] or missing["trained"]:
        warnings.append(
            f"Figures of the confidence leave out the {missing['base']} answers of base and {missing['trained']} of "
            "trained that have none; differences are taken on the rows where both have one."
        )
    return warnings


def _add_validation(
    results: schema.Comparison,
    sides: tuple[Side, Side],
    validation: _TwoFiles,
    allow: Collection[str],
    risk: float,
    confidence: float,
) -> None:
    matched = match_sides(*sides, allow)
    tests = (stated_view(matched.base), stated_view(matched.trained))
    fits = []
    for path, side, which in zip(validation, sides, SIDES, strict=True):
        loaded = load_side(path, f"{which} validation")
        overlap = {row.id for row in loaded.predictions} & {row.id for row in side.predictions}
        if overlap:
            raise PredictionError(
                f"{path}: {len(overlap)} of its ids are in {side.header['path']} too (such as {min(overlap)}); "
                "what is chosen on validation must be judged on other examples"
            )
        if loaded.header["template_sha256"] != side.header["template_sha256"]:
            raise PredictionError(f"{path}: was made with another prompt than {side.header['path']}")
        fits.append(stated_view(loaded.predictions))
    settings = results["settings"]
    results["recalibration"] = recalibration_rows(
        *tests, fits[0], resamples=settings["resamples"], seed=settings["seed"]
    )
    results["threshold"] = {
        "risk": risk,
        "confidence": confidence,
        "base": threshold_side(tests[0], fits[0], risk=risk, confidence=confidence),
        "trained": threshold_side(tests[1], fits[1], risk=risk, confidence=confidence),
    }


def _by_the_study(base: Side, trained: Side, allow: Collection[str], resamples: int, seed: int) -> schema.Comparison:
    matched = match_sides(base, trained, allow)
    tables = study_tables(base.rows, trained.rows)
    views = (tables.base, tables.trained)
    if not min(tables.base.gold_N.size, tables.trained.gold_N.size, tables.base_paired.gold_N.size):
        raise PredictionError("the study's conventions leave no rows to compare")
    results = _frame(base, trained, views, resamples, seed)
    results["conventions"] = "paper"
    pair = pair_metrics(tables.base_paired, tables.trained_paired, resamples=resamples, seed=seed, p_value=study_p)
    for which, view, paired in zip(SIDES, views, (pair.first, pair.second), strict=True):
        alone = view_metrics(view, resamples=resamples, seed=seed)
        own = {name: alone[name] for name in CALIBRATION_FIGURES}
        own |= {name: paired[name] for name in PAIRED_FIGURES if name not in own}
        results["metrics"][which] = _figures(own)
        results["confusion"][which] = confusion(view).tolist()
        results["curves"][which] = curves(view)
    for name in PAIRED_FIGURES:
        figure = pair.differences[name].as_json(None)
        figure["p"] = pair.differences[name].p if math.isfinite(pair.differences[name].p) else None
        results["differences"][name] = figure
    results["settings"]["tested"] = list(PAIRED_FIGURES)
    results["tests"] = {
        "mcnemar": mcnemar_test("mcnemar", "accuracy", tables.base_paired.correct, tables.trained_paired.correct),
        "levene": levene_test(*views),
    }
    results["rows"]["used"] = results["rows"]["groups"] = tables.base_paired.gold_N.size
    results["rows"]["gold"] = {
        label.value: int((tables.base_paired.gold_N == code).sum()) for code, label in enumerate(LABELS)
    }
    results["rows"]["dropped"] = _study_drops(base, trained, tables)
    results["allowed"] = list(matched.allowed)
    results["warnings"] = [
        *matched.warnings,
        "The study's conventions: answers that do not parse are dropped instead of counted as wrong, each table drops "
        "other rows, p can be 0 and is not corrected. Accuracy and confidence of each side are on its own rows, "
        "everything else on the pairs.",
        "AUROC counts ties as one half; the study broke them by sort order, so its third digit differs.",
        *provenance_warnings(base.header, trained.header),
        *shortcut_warning(matched.base),
    ]
    return results


def _study_drops(base: Side, trained: Side, tables: StudyTables) -> list[schema.Dropped]:
    pairs = tables.base_paired.gold_N.size
    parts: tuple[tuple[Which, Side, View], ...] = (("base", base, tables.base), ("trained", trained, tables.trained))
    drops: list[schema.Dropped] = []
    for which, side, view in parts:
        left, unpaired = len(side.rows) - view.gold_N.size, len(side.rows) - pairs
        drops.append({"side": which, "reason": "no label or no confidence (calibration table)", "n": left})
        drops.append({"side": which, "reason": "invalid in either file (paired table)", "n": unpaired})
    return [drop for drop in drops if drop["n"]]
