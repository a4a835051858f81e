"""Prediction files made of counts: so many examples with this gold label that base and trained answer so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from candor.predictions.file import Header, write_predictions
from candor.types import Label, Prediction, Validity

PASS, FAIL, NA = Label.PASS, Label.FAIL, Label.NA

HEADER = Header("tiny", "verdict", "ab" * 32, "wiki", "test", 0)


class Same(NamedTuple):
    """``count`` examples that are answered alike; ``None`` is an answer without a label."""

    count: int
    gold: Label
    base: Label | None
    trained: Label | None
    evidence: bool = True


def prediction(number: int, gold: Label, label: Label | None, *, evidence: bool = True) -> Prediction:
    """One answer; its confidence says nothing."""
    return Prediction(
        id=f"e{number}",
        dataset="wiki",
        group=f"g{number}",
        claim=f"claim {number}",
        evidence=("some",) if evidence else (),
        gold=gold,
        raw="",
        label=label,
        confidence=None if label is None else 0.5 + number % 5 / 10,
        validity=Validity.NONE if label is None else Validity.CLEAN,
    )


def write_pair(folder: Path, answers: Iterable[Same], header: Header = HEADER, *, name: str = "") -> tuple[Path, Path]:
    """Write ``base.jsonl`` and ``trained.jsonl`` and return their paths."""
    rows = [one for one in answers for _ in range(one.count)]
    paths = (folder / f"{name}base.jsonl", folder / f"{name}trained.jsonl")
    for path, side in zip(paths, ("base", "trained"), strict=True):
        made = [
            prediction(number, row.gold, getattr(row, side), evidence=row.evidence) for number, row in enumerate(rows)
        ]
        write_predictions(path, header, made)
    return paths


def kept(count: int = 250) -> list[Same]:
    """PASS and FAIL examples that both models answer rightly."""
    return [Same(count, PASS, PASS, PASS), Same(count, FAIL, FAIL, FAIL)]
