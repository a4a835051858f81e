"""Prediction files of the study: one JSON object whose ``results`` hold an answer each, plain or gzipped.

File and rows are read once, into :class:`StudyRow`. What a row's answer says is then taken in two ways:
:func:`to_prediction` reads its text as candor reads any answer, :mod:`candor.comparison.study_rules` goes by the
study's rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from candor.errors import PredictionError
from candor.files import parse_json
from candor.prompts import templates
from candor.prompts.answers import parse
from candor.types import LABEL_NAMES_WITH_DISPUTED, Label, Prediction, Validity

_DATASET_LABEL: Final = re.compile(
    r"(LABEL[ \t]*=[ \t]*<?)(SUPPORTS|REFUTES|NOT[ _]ENOUGH[ _]INFO|DISPUTED)\b", re.ASCII
)


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One entry of ``results``: what stands in the file, its labels by their names.

    Attributes:
        id: as text.
        claim: the claim's text.
        evidence: sentences shown.
        gold: ``golden_label``; ``None`` where it names none of the three labels.
        predicted: ``predicted_label``; ``None`` where it names none, as where the study read none.
        raw: ``raw_response``; empty where the file has none.
        has_confidence: whether the key ``predicted_conf`` is there.
        confidence: ``predicted_conf``, in [0, 1]; ``None`` where it is null or missing.
        format_valid: ``format_valid``; ``None`` where the key is missing.
    """

    id: str
    claim: str
    evidence: tuple[str, ...]
    gold: Label | None
    predicted: Label | None
    raw: str
    has_confidence: bool
    confidence: float | None
    format_valid: bool | None


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A file's rows and what it says of itself."""

    model: str | None
    source: str | None
    dataset: str | None
    rows: tuple[StudyRow, ...]


def parse_study(text: str, path: Path | str) -> StudyFile:
    """Read the text of a file in the study's format.

    Args:
        text: the file's content.
        path: named in errors.

    Raises:
        PredictionError: it is of no known format, a row lacks a key or repeats an id, or its ``predicted_conf`` is
            no number from 0 to 1; names the row.
    """
    try:
        content = parse_json(text)
    except ValueError as error:
        raise PredictionError(
            f"{path}: neither candor's predictions nor the study's format: not JSON ({error})"
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        raise PredictionError(
            f"{path}: neither candor's predictions nor the study's format (a JSON object with a list \"results\")"
        )
    rows: dict[str, StudyRow] = {}
    for number, entry in enumerate(content["results"]):
        row = _row(entry, f"{path}: results[{number}]")
        if row.id in rows:
            raise PredictionError(f"{path}: results[{number}]: id {row.id!r} occurs twice; ids must be unique")
        rows[row.id] = row
    return StudyFile(
        model=_text_or_none(content, "model"),
        source=_text_or_none(content, "source"),
        dataset=_text_or_none(content, "dataset"),
        rows=tuple(rows.values()),
    )


def to_prediction(row: StudyRow, dataset: str) -> Prediction:
    """Read one row as candor reads any answer: from its text.

    The last ``LABEL=`` in the text is the answer's label and the first ``CONF=`` after it its confidence. Where the
    text has no label that can be read, the file's own counts only if the file marks it valid or has no text at all:
    the study writes NA for answers without a label. Where it has no confidence that can be read, the file's own counts
    unless the file marks the answer as not valid: the study writes 0.5 there.

    Args:
        row: of the study's file.
        dataset: copied into the prediction.

    Raises:
        PredictionError: the row has no gold label.
    """
    if row.gold is None:
        raise PredictionError(
            f"{dataset}: golden_label of id {row.id!r} is none of {', '.join(LABEL_NAMES_WITH_DISPUTED)}; "
            "leave such rows out, they cannot be judged"
        )
    text = _DATASET_LABEL.sub(_own_label, row.raw)
    answer = parse(text, templates.get("verdict-rationale"))
    label, confidence, validity = answer.label, answer.confidence, answer.validity
    vouched = row.format_valid is True or not row.raw.strip()
    if label is None and vouched:
        label = row.predicted
        validity = Validity.NONE if label is None else Validity.READABLE
    if label is not None and confidence is None and (vouched or row.format_valid is None):
        confidence = row.confidence
    return Prediction(
        id=row.id,
        dataset=dataset,
        group=" ".join(row.claim.lower().split()),
        claim=row.claim,
        evidence=row.evidence,
        gold=row.gold,
        raw=row.raw,
        label=label,
        confidence=confidence if label is not None else None,
        validity=validity,
    )


def from_prediction(row: Prediction) -> StudyRow:
    """Write one of candor's predictions as the study would have; ``format_valid`` means exactly the asked form."""
    return StudyRow(
        id=row.id,
        claim=row.claim,
        evidence=row.evidence,
        gold=row.gold,
        predicted=row.label,
        raw=row.raw,
        has_confidence=True,
        confidence=row.confidence,
        format_valid=row.validity is Validity.CLEAN,
    )


def _row(entry: Any, place: str) -> StudyRow:
    if not isinstance(entry, dict):
        raise PredictionError(f"{place}: not a JSON object")
    for key in ("id", "golden_label", "predicted_label"):
        if key not in entry:
            raise PredictionError(f"{place}: the key {key!r} is missing")
    evidence = entry.get("evidence_texts") or ()
    if isinstance(evidence, str):
        # A string walked as a list shows single characters: the study's own slip on two datasets.
        evidence = (evidence,)
    return StudyRow(
        id=str(entry["id"]),
        claim=str(entry.get("claim") or ""),
        evidence=tuple(str(sentence) for sentence in evidence),
        gold=_label(entry["golden_label"]),
        predicted=_label(entry["predicted_label"]),
        raw=_text_or_none(entry, "raw_response") or "",
        has_confidence="predicted_conf" in entry,
        confidence=_confidence(entry.get("predicted_conf"), place),
        format_valid=_flag(entry.get("format_valid"), place),
    )


def _label(value: Any) -> Label | None:
    return LABEL_NAMES_WITH_DISPUTED.get(value.casefold()) if isinstance(value, str) else None


def _own_label(match: re.Match[str]) -> str:
    """The label that a dataset's word in an answer stands for, behind what leads up to it."""
    return match[1] + LABEL_NAMES_WITH_DISPUTED[match[2].replace("_", " ").casefold()]


def _confidence(value: Any, place: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise PredictionError(f"{place}: predicted_conf is {value!r}, not a number from 0 to 1, nor null")
    return float(value)


def _flag(value: Any, place: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise PredictionError(f"{place}: format_valid is {value!r}, not true or false")
    return value


def _text_or_none(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None
