"""Trends, with up to four sources that agree or disagree."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from candor.errors import DataError
from candor.sandbox.reading import BALANCED, P_NO_EVIDENCE, Domain, Posterior, Sentence, Text, match, oriented, other

_REGIONS = (
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
    "Danubian",
    "Ethiopian",
    "Himalayan",
    "Iberian",
    "Icelandic",
    "Kenyan",
    "Mediterranean",
    "Mongolian",
    "Nordic",
    "Pacific",
    "Patagonian",
    "Peruvian",
    "Polynesian",
    "Sahelian",
    "Saharan",
    "Scottish",
    "Siberian",
    "Tasmanian",
    "Tibetan",
    "Uralic",
)
_QUANTITIES = (
    "acidity",
    "biomass",
    "cloudiness",
    "deforestation",
    "drought",
    "erosion",
    "evaporation",
    "flooding",
    "frost",
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
    "salinity",
    "sediment",
    "smog",
    "snowfall",
    "snowpack",
    "streamflow",
    "sunshine",
    "turbidity",
    "vegetation",
)
_TRENDS = ("increasing", "decreasing")
_SOURCES = ("study", "survey", "report", "model")
ODDS_PER_SOURCE = 3.0
"""Each source more on one side multiplies its odds by this."""
NA_BY_LEAD: dict[int, float] = {1: 0.20, 2: 0.08, 3: 0.03}
"""p(NA) when one side leads by so many sources."""
_P_OFF_TOPIC = 0.24
_AGREEMENT = (0.1, 0.25, 0.75, 0.9)
"""Chance of a source to say what the claim says; one of these per example, so that sources mostly agree."""

_CLAIM = re.compile(rf"(\w+) (\w+) is ({'|'.join(_TRENDS)})\.")
_EVIDENCE = re.compile(rf"A (?:{'|'.join(_SOURCES)}) finds that (\w+) (\w+) is ({'|'.join(_TRENDS)})\.")


def _draw(rng: random.Random) -> Text:
    region, quantity, trend = rng.choice(_REGIONS), rng.choice(_QUANTITIES), rng.choice(_TRENDS)

    def sentence(region: str, quantity: str, trend: str) -> str:
        return f"A {rng.choice(_SOURCES)} finds that {region} {quantity} is {trend}."

    def off_topic() -> str:
        if rng.random() < 0.5:
            return sentence(other(rng, _REGIONS, region), quantity, rng.choice(_TRENDS))
        return sentence(region, other(rng, _QUANTITIES, quantity), rng.choice(_TRENDS))

    kind = rng.random()
    if kind < P_NO_EVIDENCE:
        sentences = []
    elif kind < P_NO_EVIDENCE + _P_OFF_TOPIC:
        sentences = [off_topic() for _ in range(rng.choice((1, 2, 3)))]
    else:
        agreement = rng.choice(_AGREEMENT)
        count = rng.choice((1, 2, 2, 3, 3))
        trends = [trend if rng.random() < agreement else other(rng, _TRENDS, trend) for _ in range(count)]
        sentences = [sentence(region, quantity, shown) for shown in trends]
        sentences += [off_topic() for _ in range(rng.randint(0, min(2, 4 - count)))]
    rng.shuffle(sentences)
    return f"{region} {quantity} is {trend}.", tuple(sentences)


def _read_sentence(claim: re.Match[str], text: str) -> Sentence:
    region, quantity, trend = match(_EVIDENCE, text).groups()
    return Sentence((region, quantity) == (claim[1], claim[2]), trend == claim[3])


def _weigh(on_topic: Sequence[Sentence]) -> Posterior:
    lead = sum(1 if sentence.echo else -1 for sentence in on_topic)
    if lead == 0:
        return BALANCED
    if abs(lead) not in NA_BY_LEAD:
        raise DataError(f"climate evidence leads by at most {max(NA_BY_LEAD)} sources, not {abs(lead)}")
    unknown = NA_BY_LEAD[abs(lead)]
    odds = ODDS_PER_SOURCE ** abs(lead)
    ahead = (1 - unknown) * odds / (1 + odds)
    return oriented((ahead, 1 - unknown - ahead, unknown), lead > 0)


DOMAIN = Domain(claim=_CLAIM, draw=_draw, read_sentence=_read_sentence, weigh=_weigh)
