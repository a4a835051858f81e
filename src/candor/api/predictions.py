"""A model's answers to one dataset, for a program or a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from candor.api.tables import html_table, to_frame
from candor.comparison.pairing import load_side
from candor.types import LABELS, Prediction

if TYPE_CHECKING:
    import pandas as pd

SHOWN_ROWS: Final = 10
"""Of the answers, in a notebook."""

SHOWN_CHARACTERS: Final = 120
"""Of a claim, in a notebook."""

COLUMNS: Final = (
    *("id", "dataset", "claim", "evidence", "gold", "label", "correct", "confidence"),
    *("p_pass", "p_fail", "p_na", "valid_mass", "validity", "group", "raw"),
)
"""Of :meth:`Predictions.to_frame`."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's answers to the examples of one dataset, in the order of the file.

    Attributes:
        path: the file.
        model: who answered; ``None`` where the file does not say.
        rows: the answers.
    """

    path: Path
    model: str | None
    rows: tuple[Prediction, ...]

    def __len__(self) -> int:
        """Return the number of answers."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Prediction]:
        """Go through the answers."""
        return iter(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """One row an answer: claim, evidence, gold and stated label, confidence, label probabilities, raw text.

        ``correct`` is false where no label could be read: such an answer is wrong, not NA.

        Raises:
            CandorError: pandas is not installed.
        """
        return to_frame(COLUMNS, [_values(row) for row in self.rows])

    def _repr_html_(self) -> str:
        shown = [
            (
                _short(row.claim),
                row.gold.value,
                "–" if row.label is None else row.label.value,
                "–" if row.confidence is None else f"{row.confidence:.2f}",
            )
            for row in self.rows[:SHOWN_ROWS]
        ]
        right = sum(row.label == row.gold for row in self.rows)
        words = f"{len(self)} answers of {self.model or 'an unnamed model'}, {right} right"
        rest = len(self) - len(shown)
        table = html_table(("claim", "gold", "label", "confidence"), shown, caption=words)
        return table + (f"<p>and {escape(str(rest))} more; to_frame() gives all</p>" if rest else "")


def read_predictions(path: Path | str) -> Predictions:
    """Read a prediction file, of candor's format or of the published study's, plain or gzipped.

    Raises:
        PredictionError: the file is missing, has another format or holds a row that cannot be used; names the line.
    """
    side = load_side(Path(path), "trained")
    return Predictions(Path(path), side.header["model"], tuple(side.predictions))


def _values(row: Prediction) -> tuple[Any, ...]:
    probs = row.label_probs or (None,) * len(LABELS)
    label = None if row.label is None else row.label.value
    return (
        *(row.id, row.dataset, row.claim, list(row.evidence), row.gold.value, label, row.label == row.gold),
        *(row.confidence, *probs, row.valid_mass, row.validity.value, row.group, row.raw),
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
