"""How many answers of a model keep to the form that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from candor.predictions.file import read_predictions
from candor.types import Validity

FEW: Final = 0.1
"""A model that answers a smaller part of the claims in the form learns the form before anything else."""


def out_of_form(files: Iterable[Path]) -> str | None:
    """Words for a base model that hardly ever answers in the form; ``None`` where it does.

    Args:
        files: its predictions.

    Raises:
        PredictionError: a file cannot be read.
    """
    answers = [prediction for path in files for prediction in read_predictions(path).predictions]
    clean = sum(prediction.validity is Validity.CLEAN for prediction in answers)
    if not answers or clean >= FEW * len(answers):
        return None
    said = next(prediction.raw for prediction in answers if prediction.validity is not Validity.CLEAN)
    number = "none" if not clean else f"{clean:,}"
    return (
        f"the base model answers {number} of {len(answers):,} claims in the form (it says, for instance, "
        f"{' '.join(said.split())[:60]!r}); `warm_start:` teaches it: see docs/models.md"
    )
