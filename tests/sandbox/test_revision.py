"""Numbers above or below a bound, stated with a precision."""

from __future__ import annotations

import math
import random

import pytest

from candor.errors import DataError
from candor.sandbox.reading import Sentence
from candor.sandbox.revision import DOMAIN, PRECISION, SUREST

CLAIM = DOMAIN.claim.fullmatch("Kryex sold more than 20 million copies.")


def read(text: str) -> Sentence:
    assert CLAIM is not None
    return DOMAIN.read_sentence(CLAIM, text)


@pytest.mark.parametrize("precision", PRECISION)
@pytest.mark.parametrize("number", [14, 19, 21, 26])
def test_the_nearer_the_bound_the_less_is_known(precision: str, number: int) -> None:
    deviation, unknown = PRECISION[precision]
    sentence = read(f"The revision says Kryex sold {precision} {number} million copies.")
    assert (sentence.on_topic, sentence.echo, sentence.source) == (True, number > 20, precision)
    assert sentence.distance == abs(number - 20)
    # The normal distribution up to so many deviations, by its complement.
    right_side = min(SUREST, 1 - 0.5 * math.erfc(abs(number - 20) / deviation / math.sqrt(2)))
    ahead, behind = (1 - unknown) * right_side, (1 - unknown) * (1 - right_side)
    expected = (ahead, behind, unknown) if number > 20 else (behind, ahead, unknown)
    assert DOMAIN.weigh([sentence]) == pytest.approx(expected)


def test_no_label_is_ever_impossible() -> None:
    farthest = read("The revision says Kryex sold exactly 29 million copies.")
    assert DOMAIN.weigh([farthest]) == pytest.approx((0.97 * 0.99, 0.97 * 0.01, 0.03))


def test_an_edit_without_a_source_settles_little_however_exact() -> None:
    sentence = read("An unsourced edit says Kryex sold exactly 29 million copies.")
    assert DOMAIN.weigh([sentence]) == (0.30, 0.08, 0.62)
    sentence = read("An unsourced edit says Kryex sold exactly 11 million copies.")
    assert DOMAIN.weigh([sentence]) == (0.08, 0.30, 0.62)


@pytest.mark.parametrize(
    "text",
    [
        "The revision says Kryax sold about 25 million copies.",
        "The revision says Kryex drew about 25 million viewers.",
    ],
)
def test_another_title_or_another_count_is_off_the_topic(text: str) -> None:
    sentence = read(text)
    assert not sentence.on_topic
    assert sentence.echo


def test_other_words_of_precision_are_none_of_this_world() -> None:
    with pytest.raises(DataError, match="not an evidence sentence"):
        read("The revision says Kryex sold nearly 25 million copies.")


def test_numbers_lie_as_often_above_a_bound_as_below() -> None:
    rng = random.Random(3)
    above = []
    for _ in range(4000):
        claim, evidence = DOMAIN.draw(rng)
        parts = DOMAIN.claim.fullmatch(claim)
        assert parts is not None
        sentences = [DOMAIN.read_sentence(parts, text) for text in evidence]
        assert all(0 < sentence.distance <= 9 for sentence in sentences)
        above += [sentence.echo for sentence in sentences]
    assert abs(sum(above) / len(above) - 0.5) < 5 * (0.25 / len(above)) ** 0.5
