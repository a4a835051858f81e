from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import DOCS

from candor.errors import DataError
from candor.sandbox.world import DOMAINS, Stance, generate, read
from candor.types import LABELS

MANY = {domain: generate(domain, 12_000, seed=2) for domain in DOMAINS}
PAGE = DOCS / "sandbox.md"


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(DOMAINS), st.integers(0, 30), st.integers(0, 30), st.integers())
def test_a_shorter_set_is_the_beginning_of_a_longer_one(domain: str, count: int, more: int, seed: int) -> None:
    assert generate(domain, count + more, seed)[:count] == generate(domain, count, seed)


@pytest.mark.parametrize("domain", DOMAINS)
def test_seeds_and_domains_differ(domain: str) -> None:
    assert generate(domain, 20, 0) != generate(domain, 20, 1)
    examples = MANY[domain]
    assert len({example.id for example in examples}) == len(examples)
    assert {example.dataset for example in examples} == {domain}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_posterior_is_recovered_from_the_text_alone(domain: str) -> None:
    for example in MANY[domain][:2000]:
        reading = read(example.claim, example.evidence)
        assert reading.posterior == example.posterior
        assert reading.domain == domain
        assert len(reading.stances) == len(reading.echoes) == len(example.evidence)
        assert sum(reading.posterior) == pytest.approx(1.0)
        assert min(reading.posterior) > 0


@pytest.mark.parametrize("domain", DOMAINS)
def test_labels_occur_as_often_as_the_posterior_says(domain: str) -> None:
    by_posterior: dict[tuple[float, float, float], Counter[str]] = {}
    for example in MANY[domain]:
        assert example.posterior is not None
        by_posterior.setdefault(example.posterior, Counter())[example.label] += 1
    statistic, degrees = 0.0, 0
    for posterior, counts in by_posterior.items():
        total = counts.total()
        if total * min(posterior) < 5:  # too few for the normal approximation
            continue
        expected = [total * probability for probability in posterior]
        statistic += sum((counts[label] - e) ** 2 / e for label, e in zip(LABELS, expected, strict=True))
        degrees += 2
    assert degrees > 0
    # Chi-squared has mean `degrees` and variance twice that; five standard deviations are far out.
    assert statistic < degrees + 5 * math.sqrt(2 * degrees)


WIKI, REVISION, CLIMATE = (
    "Corur plays for Elmton.",
    "Kryex sold more than 20 million copies.",
    "Nordic hail is increasing.",
)


@pytest.mark.parametrize(
    ("claim", "evidence", "posterior"),
    [
        (WIKI, [], (0.01, 0.01, 0.98)),
        (WIKI, ["Records confirm that Corur plays for Elmton."], (0.97, 0.0195, 0.0105)),
        (WIKI, ["Records confirm that Corur plays for Foxton."], (0.0195, 0.97, 0.0105)),
        (WIKI, ["Rumour says that Corur plays for Elmton."], (0.30, 0.08, 0.62)),
        (WIKI, ["Rumour says that Corur plays for Foxton."], (0.08, 0.30, 0.62)),
        (WIKI, ["Records confirm that Coran plays for Elmton."], (0.025, 0.025, 0.95)),
        (WIKI, ["Records confirm that Corur works as a baker."], (0.025, 0.025, 0.95)),
        (
            WIKI,
            ["Rumour says that Coran plays for Elmton.", "Some believe that Corur plays for Elmton."],
            (0.56, 0.286, 0.154),
        ),
        # 5 above the bound at a deviation of 2.5 is two standard deviations: Phi(2) = .97725
        (REVISION, ["The revision says Kryex sold about 25 million copies."], (0.928387, 0.021613, 0.05)),
        (REVISION, ["The revision says Kryex sold about 15 million copies."], (0.021613, 0.928387, 0.05)),
        # 6 below at a deviation of 6: Phi(1) = .841345
        (REVISION, ["The revision says Kryex sold roughly 14 million copies."], (0.145963, 0.774037, 0.08)),
        (REVISION, ["The revision says Kryex sold exactly 23 million copies."], (0.9603, 0.0097, 0.03)),
        (REVISION, ["An unsourced edit says Kryex sold exactly 21 million copies."], (0.30, 0.08, 0.62)),
        (REVISION, ["The revision says Kryex earned exactly 21 million dollars."], (0.025, 0.025, 0.95)),
        (CLIMATE, ["A study finds that Nordic hail is increasing."], (0.6, 0.2, 0.2)),
        (CLIMATE, ["A study finds that Nordic hail is decreasing."] * 2, (0.092, 0.828, 0.08)),
        (CLIMATE, ["A model finds that Nordic hail is increasing."] * 3, (0.97 * 27 / 28, 0.97 / 28, 0.03)),
        (
            CLIMATE,
            ["A study finds that Nordic hail is increasing.", "A study finds that Nordic hail is decreasing."],
            (0.19, 0.19, 0.62),
        ),
        (CLIMATE, ["A study finds that Alpine hail is increasing."], (0.025, 0.025, 0.95)),
    ],
)
def test_posteriors_by_hand(claim: str, evidence: list[str], posterior: tuple[float, float, float]) -> None:
    assert read(claim, evidence).posterior == pytest.approx(posterior, abs=1e-6)


