"""A synthetic world of claims and evidence whose posterior over labels is known exactly.

Three domains imitate what makes real fact verification hard, each in one way of its own:

* ``wiki``: who was born where, works as what, plays for whom, studied where. The evidence sentence opens with a
  phrase whose reliability is fixed; rumours mostly leave the question open.
* ``revision``: claims that a number lies above a bound; the evidence gives a number with a precision
  (exactly, about, roughly) or comes from an edit without a source.
* ``climate``: trends, with up to four sources that agree or disagree.

In every domain about a quarter of the examples show only evidence that is off the topic of the claim (another
subject, or another aspect of the same subject), and 3 % show none.

An example is made in two steps: claim and evidence are drawn, then the label is drawn from
``read(claim, evidence).posterior``, a function of the shown text and nothing else. So that posterior *is*
p(label | claim, evidence), whatever the first step does, and a perfect model can be no better than it.

The world is seeded: the same domain and seed give the same examples on every machine.
"""

from __future__ import annotations

import difflib
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from candor.errors import DataError
from candor.types import LABELS, Example

DOMAINS: tuple[str, ...] = ("wiki", "revision", "climate")

Posterior = tuple[float, float, float]

NO_EVIDENCE: Posterior = (0.01, 0.01, 0.98)
OFF_TOPIC: Posterior = (0.025, 0.025, 0.95)
UNRELIABLE: Posterior = (0.30, 0.08, 0.62)
"""Posterior after a rumour or an edit without a source that says what the claim says; swapped when it denies it."""
BALANCED: Posterior = (0.19, 0.19, 0.62)
"""Posterior when as many sources say what the claim says as deny it."""

P_NO_EVIDENCE = 0.03
P_OFF_TOPIC = 0.25
"""Share of ``wiki`` and ``revision`` examples that show off-topic sentences only; ``climate`` has .24."""

# -- wiki ------------------------------------------------------------------------------------------------------

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
_WIKI_NA_SHARE = 0.35

# -- revision --------------------------------------------------------------------------------------------------

_TITLES = tuple(
    stem + ending
    for stem in ("Zor", "Vel", "Quin", "Tar", "Pax", "Ner", "Lum", "Kry")
    for ending in ("ax", "ex", "ix", "ox", "yx")
)
_COUNTS = {"sold": "copies", "earned": "dollars", "drew": "viewers"}
_NUMBERS = range(10, 30)
_BOUNDS = range(12, 28)
_MAX_DISTANCE = 9
PRECISION: dict[str, tuple[float, float]] = {
    "exactly": (0.6, 0.03),
    "about": (3.5, 0.05),
    "roughly": (8.0, 0.08),
}
"""Standard deviation of the true number around the stated one (millions), and p(NA)."""
_SOURCED, _UNSOURCED = "The revision says", "An unsourced edit says"
_UNSOURCED_WEIGHT = 0.7

# -- climate ---------------------------------------------------------------------------------------------------

_REGIONS = (
    *(
        "Alpine",
        "Amazonian",
        "Andean",
        "Antarctic",
        "Arctic",
        "Atlantic",
        "Balkan",
        "Baltic",
        "Caribbean",
        "Caspian",
    ),
    *(
        "Danubian",
        "Ethiopian",
        "Himalayan",
        "Iberian",
        "Icelandic",
        "Kenyan",
        "Mediterranean",
        "Mongolian",
        "Nordic",
    ),
    *(
        "Pacific",
        "Patagonian",
        "Peruvian",
        "Polynesian",
        "Sahelian",
        "Saharan",
        "Scottish",
        "Siberian",
        "Tasmanian",
    ),
    *("Tibetan", "Uralic"),
)
_QUANTITIES = (
    *(
        "acidity",
        "biomass",
        "cloudiness",
        "deforestation",
        "drought",
        "erosion",
        "evaporation",
        "flooding",
        "frost",
    ),
    *(
        "groundwater",
        "hail",
        "humidity",
        "irrigation",
        "methane",
        "ozone",
        "plankton",
        "pollen",
        "rainfall",
        "runoff",
    ),
    *("salinity", "sediment", "smog", "snowfall", "snowpack", "streamflow", "sunshine", "turbidity", "vegetation"),
)
_TRENDS = ("increasing", "decreasing")
_SOURCES = ("study", "survey", "report", "model")
ODDS_PER_SOURCE = 3.0
"""Each source more on one side multiplies its odds by this."""
NA_BY_LEAD: dict[int, float] = {1: 0.20, 2: 0.08, 3: 0.03}
"""p(NA) when one side leads by so many sources."""
_P_CLIMATE_OFF_TOPIC = 0.24
_AGREEMENT = (0.1, 0.25, 0.75, 0.9)
"""Chance of a source to say what the claim says; one of these per example, so that sources mostly agree."""


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
class _Sentence:
    """One sentence taken apart: is it on the topic, does it agree with the claim, and what is its source."""

    on_topic: bool
    echo: bool
    source: str = ""
    distance: int = 0

    @property
    def stance(self) -> Stance:
        if not self.on_topic:
            return Stance.OFF_TOPIC
        return Stance.SUPPORTS if self.echo else Stance.REFUTES


