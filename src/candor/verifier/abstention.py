"""When an answer may be taken and when it should count as "I don't know": a threshold chosen at a stated risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.comparison.threshold import ThresholdSources, choose_on, threshold_sources
from candor.errors import RunError
from candor.metrics.threshold import Choice, accepts, choose_threshold
from candor.metrics.views import stated_view
from candor.predictions.file import read_predictions
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.types import Prediction
from candor.verifier.calibration_claims import CalibrationClaims


@dataclass(frozen=True, slots=True)
class Abstention:
    """A rule for accepting answers, and what it was chosen on.

    Attributes:
        risk: highest error rate allowed among accepted answers.
        confidence: probability, over draws of the answers that it was chosen on, with which the rule keeps to it.
        sources: datasets that it was chosen on, together; the guarantee is for claims like theirs.
        choice: the threshold on the stated confidence; none where no threshold carries the guarantee.
        split: which of their examples it was chosen on: ``calibration`` or ``validation``.
        weighted_to: so many unlabelled claims said how to weight these examples; 0 where they count as they are.
    """

    risk: float
    confidence: float
    sources: tuple[str, ...]
    choice: Choice
    split: str = "calibration"
    weighted_to: int = 0

    def accepts(self, confidence: float, valid_mass: float) -> bool:
        """Whether to take an answer; without a threshold that carries the guarantee, none.

        >>> rule = Abstention(0.1, 0.9, ("wiki",), Choice(0.8, 100, 60, 2, 0.09, None))
        >>> rule.accepts(0.8, 0.99), rule.accepts(0.79, 0.99), rule.accepts(0.9, 0.2)
        (True, False, False)
        """
        return bool(accepts(self.choice.threshold, confidence, valid_mass))

    @property
    def promise(self) -> str:
        """What the rule promises, for which claims, and what it does not."""
        data = f"{self.split} examples of {', '.join(self.sources)}"
        if self.choice.threshold is None:
            return f"No answer is accepted: {self.choice.reason} (risk {self.risk:g}; {self.choice.n} {data})."
        claims = f"claims like the {data}"
        if self.weighted_to:
            claims = (
                f"claims like the {self.weighted_to} it was weighted to, as far as their differences from the {data} "
                "show in their traits"
            )
        return (
            f"Answers with a confidence of {self.choice.threshold:.2f} or more are accepted. With {self.confidence:g} "
            f"certainty at most {self.risk:g} of those accepted are wrong, on {claims} "
            f"({self.choice.n} of them, one of each group). On other claims nothing is promised."
        )

    def as_json(self) -> dict[str, Any]:
        """As :meth:`from_json` reads it, with the promise in words."""
        return asdict(self) | {"promise": self.promise}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Abstention:
        """Read what :meth:`as_json` wrote.

        What an earlier version wrote accepts nothing: it may have chosen the threshold on answers that had chosen the
        checkpoint, or counted answers of one group as independent.
        """
        choice = Choice(**values["choice"])
        if "split" not in values:
            reason = "an earlier version chose the threshold on answers that may flatter it; export the run again"
            choice = replace(choice, threshold=None, bound=None, accepted=0, errors=0, reason=reason)
        return cls(
            values["risk"],
            values["confidence"],
            tuple(values["sources"]),
            choice,
            values.get("split", "validation"),
            values.get("weighted_to", 0),
        )


def choose_abstention(
    folder: Path, recipe: Recipe, *, risk: float | None = None, sources: Sequence[str] | None = None
) -> Abstention | None:
    """Choose the threshold of a finished run: that of its results, unless another risk or other sources are asked for.

    Args:
        folder: the run folder.
        recipe: its recipe.
        risk: highest error rate among accepted answers, in (0, 1); default: the recipe's ``threshold_risk``.
        sources: datasets to choose on, together; default: all under ``data.calibration``, or without any the
            validation sets of what the run was trained on.

    Returns:
        The rule, or ``None`` where the run has no answers to choose on.

    Raises:
        RunError: a named dataset has no such answers, or the risk is out of range.
    """
    if risk is not None and not 0 < risk < 1:
        raise RunError(f"risk: {risk:g} is not between 0 and 1; 0.1 means that one accepted answer in ten may be wrong")
    run = RunFolder(folder)
    used = threshold_sources(run, recipe, sources)
    if used is None:
        return None
    asked = recipe.evaluation.threshold_risk if risk is None else risk
    confidence = recipe.evaluation.threshold_confidence
    choice = choose_on(stated_view(_rows(run, used)), risk=asked, confidence=confidence, refused=used.refused)
    return Abstention(asked, confidence, used.names, choice, used.split)


def calibration_claims(
    folder: Path, recipe: Recipe, *, sources: Sequence[str] | None = None
) -> CalibrationClaims | None:
    """What is kept of the claims that :func:`choose_abstention` chooses on.

    Returns:
        ``None`` where there are none, where they must not be chosen on, or where no answer has label probabilities.

    Raises:
        RunError: a named dataset has no such answers.
    """
    run = RunFolder(folder)
    used = threshold_sources(run, recipe, sources)
    if used is None or used.refused is not None:
        return None
    return CalibrationClaims.from_predictions(_rows(run, used))


def weighted_abstention(rule: Abstention, known: CalibrationClaims, traits_M_F: NDArray[np.float64]) -> Abstention:
    """Choose a threshold for M claims that nobody has labelled, on the calibration claims weighted to be like them.

    Args:
        rule: gives risk, confidence and sources.
        known: the claims that it was chosen on.
        traits_M_F: traits of the new claims, at least one.
    """
    weight_N = known.weights(traits_M_F)
    choice = choose_threshold(known.answers, risk=rule.risk, confidence=rule.confidence, weight_N=weight_N)
    return replace(rule, choice=choice, weighted_to=len(traits_M_F))


def _rows(run: RunFolder, used: ThresholdSources) -> list[Prediction]:
    return [
        row for name in used.names for row in read_predictions(run.predictions("trained", used.split, name)).predictions
    ]