def test_what_a_reading_says_of_each_sentence() -> None:
    reading = read(WIKI, ["Rumour says that Coran plays for Elmton.", "Records confirm that Corur plays for Foxton."])
    assert reading.stances == (Stance.OFF_TOPIC, Stance.REFUTES)
    assert reading.echoes == (True, False)
    assert reading.decisive
    assert not read(WIKI, ["Rumour says that Corur plays for Elmton."]).decisive


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_world_is_as_hard_as_it_should_be(domain: str) -> None:
    examples = MANY[domain]
    posteriors = np.array([example.posterior for example in examples])
    gold = np.array([LABELS.index(example.label) for example in examples])
    correct = posteriors.argmax(axis=1) == gold
    confidence = posteriors.max(axis=1)
    won, lost = confidence[correct], np.sort(confidence[~correct])
    auroc = (np.searchsorted(lost, won, "left") + np.searchsorted(lost, won, "right")).mean() / 2 / len(lost)
    assert 0.36 < np.mean(gold == 2) < 0.42
    assert 0.78 < correct.mean() < 0.85
    assert 0.74 < auroc < 0.81
    assert abs(np.mean(gold == 0) - np.mean(gold == 1)) < 0.02


@pytest.mark.parametrize("domain", DOMAINS)
def test_there_are_claims_enough_to_hold_some_out(domain: str) -> None:
    assert len({example.group for example in MANY[domain]}) >= 1500


@pytest.mark.parametrize("domain", DOMAINS)
def test_missing_evidence_does_not_give_na_away(domain: str) -> None:
    unknown = [example for example in MANY[domain] if example.label == LABELS[2]]
    assert np.mean([not example.evidence for example in unknown]) < 0.1
    assert 0.02 < np.mean([not example.evidence for example in MANY[domain]]) < 0.04


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_claim_alone_says_nothing(domain: str) -> None:
    for place in (1, 2, 4) if domain == "revision" else (1, 2):
        by_word: dict[str, list[bool]] = {}
        for example in MANY[domain]:
            by_word.setdefault(example.claim.split()[place], []).append(example.label == LABELS[0])
        for passes in by_word.values():
            deviation = math.sqrt(0.25 / len(passes))
            assert abs(np.mean(passes) - 0.305) < 5 * deviation


def test_errors_name_the_value() -> None:
    with pytest.raises(DataError, match=r"'climte'.*did you mean 'climate'"):
        generate("climte", 1, 0)
    with pytest.raises(DataError, match="-1"):
        generate("wiki", -1, 0)
    with pytest.raises(DataError, match="not a claim"):
        read("Water is wet.", [])
    with pytest.raises(DataError, match="not an evidence sentence"):
        read(WIKI, ["A study finds that Nordic hail is increasing."])
    with pytest.raises(DataError, match="at most one"):
        read(WIKI, ["Records confirm that Corur plays for Elmton."] * 2)
    with pytest.raises(DataError, match="at most 3"):
        read(CLIMATE, ["A study finds that Nordic hail is increasing."] * 4)


def test_the_examples_in_the_documentation_are_generated_ones() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for domain in DOMAINS:
        block = re.search(rf"<!-- example {domain} (\d+) -->\n```text\n(.*?)```", text, re.DOTALL)
        assert block is not None, domain
        example = generate(domain, int(block[1]) + 1, seed=0)[-1]
        assert example.posterior is not None
        lines = [f"claim     {example.claim}", *(f"evidence  {sentence}" for sentence in example.evidence)]
        lines.append(
            "posterior " + " ".join(f"{label}={p:.3f}" for label, p in zip(LABELS, example.posterior, strict=True))
        )
        lines.append(f"label     {example.label}")
        assert block[2] == "\n".join(lines) + "\n"