def generate(domain: str, count: int, seed: int) -> list[Example]:
    """Make ``count`` examples of a domain.

    The first k of ``generate(domain, n, seed)`` are ``generate(domain, k, seed)``. Other seeds make other examples,
    but claims recur: a split must go by ``group``. Negative seeds are the base model's (``candor.sandbox_model``).

    Args:
        domain: one of :data:`DOMAINS`.
        count: how many, at least 0.
        seed: any integer.

    Raises:
        DataError: unknown domain or negative count.

    >>> example = generate("climate", 1, seed=0)[0]
    >>> example.id, round(sum(example.posterior), 9)
    ('climate-000000', 1.0)
    """
    if domain not in _DRAW:
        near = difflib.get_close_matches(domain, DOMAINS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"no sandbox domain {domain!r}: there are {', '.join(DOMAINS)}{hint}")
    if count < 0:
        raise DataError(f"cannot make {count} sandbox examples: the count must be at least 0")
    rng = random.Random(f"candor {domain} {seed}")
    return [_example(domain, number, rng) for number in range(count)]


def _example(domain: str, number: int, rng: random.Random) -> Example:
    claim, evidence = _DRAW[domain](rng)
    posterior = read(claim, evidence).posterior
    return Example(
        id=f"{domain}-{number:06d}",
        dataset=domain,
        claim=claim,
        evidence=evidence,
        label=rng.choices(LABELS, posterior)[0],
        group=claim.removesuffix(".").casefold(),
        posterior=posterior,
    )


def read(claim: str, evidence: Sequence[str]) -> Reading:
    """Read claim and evidence by their text alone.

    Args:
        claim: a claim of this world, e.g. ``"Arctic hail is increasing."``.
        evidence: sentences of the same domain, in the order shown.

    Raises:
        DataError: a text that this world does not produce.

    >>> reading = read("Arctic hail is increasing.", ["A study finds that Arctic hail is decreasing."])
    >>> [round(probability, 6) for probability in reading.posterior]
    [0.2, 0.6, 0.2]
    """
    for domain, (claim_form, read_sentence, weigh) in _READ.items():
        if parts := claim_form.fullmatch(claim):
            sentences = [read_sentence(parts, text) for text in evidence]
            on_topic = [sentence for sentence in sentences if sentence.on_topic]
            if not sentences:
                posterior = NO_EVIDENCE
            elif not on_topic:
                posterior = OFF_TOPIC
            else:
                posterior = weigh(on_topic)
            return Reading(
                domain=domain,
                stances=tuple(sentence.stance for sentence in sentences),
                echoes=tuple(sentence.echo for sentence in sentences),
                decisive=posterior[2] < min(UNRELIABLE[2], BALANCED[2]),
                posterior=posterior,
            )
    raise DataError(f"not a claim of the sandbox: {claim!r}")


def _match(form: re.Pattern[str], text: str) -> re.Match[str]:
    parts = form.fullmatch(text)
    if parts is None:
        raise DataError(f"not an evidence sentence of the claim's sandbox domain: {text!r}")
    return parts


def _other(rng: random.Random, values: Sequence[str], value: str) -> str:
    return rng.choice([other for other in values if other != value])


def _one(sentences: Sequence[_Sentence]) -> _Sentence:
    if len(sentences) > 1:
        raise DataError("wiki and revision evidence holds at most one sentence on the claim's topic")
    return sentences[0]


