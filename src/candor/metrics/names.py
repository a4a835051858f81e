"""The names under which figures are kept, with what a reader of a table needs to know of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Better = Literal["up", "down", "neither"]
Family = Literal["labels", "confidence", "selective"]


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a name means.

    Attributes:
        name: the key in results.
        title: for tables and axes.
        better: which direction is good; ``neither`` where a larger value is neither good nor bad in itself.
        family: ``labels`` needs labels alone, ``confidence`` and ``selective`` need a confidence too.
        percent: whether the value is a share that reads well as a percentage.
    """

    name: str
    title: str
    better: Better
    family: Family
    percent: bool = False


def _labels() -> list[MetricInfo]:
    infos = [
        MetricInfo("accuracy", "Accuracy", "up", "labels", percent=True),
        MetricInfo("macro_f1", "Macro-F1", "up", "labels"),
    ]
    for part in ("recall", "precision", "f1"):
        title = "F1" if part == "f1" else part
        infos += [
            MetricInfo(f"{label.lower()}_{part}", f"{label} {title}", "up", "labels", percent=part != "f1")
            for label in ("NA", "PASS", "FAIL")
        ]
    infos += [
        MetricInfo("false_na_rate", "False NA", "down", "labels", percent=True),
        MetricInfo("na_rate", "Answers NA", "neither", "labels", percent=True),
        MetricInfo("invalid_rate", "Invalid answers", "down", "labels", percent=True),
    ]
    return infos


_CONFIDENCE: Final = [
    MetricInfo("auroc", "AUROC of confidence", "up", "confidence"),
    MetricInfo("auprc", "AUPRC of confidence", "up", "confidence"),
    MetricInfo("brier", "Brier score", "down", "confidence"),
    MetricInfo("brier_all", "Brier score, missing confidence = 1", "down", "confidence"),
    MetricInfo("brier_reliability", "Brier: reliability part", "down", "confidence"),
    MetricInfo("brier_resolution", "Brier: resolution part", "up", "confidence"),
    MetricInfo("brier_uncertainty", "Brier: uncertainty part", "neither", "confidence"),
    MetricInfo("log_score", "Log score", "up", "confidence"),
    MetricInfo("rms_calibration_error", "Calibration error (RMS, debiased)", "down", "confidence"),
    MetricInfo("ece", "Expected calibration error", "down", "confidence"),
    MetricInfo("adaptive_ece", "Adaptive calibration error", "down", "confidence"),
    MetricInfo("confidence_mean", "Mean confidence", "neither", "confidence"),
    MetricInfo("confidence_std", "Spread of confidence", "neither", "confidence"),
    MetricInfo("confidence_missing_rate", "Answers without a confidence", "down", "confidence", percent=True),
    MetricInfo("aurc", "Area under risk-coverage", "down", "selective"),
    MetricInfo("excess_aurc", "Excess AURC over the oracle", "down", "selective"),
    MetricInfo("augrc", "Area under generalized risk-coverage", "down", "selective"),
    MetricInfo("coverage_at_1", "Coverage at 1 % risk", "up", "selective", percent=True),
    MetricInfo("coverage_at_5", "Coverage at 5 % risk", "up", "selective", percent=True),
    MetricInfo("coverage_at_10", "Coverage at 10 % risk", "up", "selective", percent=True),
]

STATED: Final[tuple[str, ...]] = tuple(info.name for info in [*_labels(), *_CONFIDENCE])
"""Figures of the stated answer (label and stated confidence), in the order of a table."""

_NOT_PROBED: Final = frozenset({"invalid_rate", "confidence_missing_rate", "brier_all"})

PROBED: Final[tuple[str, ...]] = tuple(f"probe_{name}" for name in STATED if name not in _NOT_PROBED)
"""The same of the probed label: the answer argmax p(label) with confidence max p(label)."""

METRICS: Final[dict[str, MetricInfo]] = {
    info.name: info
    for info in [
        *_labels(),
        *_CONFIDENCE,
        *(
            MetricInfo(f"probe_{info.name}", f"Probe: {info.title}", info.better, info.family, info.percent)
            for info in [*_labels(), *_CONFIDENCE]
            if info.name not in _NOT_PROBED
        ),
        MetricInfo("probe_agreement", "Answer is the probe's argmax", "neither", "labels", percent=True),
    ]
}
"""Every name there is."""

TESTED: Final[tuple[str, ...]] = (
    "accuracy",
    "macro_f1",
    "na_recall",
    "pass_recall",
    "fail_recall",
    "na_precision",
    "false_na_rate",
    "invalid_rate",
    "auroc",
    "brier",
    "log_score",
    "aurc",
    "confidence_std",
    "probe_accuracy",
    "probe_auroc",
    "probe_brier",
    "probe_aurc",
)
"""Differences that get a p-value and share one Holm correction; every other has an interval at most.

Calibration errors are not among them: two calibrated models of which one only spreads more differ in them by chance."""
