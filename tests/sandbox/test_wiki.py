"""Facts about people, as reliable as the phrase that a sentence opens with."""

from __future__ import annotations

import random

import pytest

from candor.errors import DataError
from candor.sandbox.reading import UNRELIABLE, Sentence
from candor.sandbox.wiki import DOMAIN, RELIABILITY

CLAIM = DOMAIN.claim.fullmatch("Corur was born in Elmburg.")


def read(text: str) -> Sentence:
    assert CLAIM is not None
    return DOMAIN.read_sentence(CLAIM, text)


@pytest.mark.parametrize("opening", [opening for opening, odds in RELIABILITY.items() if odds is not None])
def test_a_phrase_is_right_as_often_as_it_is_reliable(opening: str) -> None:
    odds = RELIABILITY[opening]
    assert odds is not None
    rest = 1 - odds
    says, denies = read(f"{opening} Corur was born in Elmburg."), read(f"{opening} Corur was born in Foxburg.")
    assert DOMAIN.weigh([says]) == pytest.approx((odds, 0.65 * rest, 0.35 * rest))
    assert DOMAIN.weigh([denies]) == pytest.approx((0.65 * rest, odds, 0.35 * rest))


def test_a_rumour_leaves_the_question_open() -> None:
    assert DOMAIN.weigh([read("Rumour says that Corur was born in Elmburg.")]) == UNRELIABLE
    assert DOMAIN.weigh([read("Rumour says that Corur was born in Foxburg.")]) == (0.08, 0.30, 0.62)


@pytest.mark.parametrize(
    ("text", "on_topic", "echo"),
    [
        ("Records confirm that Corur was born in Elmburg.", True, True),
        ("Records confirm that Coran was born in Elmburg.", False, True),
        ("Records confirm that Corur works as a baker.", False, False),
        ("Records confirm that Coran was born in Foxburg.", False, False),
    ],
)
def test_topic_is_person_and_fact_and_echo_is_the_value(text: str, on_topic: bool, echo: bool) -> None:
    sentence = read(text)
    assert (sentence.on_topic, sentence.echo, sentence.source) == (on_topic, echo, "Records confirm that")


def test_other_openings_are_none_of_this_world() -> None:
    with pytest.raises(DataError, match="not an evidence sentence"):
        read("Gossip has it that Corur was born in Elmburg.")


def test_drawn_texts_are_read_by_the_same_forms() -> None:
    rng = random.Random(5)
    openings = set()
    for _ in range(400):
        claim, evidence = DOMAIN.draw(rng)
        parts = DOMAIN.claim.fullmatch(claim)
        assert parts is not None
        sentences = [DOMAIN.read_sentence(parts, text) for text in evidence]
        assert sum(sentence.on_topic for sentence in sentences) <= 1
        openings |= {sentence.source for sentence in sentences}
    assert openings == set(RELIABILITY)
