"""What is asked of a verifier, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.prompts.encoding import EncodedPrompt
from candor.types import LABELS, Label
from candor.verifier.calibration_claims import TRAITS, answer_traits


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model says of one claim.

    Attributes:
        label: the label of the model's answer: at every token the likeliest that still leads to one of the 303 answers.
        confidence: the confidence that this answer states, in [0, 1].
        label_probs: p(PASS), p(FAIL), p(NA) where the label is emitted, summing to 1.
        valid_mass: probability that a sampled answer has the asked form at all, in [0, 1]. The ends of four answers
            behind each label are run, and the others taken to end like those, so it is off by at most the probability
            of those others, and in practice by rounding: models learn to end, not to end behind some numbers.
        accepted: whether the answer passes the abstention threshold; ``None`` where there is none to compare with.
            An answer that is not accepted should be shown as "I don't know".
        evidence_dropped: evidence sentences, counted from the last, that were left out because the prompt was too long.
        evidence_cut: characters cut from the end of the one sentence shown, which was longer than all room; else 0.
        unfamiliar: whether the claim looks unlike those that the threshold was chosen on, so that it promises nothing;
            ``None`` where too little is known of them. Of claims like those one in a hundred does at most.
    """

    label: Label
    confidence: float
    label_probs: tuple[float, float, float]
    valid_mass: float
    accepted: bool | None
    evidence_dropped: int
    evidence_cut: int = 0
    unfamiliar: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """As the command line and the service write it, label probabilities by name."""
        return {
            "label": self.label.value,
            "confidence": self.confidence,
            "label_probs": {label.value: p for label, p in zip(LABELS, self.label_probs, strict=True)},
            "valid_mass": self.valid_mass,
            "accepted": self.accepted,
            "evidence_dropped": self.evidence_dropped,
            "evidence_cut": self.evidence_cut,
            "unfamiliar": self.unfamiliar,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedClaim(EncodedPrompt):
    """A claim's prompt, with what it is compared by: ``text_traits`` of claim and evidence."""

    traits: tuple[float, ...]


def traits_of(claims: Sequence[EncodedClaim], verdicts: Sequence[Verdict]) -> NDArray[np.float64]:
    """Traits [M, F] of claims and of what a model says of them, in the order of ``TRAITS``."""
    rows = [
        (*claim.traits, *answer_traits(verdict.label_probs, verdict.confidence))
        for claim, verdict in zip(claims, verdicts, strict=True)
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, len(TRAITS))
