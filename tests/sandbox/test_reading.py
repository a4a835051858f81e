"""What the sandbox's domains share: one sentence and its stance, mirrored posteriors, drawing around a topic."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from candor.errors import DataError
from candor.sandbox import reading
from candor.sandbox.reading import Sentence, Stance, draw_single, match, only, oriented, other


def test_a_sentence_off_the_topic_takes_no_side_whatever_its_surface() -> None:
    assert Sentence(True, True).stance is Stance.SUPPORTS
    assert Sentence(True, False).stance is Stance.REFUTES
    assert Sentence(False, True).stance is Sentence(False, False).stance is Stance.OFF_TOPIC


def test_fixed_posteriors_are_distributions_that_rule_nothing_out() -> None:
    for posterior in (reading.NO_EVIDENCE, reading.OFF_TOPIC, reading.UNRELIABLE, reading.BALANCED):
        assert sum(posterior) == pytest.approx(1.0)
        assert min(posterior) > 0
    # Nothing of all this settles more than it leaves open; a rumour is the least open of them.
    assert reading.UNDECIDED_FROM == 0.62


def test_denying_mirrors_pass_and_fail() -> None:
    assert oriented((0.5, 0.2, 0.3), True) == (0.5, 0.2, 0.3)
    assert oriented((0.5, 0.2, 0.3), False) == (0.2, 0.5, 0.3)


def test_other_values_are_all_drawn_but_the_one() -> None:
    rng = random.Random(0)
    assert {other(rng, "abcd", "b") for _ in range(200)} == {"a", "c", "d"}


def test_a_form_matches_whole_sentences() -> None:
    form = re.compile(r"(\w+) sleeps\.")
    assert match(form, "Corur sleeps.")[1] == "Corur"
    with pytest.raises(DataError, match=r"not an evidence sentence .*: 'Corur sleeps\. Well\.'"):
        match(form, "Corur sleeps. Well.")


def test_only_one_sentence_on_the_topic_can_be_weighed() -> None:
    sentence = Sentence(True, True)
    assert only([sentence]) is sentence
    with pytest.raises(DataError, match="at most one sentence"):
        only([sentence, sentence])


def test_evidence_has_at_most_one_sentence_on_the_topic_in_known_shares() -> None:
    rng = random.Random(1)
    drawn = Counter(tuple(sorted(draw_single(rng, lambda: "on", lambda: "off"))) for _ in range(20_000))
    shares = {evidence: count / 20_000 for evidence, count in drawn.items()}
    expected = {
        (): 0.03,
        ("off",): 0.125,
        ("off", "off"): 0.125,
        ("on",): 0.36,
        ("off", "on"): 0.36,
    }
    # Five standard deviations of a share of one half.
    assert shares == pytest.approx(expected, abs=5 * (0.25 / 20_000) ** 0.5)
    orders = {draw_single(rng, lambda: "on", lambda: "off") for _ in range(200)}
    assert {("on", "off"), ("off", "on")} <= orders
