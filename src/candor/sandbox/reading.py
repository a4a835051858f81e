"""What the sandbox's domains share: what a reader takes from a text, and posteriors that do not differ between them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from candor.errors import DataError

Posterior = tuple[float, float, float]
Text = tuple[str, tuple[str, ...]]
"""A claim and its evidence sentences."""

NO_EVIDENCE: Posterior = (0.01, 0.01, 0.98)
OFF_TOPIC: Posterior = (0.025, 0.025, 0.95)
UNRELIABLE: Posterior = (0.30, 0.08, 0.62)
"""Posterior after a rumour or an edit without a source that says what the claim says; swapped when it denies it."""
BALANCED: Posterior = (0.19, 0.19, 0.62)
"""Posterior when as many sources say what the claim says as deny it."""

UNDECIDED_FROM = min(OFF_TOPIC[2], UNRELIABLE[2], BALANCED[2])
"""Evidence that leaves p(NA) this high settles less than it leaves open."""

P_NO_EVIDENCE = 0.03
P_OFF_TOPIC = 0.25
"""Share of ``wiki`` and ``revision`` examples that show off-topic sentences only; ``climate`` has .24."""


class Stance(Enum):
    """What one evidence sentence says about the claim."""

    SUPPORTS = "supports"
    REFUTES = "refutes"
    OFF_TOPIC = "off topic"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a perfect reader takes from a claim and its evidence.

    Attributes:
        domain: one of :data:`DOMAINS`.
        stances: per evidence sentence what it says about the claim.
        echoes: per evidence sentence whether its surface agrees with the claim (same value, same trend, number above
            the bound), be it on the topic or not.
        decisive: whether the evidence settles more than it leaves open: false for off-topic evidence, rumours,
            edits without a source and balanced sources.
        posterior: p(PASS), p(FAIL), p(NA) given the claim and the evidence.
    """

    domain: str
    stances: tuple[Stance, ...]
    echoes: tuple[bool, ...]
    decisive: bool
    posterior: Posterior


@dataclass(frozen=True, slots=True)
class Sentence:
    """One evidence sentence taken apart.

    Attributes:
        on_topic: whether it speaks of the claim's subject and aspect.
        echo: whether its surface agrees with the claim.
        source: what decides how far it is to be trusted.
        distance: between its number and the claim's, at least 0.
    """

    on_topic: bool
    echo: bool
    source: str = ""
    distance: int = 0

    @property
    def stance(self) -> Stance:
        """What the sentence says about the claim."""
        if not self.on_topic:
            return Stance.OFF_TOPIC
        return Stance.SUPPORTS if self.echo else Stance.REFUTES


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain of the world.

    Attributes:
        claim: form of its claims.
        draw: makes a claim and its evidence.
        read_sentence: takes an evidence sentence apart, given the matched claim.
        weigh: posterior after at least one sentence on the topic.
    """

    claim: re.Pattern[str]
    draw: Callable[[random.Random], Text]
    read_sentence: Callable[[re.Match[str], str], Sentence]
    weigh: Callable[[Sequence[Sentence]], Posterior]


def match(form: re.Pattern[str], text: str) -> re.Match[str]:
    """Match an evidence sentence, or say that it is none."""
    parts = form.fullmatch(text)
    if parts is None:
        raise DataError(f"not an evidence sentence of the claim's sandbox domain: {text!r}")
    return parts


def other(rng: random.Random, values: Sequence[str], value: str) -> str:
    """Draw one of ``values`` that is not ``value``."""
    return rng.choice([candidate for candidate in values if candidate != value])


def only(sentences: Sequence[Sentence]) -> Sentence:
    """The one sentence on the topic."""
    if len(sentences) > 1:
        raise DataError("wiki and revision evidence holds at most one sentence on the claim's topic")
    return sentences[0]


def oriented(agreeing: Posterior, echo: bool) -> Posterior:
    """The posterior after a sentence that agrees, or its mirror image after one that denies."""
    holds, fails, unknown = agreeing
    return (holds, fails, unknown) if echo else (fails, holds, unknown)


def draw_single(rng: random.Random, on_topic: Callable[[], str], off_topic: Callable[[], str]) -> tuple[str, ...]:
    """Draw evidence with at most one sentence on the topic."""
    kind = rng.random()
    if kind < P_NO_EVIDENCE:
        return ()
    if kind < P_NO_EVIDENCE + P_OFF_TOPIC:
        return tuple(off_topic() for _ in range(rng.choice((1, 2))))
    sentences = [on_topic()]
    if rng.random() < 0.5:
        sentences.append(off_topic())
    rng.shuffle(sentences)
    return tuple(sentences)
