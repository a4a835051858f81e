"""What is kept of the claims that a threshold was chosen on: no text, only traits and whether the answers were right.

With it a verifier says whether claims look unlike them, and weights them to claims that nobody has labelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candor.data.text import normalise_claim
from candor.metrics.familiarity import (
    FEWEST_KNOWN,
    SHIFT_LEVEL,
    Familiarity,
    density_ratio,
    shift_p_values,
)
from candor.metrics.threshold import one_per_group
from candor.metrics.views import View, stated_view
from candor.types import Prediction

TRAITS: Final = (
    "words of the claim",
    "words of the evidence",
    "sentences of the evidence",
    "share of the claim's words in the evidence",
    "probability of the likeliest label",
    "stated confidence",
)
"""What claims are compared by, in the order of :func:`text_traits` and :func:`answer_traits`."""

_CLIP: Final = 0.005
"""Shares are compared as log odds, cut as in the log score."""

_DIGITS: Final = 6

_LEAST_P: Final = 1e-4
"""Smaller ones are told as smaller than this: so far out in its tail the test's approximation means little."""


def text_traits(claim: str, evidence: Iterable[str]) -> tuple[float, float, float, float]:
    """What a claim and its evidence look like: log(1 + words) of both, sentences, and words in common.

    >>> [round(trait, 2) for trait in text_traits("Owls are fish.", ["Owls are birds of prey."])]
    [1.39, 1.79, 1.0, 0.67]
    """
    sentences = tuple(evidence)
    words = normalise_claim(claim).split()
    shown = normalise_claim(" ".join(sentences)).split()
    overlap = len(set(words) & set(shown)) / max(1, len(set(words)))
    return float(np.log1p(len(words))), float(np.log1p(len(shown))), float(len(sentences)), overlap


def answer_traits(label_probs: Iterable[float], confidence: float) -> tuple[float, float]:
    """What an answer looks like: log odds of the likeliest label and of the stated confidence."""
    shares = np.clip([max(label_probs), confidence], _CLIP, 1 - _CLIP)
    odds = np.log(shares / (1 - shares))
    return float(odds[0]), float(odds[1])


@dataclass(frozen=True, slots=True)
class Resemblance:
    """How claims, taken together, compare with those that a threshold was chosen on.

    Attributes:
        claims: how many different ones were compared.
        unfamiliar: how many of them look unlike the calibration claims on their own; of claims like those,
            ``UNFAMILIAR_RATE`` would at most.
        p: probability that claims like the calibration claims differ so much in some trait; below ``SHIFT_LEVEL`` they
            are called unlike them.
        traits: the same of each trait, corrected for their number.
    """

    claims: int
    unfamiliar: int
    p: float
    traits: Mapping[str, float]

    @property
    def shifted(self) -> bool:
        """Whether the claims, taken together, are called unlike the calibration claims."""
        return self.p < SHIFT_LEVEL

    @property
    def words(self) -> str:
        """The finding in one sentence."""
        if not self.shifted:
            return f"Nothing shows that these {self.claims} claims differ from those the threshold was chosen on."
        differing = [trait for trait, p in sorted(self.traits.items(), key=lambda item: item[1]) if p < SHIFT_LEVEL]
        return (
            f"These {self.claims} claims look unlike those the threshold was chosen on ({', '.join(differing)}; "
            f"p {'< 0.0001' if self.p < _LEAST_P else f'= {self.p:.1g}'}; {self.unfamiliar} of them on their own): on "
            "them it promises nothing."
        )


@dataclass(frozen=True)
class CalibrationClaims:
    """Claims that a threshold was chosen on, each with its traits and its answer.

    Attributes:
        traits_N_F: in the order of ``TRAITS``.
        answers: as stated, with gold labels.
    """

    traits_N_F: NDArray[np.float64]
    answers: View

    @classmethod
    def from_predictions(cls, rows: Sequence[Prediction]) -> CalibrationClaims | None:
        """Take the answers in ``rows`` that have a confidence and label probabilities; ``None`` where none has."""
        used = [row for row in rows if row.label is not None and row.confidence is not None and row.label_probs]
        if not used:
            return None
        traits = [
            (*text_traits(row.claim, row.evidence), *answer_traits(row.label_probs or (), row.confidence or 0.0))
            for row in used
        ]
        return cls(np.array(traits), stated_view(used))

    @cached_property
    def _independent(self) -> NDArray[np.int64]:
        return one_per_group(self.answers.group_N)

    @cached_property
    def _familiarity(self) -> Familiarity | None:
        enough = self._independent.size >= FEWEST_KNOWN
        return Familiarity(self.traits_N_F[self._independent]) if enough else None

    def unfamiliar(self, traits_M_F: NDArray[np.float64]) -> list[bool | None]:
        """Whether each of M claims looks unlike these; ``None`` where these are of too few groups to tell."""
        if self._familiarity is None or not len(traits_M_F):
            return [None] * len(traits_M_F)
        flags: list[bool | None] = self._familiarity.unfamiliar(traits_M_F).tolist()
        return flags

    def resemblance(self, traits_M_F: NDArray[np.float64]) -> Resemblance:
        """Compare M claims, taken together, with these; the same traits count once.

        Raises:
            ValueError: there are no claims.
        """
        if not len(traits_M_F):
            raise ValueError("no claims to compare")
        different = np.unique(traits_M_F, axis=0)
        p_F = shift_p_values(self.traits_N_F[self._independent], different)
        flagged = sum(flag is True for flag in self.unfamiliar(different))
        return Resemblance(len(different), flagged, float(p_F.min()), dict(zip(TRAITS, p_F.tolist(), strict=True)))

    def weights(self, traits_M_F: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much likelier each of these claims is among M new ones, up to a factor."""
        return density_ratio(self.traits_N_F, traits_M_F)

    def as_json(self) -> dict[str, Any]:
        """As :meth:`from_json` reads it. Labels and texts are not kept."""
        view = self.answers
        mass = None if view.valid_mass_N is None else [None if np.isnan(m) else m for m in view.valid_mass_N.tolist()]
        return {
            "traits": np.round(self.traits_N_F, _DIGITS).tolist(),
            "correct": view.correct.tolist(),
            "confidence": view.confidence_N.tolist(),
            "group": view.group_N.tolist(),
            "valid_mass": mass,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CalibrationClaims:
        """Read what :meth:`as_json` wrote."""
        correct = np.array(values["correct"], dtype=bool)
        mass = values["valid_mass"]
        view = View(
            gold_N=np.zeros(correct.size, dtype=np.int64),
            label_N=np.where(correct, 0, 1),
            confidence_N=np.array(values["confidence"], dtype=np.float64),
            group_N=np.array(values["group"], dtype=np.int64),
            valid_mass_N=None if mass is None else np.array(mass, dtype=np.float64),
        )
        return cls(np.array(values["traits"], dtype=np.float64).reshape(-1, len(TRAITS)), view)