def _oriented(agreeing: Posterior, echo: bool) -> Posterior:
    """The posterior after a sentence that agrees, or its mirror image after one that denies."""
    holds, other, unknown = agreeing
    return (holds, other, unknown) if echo else (other, holds, unknown)


# -- wiki ------------------------------------------------------------------------------------------------------

_WIKI_CLAIM = re.compile(rf"(\w+) ({'|'.join(_FACTS)}) (\w+)\.")
_WIKI_SENTENCE = re.compile(rf"({'|'.join(RELIABILITY)}) (\w+) ({'|'.join(_FACTS)}) (\w+)\.")


def _draw_wiki(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    person, fact = rng.choice(_PEOPLE), rng.choice(tuple(_FACTS))
    value = rng.choice(_FACTS[fact])

    def sentence(opening: str, person: str, fact: str, value: str) -> str:
        return f"{opening} {person} {fact} {value}."

    def off_topic() -> str:
        opening = rng.choice(tuple(RELIABILITY))
        if rng.random() < 0.6:  # somebody else, often with the claimed value: what misleads a hasty reader
            shown = value if rng.random() < 0.6 else _other(rng, _FACTS[fact], value)
            return sentence(opening, _other(rng, _PEOPLE, person), fact, shown)
        other = _other(rng, tuple(_FACTS), fact)
        return sentence(opening, person, other, rng.choice(_FACTS[other]))

    def on_topic() -> str:
        weights = [_RUMOUR_WEIGHT if odds is None else 1.0 for odds in RELIABILITY.values()]
        opening = rng.choices(tuple(RELIABILITY), weights)[0]
        return sentence(opening, person, fact, value if rng.random() < 0.5 else _other(rng, _FACTS[fact], value))

    return f"{person} {fact} {value}.", _draw_single(rng, on_topic, off_topic)


def _draw_single(rng: random.Random, on_topic: Callable[[], str], off_topic: Callable[[], str]) -> tuple[str, ...]:
    """Evidence with at most one sentence on the topic."""
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


def _read_wiki(claim: re.Match[str], text: str) -> _Sentence:
    opening, person, fact, value = _match(_WIKI_SENTENCE, text).groups()
    return _Sentence((person, fact) == (claim[1], claim[2]), value == claim[3], opening)


def _weigh_wiki(on_topic: Sequence[_Sentence]) -> Posterior:
    sentence = _one(on_topic)
    reliability = RELIABILITY[sentence.source]
    if reliability is None:
        return _oriented(UNRELIABLE, sentence.echo)
    rest = 1 - reliability
    return _oriented((reliability, rest * (1 - _WIKI_NA_SHARE), rest * _WIKI_NA_SHARE), sentence.echo)


# -- revision --------------------------------------------------------------------------------------------------

_AMOUNT = rf"(\w+) ({'|'.join(_COUNTS)}) (%s) (\d\d) million (?:{'|'.join(_COUNTS.values())})\."
_REVISION_CLAIM = re.compile(_AMOUNT % "more than")
_REVISION_SENTENCE = re.compile(rf"({_SOURCED}|{_UNSOURCED}) " + _AMOUNT % "|".join(PRECISION))


def _draw_revision(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    title, verb = rng.choice(_TITLES), rng.choice(tuple(_COUNTS))
    bound = rng.choice(_BOUNDS)

    def sentence(title: str, verb: str) -> str:
        near = [number for number in _NUMBERS if 0 < abs(number - bound) <= _MAX_DISTANCE]
        sourced = rng.random() < len(PRECISION) / (len(PRECISION) + _UNSOURCED_WEIGHT)
        return (
            f"{_SOURCED if sourced else _UNSOURCED} {title} {verb} {rng.choice(tuple(PRECISION))} "
            f"{rng.choice(near)} million {_COUNTS[verb]}."
        )

    def off_topic() -> str:
        if rng.random() < 0.6:
            return sentence(_other(rng, _TITLES, title), verb)
        return sentence(title, _other(rng, tuple(_COUNTS), verb))

    evidence = _draw_single(rng, lambda: sentence(title, verb), off_topic)
    return f"{title} {verb} more than {bound} million {_COUNTS[verb]}.", evidence


def _read_revision(claim: re.Match[str], text: str) -> _Sentence:
    source, title, verb, precision, number = _match(_REVISION_SENTENCE, text).groups()
    distance = int(number) - int(claim[4])
    on_topic = (title, verb) == (claim[1], claim[2])
    return _Sentence(on_topic, distance > 0, source if source == _UNSOURCED else precision, abs(distance))


def _weigh_revision(on_topic: Sequence[_Sentence]) -> Posterior:
    sentence = _one(on_topic)
    if sentence.source == _UNSOURCED:
        return _oriented(UNRELIABLE, sentence.echo)
    deviation, unknown = PRECISION[sentence.source]
    right_side = 0.5 * (1 + math.erf(sentence.distance / deviation / math.sqrt(2)))
    known = 1 - unknown
    return _oriented((known * right_side, known * (1 - right_side), unknown), sentence.echo)


# -- climate ---------------------------------------------------------------------------------------------------

_CLIMATE_CLAIM = re.compile(rf"(\w+) (\w+) is ({'|'.join(_TRENDS)})\.")
_CLIMATE_SENTENCE = re.compile(rf"A (?:{'|'.join(_SOURCES)}) finds that (\w+) (\w+) is ({'|'.join(_TRENDS)})\.")


def _draw_climate(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    region, quantity, trend = rng.choice(_REGIONS), rng.choice(_QUANTITIES), rng.choice(_TRENDS)

    def sentence(region: str, quantity: str, trend: str) -> str:
        return f"A {rng.choice(_SOURCES)} finds that {region} {quantity} is {trend}."

    def off_topic() -> str:
        if rng.random() < 0.5:
            return sentence(_other(rng, _REGIONS, region), quantity, rng.choice(_TRENDS))
        return sentence(region, _other(rng, _QUANTITIES, quantity), rng.choice(_TRENDS))

    kind = rng.random()
    if kind < P_NO_EVIDENCE:
        sentences = []
    elif kind < P_NO_EVIDENCE + _P_CLIMATE_OFF_TOPIC:
        sentences = [off_topic() for _ in range(rng.choice((1, 2, 3)))]
    else:
        agreement = rng.choice(_AGREEMENT)
        count = rng.choice((1, 2, 2, 3, 3))
        trends = [trend if rng.random() < agreement else _other(rng, _TRENDS, trend) for _ in range(count)]
        sentences = [sentence(region, quantity, shown) for shown in trends]
        sentences += [off_topic() for _ in range(rng.randint(0, min(2, 4 - count)))]
    rng.shuffle(sentences)
    return f"{region} {quantity} is {trend}.", tuple(sentences)


def _read_climate(claim: re.Match[str], text: str) -> _Sentence:
    region, quantity, trend = _match(_CLIMATE_SENTENCE, text).groups()
    return _Sentence((region, quantity) == (claim[1], claim[2]), trend == claim[3])


def _weigh_climate(on_topic: Sequence[_Sentence]) -> Posterior:
    lead = sum(1 if sentence.echo else -1 for sentence in on_topic)
    if lead == 0:
        return BALANCED
    if abs(lead) not in NA_BY_LEAD:
        raise DataError(f"climate evidence leads by at most {max(NA_BY_LEAD)} sources, not {abs(lead)}")
    unknown = NA_BY_LEAD[abs(lead)]
    odds = ODDS_PER_SOURCE ** abs(lead)
    ahead = (1 - unknown) * odds / (1 + odds)
    return _oriented((ahead, 1 - unknown - ahead, unknown), lead > 0)


_DRAW: dict[str, Callable[[random.Random], tuple[str, tuple[str, ...]]]] = {
    "wiki": _draw_wiki,
    "revision": _draw_revision,
    "climate": _draw_climate,
}
_READ: dict[
    str,
    tuple[re.Pattern[str], Callable[[re.Match[str], str], _Sentence], Callable[[Sequence[_Sentence]], Posterior]],
] = {
    "wiki": (_WIKI_CLAIM, _read_wiki, _weigh_wiki),
    "revision": (_REVISION_CLAIM, _read_revision, _weigh_revision),
    "climate": (_CLIMATE_CLAIM, _read_climate, _weigh_climate),
}
