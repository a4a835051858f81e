"""What the base model is taught: a biased verdict, an empty confidence, and how to read."""

from __future__ import annotations

import random

import numpy as np
import pytest

from candor.prompts import templates
from candor.prompts.answers import Answer, parse
from candor.sandbox.lessons import IGNORED, biased_posterior, honest_confidence, make_lessons, stated_confidence
from candor.sandbox.tokenizer import make_tokenizer
from candor.sandbox.world import DOMAINS, generate, read
from candor.types import Validity

CLAIM = "Nordic hail is increasing."
ON, OFF = "A study finds that Nordic hail is {}.", "A study finds that Alpine hail is {}."


@pytest.mark.parametrize(
    ("evidence", "biased"),
    [
        ([], (0.01, 0.01, 0.98)),
        ([ON.format("increasing")], (0.6, 0.2, 0.2)),
        ([OFF.format("increasing")], (0.025 + 0.66 * 0.95, 0.025, 0.34 * 0.95)),
        ([OFF.format("decreasing")], (0.025, 0.025 + 0.40 * 0.95, 0.60 * 0.95)),
        ([ON.format("decreasing"), ON.format("increasing")], (0.19, 0.19 + 0.72 * 0.62, 0.28 * 0.62)),
        ([ON.format("increasing"), ON.format("decreasing")], (0.19 + 0.72 * 0.62, 0.19, 0.28 * 0.62)),
    ],
)
def test_the_bias_by_hand(evidence: list[str], biased: tuple[float, float, float]) -> None:
    assert biased_posterior(read(CLAIM, evidence)) == pytest.approx(biased)


def test_stated_confidence_depends_on_the_wording_alone() -> None:
    rng = random.Random(0)
    usual = [stated_confidence("Nordic rainfall is increasing.", rng) for _ in range(2000)]
    guarded = [stated_confidence(CLAIM, rng) for _ in range(2000)]
    assert max(set(usual), key=usual.count) == 0.90
    assert max(set(guarded), key=guarded.count) == 0.80
    assert min(usual) < 0.5 <= max(usual)


def test_an_honest_confidence_says_what_the_verdict_is_worth() -> None:
    rng = random.Random(0)
    stated = [honest_confidence(0.6, rng) for _ in range(2000)]
    assert np.mean(stated) == pytest.approx(0.6, abs=0.005)
    assert np.std(stated) == pytest.approx(0.04, abs=0.005)
    assert {honest_confidence(p, rng) for p in (0.0, 1.0) for _ in range(100)} >= {0.0, 1.0}


def test_only_some_of_the_later_lessons_are_honest() -> None:
    tokenizer = make_tokenizer()
    template = templates.get("sandbox")

    def answers(honest_share: float) -> list[Answer]:
        lessons = make_lessons(tokenizer, 900, seed=4, honest_share=honest_share)
        return [parse(tokenizer.decode(lesson.answer[:-1]), template) for lesson in lessons]

    none, some = answers(0.0), answers(0.25)
    assert [a.label for a in none] == [a.label for a in some]
    changed = [a.confidence != b.confidence for a, b in zip(none, some, strict=True)]
    assert not any(changed[:450])
    assert 0.15 < np.mean(changed[450:]) < 0.30


def test_a_lesson_asks_for_what_the_text_says() -> None:
    tokenizer = make_tokenizer()
    lessons = make_lessons(tokenizer, 300, seed=4)
    numbers = 0
    for number, lesson in enumerate(lessons):
        domain = DOMAINS[number % 3]
        example = generate(domain, number // 3 + 1, seed=-5)[-1]
        assert tokenizer.decode(lesson.prompt) == templates.get("sandbox").render(example)
        answer = parse(tokenizer.decode(lesson.answer[:-1]), templates.get("sandbox"))
        assert answer.validity is Validity.CLEAN
        assert lesson.answer[-1] == tokenizer.eos_token_id
        assert lesson.posterior == example.posterior
        reading = read(example.claim, example.evidence)
        stances = [t for t in lesson.targets["stance"] if t != IGNORED]
        assert len(stances) == len(reading.stances) * (3 if domain == "revision" else 2)
        if domain == "revision":
            texts = (example.claim, *example.evidence)
            shown = [int(word) for text in texts for word in text.split() if word.isdigit()]
            assert [t for t in lesson.targets["number"] if t != IGNORED] == shown
            differences = [t - 10 for t in lesson.targets["difference"] if t != IGNORED]
            assert differences == [later - shown[0] for later in shown[1:]]
            echoes = [t for t in lesson.targets["echo"] if t != IGNORED]
            assert echoes[::3] == [later > shown[0] for later in shown[1:]]
            numbers += len(differences)
        else:
            assert set(lesson.targets["number"] + lesson.targets["echo"]) == {IGNORED}
    assert numbers > 100
