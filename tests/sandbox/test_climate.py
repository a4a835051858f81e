"""Trends on which up to four sources agree or disagree."""

from __future__ import annotations

import random

import pytest

from candor.errors import DataError
from candor.sandbox.climate import DOMAIN, NA_BY_LEAD, ODDS_PER_SOURCE
from candor.sandbox.reading import BALANCED, Sentence

CLAIM = DOMAIN.claim.fullmatch("Nordic hail is increasing.")


def votes(holding: int, denying: int) -> list[Sentence]:
    return [Sentence(True, True)] * holding + [Sentence(True, False)] * denying


@pytest.mark.parametrize(("holding", "denying"), [(1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (1, 2)])
def test_only_the_lead_counts(holding: int, denying: int) -> None:
    lead = abs(holding - denying)
    unknown = NA_BY_LEAD[lead]
    ahead = (1 - unknown) * ODDS_PER_SOURCE**lead / (1 + ODDS_PER_SOURCE**lead)
    behind = 1 - unknown - ahead
    assert ahead / behind == pytest.approx(3**lead)
    expected = (ahead, behind, unknown) if holding > denying else (behind, ahead, unknown)
    assert DOMAIN.weigh(votes(holding, denying)) == pytest.approx(expected)
    assert DOMAIN.weigh(votes(holding, denying)) == DOMAIN.weigh(votes(holding, denying)[::-1])


def test_as_many_for_as_against_leave_it_open() -> None:
    assert DOMAIN.weigh(votes(1, 1)) == DOMAIN.weigh(votes(2, 2)) == BALANCED


def test_a_lead_that_the_world_does_not_make_is_refused() -> None:
    with pytest.raises(DataError, match="leads by at most 3 sources, not 4"):
        DOMAIN.weigh(votes(0, 4))


@pytest.mark.parametrize(
    ("text", "on_topic", "echo"),
    [
        ("A study finds that Nordic hail is increasing.", True, True),
        ("A model finds that Nordic hail is decreasing.", True, False),
        ("A survey finds that Alpine hail is increasing.", False, True),
        ("A report finds that Nordic frost is decreasing.", False, False),
    ],
)
def test_topic_is_region_and_quantity_and_echo_is_the_trend(text: str, on_topic: bool, echo: bool) -> None:
    assert CLAIM is not None
    sentence = DOMAIN.read_sentence(CLAIM, text)
    assert (sentence.on_topic, sentence.echo) == (on_topic, echo)


def test_drawn_evidence_is_at_most_four_sentences_that_can_be_weighed() -> None:
    rng = random.Random(7)
    counts, leads = set(), set()
    for _ in range(2000):
        claim, evidence = DOMAIN.draw(rng)
        parts = DOMAIN.claim.fullmatch(claim)
        assert parts is not None
        sentences = [DOMAIN.read_sentence(parts, text) for text in evidence]
        on_topic = [sentence for sentence in sentences if sentence.on_topic]
        counts.add(len(sentences))
        if on_topic:
            assert sum(DOMAIN.weigh(on_topic)) == pytest.approx(1.0)
            leads.add(sum(1 if sentence.echo else -1 for sentence in on_topic))
    assert counts == {0, 1, 2, 3, 4}
    assert leads == {-3, -2, -1, 0, 1, 2, 3}
