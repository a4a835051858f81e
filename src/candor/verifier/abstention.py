"""When an answer may be taken and when it should count as "I don't know": a threshold chosen at a stated risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from candor.errors import RunError
from candor.metrics.threshold import Choice, accepts, choose_threshold
from candor.metrics.views import stated_view
from candor.predictions.file import read_predictions
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.types import Prediction


@dataclass(frozen=True, slots=True)
class Abstention:
    """A rule for accepting answers, and what it was chosen on.

    Attributes:
        risk: highest error rate allowed among accepted answers.
        confidence: probability, over draws of validation answers, with which the rule keeps to it.
        sources: validation sets it was chosen on; the guarantee is for claims like theirs.
        choice: the threshold on the stated confidence; none where no threshold carries the guarantee.
    """

    risk: float
    confidence: float
    sources: tuple[str, ...]
    choice: Choice

    def accepts(self, confidence: float, valid_mass: float) -> bool:
        """Whether to take an answer; without a threshold that carries the guarantee, none.

        >>> rule = Abstention(0.1, 0.9, ("wiki",), Choice(0.8, 100, 60, 2, 0.09, None))
        >>> rule.accepts(0.8, 0.99), rule.accepts(0.79, 0.99), rule.accepts(0.9, 0.2)
        (True, False, False)
        """
        return bool(accepts(self.choice.threshold, confidence, valid_mass))

    def as_json(self) -> dict[str, Any]:
        """As :meth:`from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Abstention:
        """Read what :meth:`as_json` wrote."""
        return cls(values["risk"], values["confidence"], tuple(values["sources"]), Choice(**values["choice"]))


def choose_abstention(
    folder: Path, recipe: Recipe, *, risk: float | None = None, sources: Sequence[str] | None = None
) -> Abstention | None:
    """Choose the threshold of a finished run on the trained model's validation answers.

    Args:
        folder: the run folder.
        recipe: its recipe.
        risk: highest error rate among accepted answers, in (0, 1); default: the recipe's ``threshold_risk``.
        sources: validation sets to choose on, together; default: those that the run was trained on.

    Returns:
        The rule, or ``None`` where the run has no validation answers.

    Raises:
        RunError: a named validation set is not there, or the risk is out of range.
    """
    if risk is not None and not 0 < risk < 1:
        raise RunError(f"risk: {risk:g} is not between 0 and 1; 0.1 means that one accepted answer in ten may be wrong")
    run = RunFolder(folder)
    there = {source: run.predictions("trained", "validation", source) for source in recipe.data.validation}
    there = {source: path for source, path in there.items() if path.is_file()}
    missing = [source for source in sources or () if source not in there]
    if missing:
        raise RunError(
            f"{folder}: no validation answers of {missing[0]!r}; there are: {', '.join(there) or 'none at all'}"
        )
    used = tuple(sources) if sources else tuple(source for source in there if source in recipe.trained_on())
    if not used:
        return None
    rows: list[Prediction] = [row for source in used for row in read_predictions(there[source]).predictions]
    asked = recipe.evaluation.threshold_risk if risk is None else risk
    confidence = recipe.evaluation.threshold_confidence
    choice = choose_threshold(stated_view(rows), risk=asked, confidence=confidence)
    threshold = None if choice.threshold is None else float(np.float64(choice.threshold))
    plain = Choice(threshold, choice.n, choice.accepted, choice.errors, choice.bound, choice.reason)
    return Abstention(asked, confidence, used, plain)
