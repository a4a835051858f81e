"""Who was born where, works as what, plays for whom, studied where: reliability by the opening phrase."""

from __future__ import annotations

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

_PEOPLE = tuple(
    stem + ending
    for stem in ("Bel", "Cor", "Dav", "Fen", "Hal", "Jor", "Lan", "Mir", "Sel", "Tov")
    for ending in ("an", "eth", "ia", "ur")
)
_STEMS = ("Ash", "Brook", "Crow", "Dun", "Elm", "Fox", "Glen", "Hart", "Kings", "Lake", "Marsh", "North")
_FACTS: dict[str, tuple[str, ...]] = {
    "was born in": tuple(stem + "burg" for stem in _STEMS),
    "studied at": tuple(stem + "field" for stem in _STEMS),
    "plays for": tuple(stem + "ton" for stem in _STEMS),
    "works as a": (
        *("baker", "carpenter", "dentist", "farmer", "judge", "miner"),
        *("nurse", "pilot", "poet", "singer", "tailor", "teacher"),
    ),
}
RELIABILITY: dict[str, float | None] = {
    "Records confirm that": 0.97,
    "Biographies agree that": 0.88,
    "Newspapers report that": 0.74,
    "Some believe that": 0.56,
    "Rumour says that": None,
}
"""Probability that what follows is so; ``None``: see :data:`UNRELIABLE`. Of the rest, 35 % is NA."""
_RUMOUR_WEIGHT = 0.9
_NA_SHARE = 0.35

_CLAIM = re.compile(rf"(\w+) ({'|'.join(_FACTS)}) (\w+)\.")
_EVIDENCE = re.compile(rf"({'|'.join(RELIABILITY)}) (\w+) ({'|'.join(_FACTS)}) (\w+)\.")


def _draw(rng: random.Random) -> Text:
    person, fact = rng.choice(_PEOPLE), rng.choice(tuple(_FACTS))
    value = rng.choice(_FACTS[fact])

    def sentence(opening: str, person: str, fact: str, value: str) -> str:
        return f"{opening} {person} {fact} {value}."

    def off_topic() -> str:
        opening = rng.choice(tuple(RELIABILITY))
        if rng.random() < 0.6:  # somebody else, often with the claimed value: what misleads a hasty reader
            shown = value if rng.random() < 0.6 else other(rng, _FACTS[fact], value)
            return sentence(opening, other(rng, _PEOPLE, person), fact, shown)
        unasked = other(rng, tuple(_FACTS), fact)
        return sentence(opening, person, unasked, rng.choice(_FACTS[unasked]))

    def on_topic() -> str:
        weights = [_RUMOUR_WEIGHT if odds is None else 1.0 for odds in RELIABILITY.values()]
        opening = rng.choices(tuple(RELIABILITY), weights)[0]
        return sentence(opening, person, fact, value if rng.random() < 0.5 else other(rng, _FACTS[fact], value))

    return f"{person} {fact} {value}.", draw_single(rng, on_topic, off_topic)


def _read_sentence(claim: re.Match[str], text: str) -> Sentence:
    opening, person, fact, value = match(_EVIDENCE, text).groups()
    return Sentence((person, fact) == (claim[1], claim[2]), value == claim[3], opening)


def _weigh(on_topic: Sequence[Sentence]) -> Posterior:
    sentence = only(on_topic)
    reliability = RELIABILITY[sentence.source]
    if reliability is None:
        return oriented(UNRELIABLE, sentence.echo)
    rest = 1 - reliability
    return oriented((reliability, rest * (1 - _NA_SHARE), rest * _NA_SHARE), sentence.echo)


DOMAIN = Domain(claim=_CLAIM, draw=_draw, read_sentence=_read_sentence, weigh=_weigh)
