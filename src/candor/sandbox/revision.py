"""Claims that a number lies above a bound: precision by one word, or no source at all."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence

from candor.sandbox.reading import (
    UNRELIABLE,
    Domain,
    Posterior,
    Sentence,
    Text,
    draw_single,
    match,
    only,
    oriented,
    other,
)

_TITLES = tuple(
    stem + ending
    for stem in ("Zor", "Vel", "Quin", "Tar", "Pax", "Ner", "Lum", "Kry")
    for ending in ("ax", "ex", "ix", "ox", "yx")
)
_COUNTS = {"sold": "copies", "earned": "dollars", "drew": "viewers"}
_NUMBERS = range(10, 30)
_BOUNDS = range(13, 27)
_MAX_DISTANCE = 9
PRECISION: dict[str, tuple[float, float]] = {
    "exactly": (0.6, 0.03),
    "about": (2.5, 0.05),
    "roughly": (6.0, 0.08),
}
"""Standard deviation of the true number around the stated one (millions), and p(NA)."""
SUREST = 0.99
"""Even a number far from the bound is on the wrong side of it now and then, so that no label is ever impossible."""
_SOURCED, _UNSOURCED = "The revision says", "An unsourced edit says"
_UNSOURCED_WEIGHT = 0.7

_AMOUNT = rf"(\w+) ({'|'.join(_COUNTS)}) (%s) (\d\d) million (?:{'|'.join(_COUNTS.values())})\."
_CLAIM = re.compile(_AMOUNT % "more than")
_EVIDENCE = re.compile(rf"({_SOURCED}|{_UNSOURCED}) " + _AMOUNT % "|".join(PRECISION))


def _draw(rng: random.Random) -> Text:
    title, verb = rng.choice(_TITLES), rng.choice(tuple(_COUNTS))
    bound = rng.choice(_BOUNDS)
    # As far down as up, so that the bound by itself does not hint at the label.
    reach = min(_MAX_DISTANCE, bound - _NUMBERS[0], _NUMBERS[-1] - bound)
    near = [number for number in _NUMBERS if 0 < abs(number - bound) <= reach]

    def sentence(title: str, verb: str) -> str:
        sourced = rng.random() < len(PRECISION) / (len(PRECISION) + _UNSOURCED_WEIGHT)
        return (
            f"{_SOURCED if sourced else _UNSOURCED} {title} {verb} {rng.choice(tuple(PRECISION))} "
            f"{rng.choice(near)} million {_COUNTS[verb]}."
        )

    def off_topic() -> str:
        if rng.random() < 0.6:
            return sentence(other(rng, _TITLES, title), verb)
        return sentence(title, other(rng, tuple(_COUNTS), verb))

    evidence = draw_single(rng, lambda: sentence(title, verb), off_topic)
    return f"{title} {verb} more than {bound} million {_COUNTS[verb]}.", evidence


def _read_sentence(claim: re.Match[str], text: str) -> Sentence:
    source, title, verb, precision, number = match(_EVIDENCE, text).groups()
    distance = int(number) - int(claim[4])
    on_topic = (title, verb) == (claim[1], claim[2])
    return Sentence(on_topic, distance > 0, source if source == _UNSOURCED else precision, abs(distance))


def _weigh(on_topic: Sequence[Sentence]) -> Posterior:
    sentence = only(on_topic)
    if sentence.source == _UNSOURCED:
        return oriented(UNRELIABLE, sentence.echo)
    deviation, unknown = PRECISION[sentence.source]
    right_side = min(SUREST, 0.5 * (1 + math.erf(sentence.distance / deviation / math.sqrt(2))))
    known = 1 - unknown
    return oriented((known * right_side, known * (1 - right_side), unknown), sentence.echo)


DOMAIN = Domain(claim=_CLAIM, draw=_draw, read_sentence=_read_sentence, weigh=_weigh)
