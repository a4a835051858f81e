"""What flows through candor: labels, examples, rollouts, predictions. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Label(StrEnum):
    """Verdict on a claim given its evidence."""

    PASS = "PASS"
    """The evidence supports the claim."""
    FAIL = "FAIL"
    """The evidence refutes the claim."""
    NA = "NA"
    """Not enough information to say."""


LABELS: tuple[Label, Label, Label] = (Label.PASS, Label.FAIL, Label.NA)
"""The order of every array with a label axis."""

NO_LABEL: Final = -1
"""Stands in arrays of label codes (positions in ``LABELS``) for an answer without a label."""

LABEL_NAMES: Final[Mapping[str, Label]] = {
    "pass": Label.PASS,
    "supports": Label.PASS,
    "supported": Label.PASS,
    "fail": Label.FAIL,
    "refutes": Label.FAIL,
    "refuted": Label.FAIL,
    "na": Label.NA,
    "nei": Label.NA,
    "not enough info": Label.NA,
    "not_enough_info": Label.NA,
}
"""What stands for a label in files of claims and of answers, case folded."""

LABEL_NAMES_WITH_DISPUTED: Final[Mapping[str, Label]] = {**LABEL_NAMES, "disputed": Label.NA}
"""The same for ClimateFEVER and the study, where evidence that speaks both ways settles nothing. Elsewhere the word
is no label."""


class Validity(StrEnum):
    """How much of an answer could be read."""

    CLEAN = "clean"
    """Exactly the form that was asked for."""
    READABLE = "readable"
    """A label can be read, but the form is not the one asked for."""
    NONE = "none"
    """No label can be read. Such an answer is wrong; it is never taken as NA."""


@dataclass(frozen=True, slots=True)
class Example:
    """One claim to be checked.

    Attributes:
        id: unique within its dataset.
        dataset: name of the dataset or sandbox domain.
        claim: the claim's text.
        evidence: sentences shown with the claim, in order; empty when none is shown.
        label: gold label.
        group: what must not straddle a split (claim text, page, case).
        evidence_source: where the evidence comes from: ``annotated``, or for NA examples without annotated
            evidence the named choice that filled it: ``none``, ``random``, ``retrieved``.
        posterior: exact p(PASS), p(FAIL), p(NA) given claim and evidence; known in the sandbox alone.
    """

    id: str
    dataset: str
    claim: str
    evidence: tuple[str, ...]
    label: Label
    group: str
    evidence_source: str = "annotated"
    posterior: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One sampled completion of a prompt.

    Attributes:
        tokens: sampled token ids, the stop token included when one was sampled.
        text: the decoded completion, without special tokens.
        logprobs: log-probability of each token under the policy that sampled it, temperature included.
        raw_logprobs: the same at temperature 1.
        probe_logprobs: for each probed string its summed raw log-probability at the place where this
            completion emits its label (after the bare prompt and anchor when it emits none).
        stopped: whether a stop token ended the completion (false: it ran into the length limit).
    """

    tokens: tuple[int, ...]
    text: str
    logprobs: tuple[float, ...]
    raw_logprobs: tuple[float, ...]
    probe_logprobs: tuple[float, ...]
    stopped: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's greedy answer to one example, with what is needed to judge it.

    Attributes:
        id, dataset, group, claim, evidence, gold: copied from the example, so that a file stands alone.
        raw: the answer's text as the model gave it.
        label: the label that was read, or ``None`` (then the answer is wrong, not NA).
        confidence: the stated confidence in [0, 1], or ``None`` if none could be read.
        validity: how much of the answer could be read.
        label_probs: probed p(PASS), p(FAIL), p(NA) where the label is emitted, summing to 1.
        valid_mass: probability of all answers in the asked form, in [0, 1]; ``None`` where not computed.
        label_confidences: what is stated behind PASS, FAIL and NA if the model is made to say each, in [0, 1];
            ``None`` where not asked for.
        evidence_dropped: number of evidence sentences left out at the end because the prompt was too long.
        evidence_cut: characters cut from the end of the one sentence shown, which was longer than all room.
        posterior: copied from the example.
    """

    id: str
    dataset: str
    group: str
    claim: str
    evidence: tuple[str, ...]
    gold: Label
    raw: str
    label: Label | None
    confidence: float | None
    validity: Validity
    label_probs: tuple[float, float, float] | None = None
    valid_mass: float | None = None
    label_confidences: tuple[float, float, float] | None = None
    evidence_dropped: int = 0
    evidence_cut: int = 0
    posterior: tuple[float, float, float] | None = None
