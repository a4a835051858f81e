from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candor.data.audit import audit
from candor.data.inputs import load_named, read_splits
from candor.types import LABELS, Example, Label


def make(count: int, evidence: Callable[[int, Label], tuple[str, ...]], claim: str = "Claim {n}") -> list[Example]:
    """Examples with labels in turn, a group each."""
    made = []
    for n in range(count):
        label = LABELS[n % 3]
        text = claim.format(n=n, label=label)
        made.append(Example(str(n), "d", text, evidence(n, label), label, f"g{n}"))
    return made


def scores(examples: list[Example], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = audit({"all": {"d": examples}}, **options)["datasets"]["d"]
    return result


def value(examples: list[Example], shortcut: str, metric: str = "accuracy") -> float:
    score: float = scores(examples)["shortcuts"][shortcut][metric]["value"]
    return score


def test_published_fever_rows_give_na_away(shared_data: Path) -> None:
    splits = read_splits(str(shared_data / "published" / "fever_base_results.json.gz"))
    result = audit(splits)
    shortcuts = result["datasets"]["fever_base_results"]["shortcuts"]
    assert shortcuts["no_evidence_is_na"]["na_accuracy"]["value"] == pytest.approx(0.994)
    assert shortcuts["no_evidence_is_na"]["na_accuracy"]["interval"][0] > 0.98
    assert shortcuts["majority_label"]["na_accuracy"]["value"] == pytest.approx(0.5)
    (warning,) = result["warnings"]
    assert 'the rule "no evidence shown -> NA" tells whether the label is NA rightly in 99.4%' in warning
    assert "na_evidence: retrieved" in warning


@pytest.mark.parametrize("name", ["climatefever", "vitaminc"])
def test_the_other_official_datasets_do_not(shared_data: Path, name: str) -> None:
    examples = list(load_named(name, data_dir=shared_data).examples)
    result = audit({"all": {name: examples}}, max_examples=600)
    shortcuts = result["datasets"][name]["shortcuts"]
    assert shortcuts["no_evidence_is_na"]["na_accuracy"] == shortcuts["majority_label"]["na_accuracy"]
    assert not [warning for warning in result["warnings"] if "the rule" in warning or "number of" in warning]


def test_no_evidence_rule_by_hand() -> None:
    # 100 of each label; every NA and every tenth PASS shows nothing.
    made = make(300, lambda n, label: () if label is Label.NA or n % 30 == 0 else ("E",))
    assert value(made, "no_evidence_is_na", "na_accuracy") == pytest.approx(290 / 300)
    # The rest is called FAIL, the most common label (100) among those with evidence (90 PASS).
    assert value(made, "no_evidence_is_na") == pytest.approx(200 / 300)
    assert value(made, "majority_label") == pytest.approx(1 / 3)
    assert value(made, "majority_label", "na_accuracy") == pytest.approx(2 / 3)


def test_each_shortcut_finds_what_it_looks_for() -> None:
    by_count = make(150, lambda n, label: ("Same words.",) * (1 + LABELS.index(label)))
    assert value(by_count, "evidence_count") == 1.0
    by_length = make(150, lambda n, label: (" ".join(["word"] * (5 + 20 * LABELS.index(label))),))
    assert value(by_length, "evidence_length") == 1.0
    assert value(by_length, "evidence_count") < 0.5
    by_overlap = make(150, lambda n, label: ((f"claim {n}", f"claim {n + 1000}", "none")[LABELS.index(label)],))
    assert value(by_overlap, "word_overlap") == 1.0
    by_claim = make(150, lambda n, label: ("E",), claim="The {label} claim {n}")
    assert value(by_claim, "claim_only") == 1.0
    assert value(by_claim, "evidence_only") < 0.5
    by_evidence = make(150, lambda n, label: (f"The word {label} says it.",))
    assert value(by_evidence, "evidence_only") == 1.0


def test_shortcuts_cannot_learn_from_the_group_they_are_tested_on() -> None:
    # 30 groups, each with a word and a label of its own: known within the group, useless outside.
    made = [
        Example(str(n), "d", f"word{n % 30} again", ("E",), LABELS[n * 7 % 30 % 3], f"g{n % 30}") for n in range(300)
    ]
    assert value(made, "claim_only") < 0.5


def test_nothing_to_find_gives_no_warning() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    made = [Example(str(n), "d", f"Claim {n}", (f"E {n}",), LABELS[label], f"g{n}") for n, label in enumerate(labels)]
    assert audit({"all": {"d": made}})["warnings"] == []


def test_order_does_not_matter() -> None:
    made = make(120, lambda n, label: ("E",) * (n % 4), claim="Claim {n} of {label}")
    assert audit({"all": {"d": made}}) == audit({"all": {"d": made[::-1]}})


def test_repeats_across_splits() -> None:
    one = Example("1", "a", "The claim.", ("E1", "E2"), Label.PASS, "g1")
    two = Example("2", "b", "the CLAIM", ("E2",), Label.FAIL, "g2")
    three = Example("3", "b", "Another", ("E3",), Label.FAIL, "g1")
    result = audit({"train": {"a": [one]}, "test": {"b": [two, three]}})
    assert result["repeats"] == {"train/test": {"claims": 1, "groups": 1, "evidence_sentences": 1, "of": 2}}
    assert any("1 of 2 examples of test share their claim with train" in words for words in result["warnings"])
    assert any("share their group with train" in words for words in result["warnings"])


def test_repeats_and_contradictions_within_a_dataset() -> None:
    made = [
        Example("1", "d", "A", ("E",), Label.PASS, "g"),
        Example("2", "d", "a!", ("E",), Label.FAIL, "g"),
        Example("3", "d", "A", ("F",), Label.FAIL, "g"),
    ]
    assert scores(made)["repeats"] == {"claims": 2, "claims_with_evidence": 1, "contradictions": 1}


def test_prompt_lengths() -> None:
    made = make(40, lambda n, label: ("E",))
    result = audit({"all": {"d": made}}, count_tokens=lambda example: 10 + int(example.id), max_length=47)
    tokens = result["datasets"]["d"]["prompt_tokens"]
    # Nothing that can be left out makes these shorter.
    assert tokens == {
        "median": 29.5,
        "p95": pytest.approx(47.05),
        "max": 49,
        "max_length": 47,
        "too_long": 2,
        "sentences_cut": 0,
        "never_fit": 2,
    }
    assert any("2 of 40 prompts are longer than 47 tokens" in words for words in result["warnings"])


def test_sentences_that_would_be_cut_are_counted() -> None:
    made = make(40, lambda n, label: ("E",) * (n % 4))
    result = audit({"all": {"d": made}}, count_tokens=lambda example: 10 + 5 * len(example.evidence), max_length=15)
    tokens = result["datasets"]["d"]["prompt_tokens"]
    # Ten claims each have 0, 1, 2 and 3 sentences, and one fits.
    assert (tokens["too_long"], tokens["sentences_cut"], tokens["never_fit"]) == (20, 10 * 1 + 10 * 2, 0)
    assert any(
        "20 of 40 prompts are longer than 15 tokens; evidence sentences at their ends would be cut, 30 in all" in w
        for w in result["warnings"]
    )


def test_lengths_in_words() -> None:
    made = make(40, lambda n, label: ("one two",) * 2)
    assert scores(made)["words"] == {"median": 6.0, "p95": 6.0, "max": 6}


def test_a_tokenizer_that_is_not_there_is_a_warning() -> None:
    made = make(40, lambda n, label: ("E",))
    result = audit({"all": {"d": made}}, prompt={"model": "some/model", "unknown": "no network"})
    assert any(
        "prompt lengths in tokens are not known, nor what would be cut: no network" in w for w in result["warnings"]
    )
    assert result["prompt"]["model"] == "some/model"
    assert "prompt_tokens" not in result["datasets"]["d"]


def test_missing_labels_are_said() -> None:
    made = [Example(str(n), "d", f"Claim {n}", ("E",), Label.PASS, f"g{n}") for n in range(60)]
    result = audit({"all": {"d": made}})
    assert any("no example is labelled FAIL or NA" in words for words in result["warnings"])


@pytest.mark.parametrize("count", [0, 1, 2, 29])
def test_few_examples(count: int) -> None:
    result = audit({"all": {"d": make(count, lambda n, label: ())}})
    json.dumps(result, allow_nan=False)
    for dataset in result["datasets"].values():
        assert dataset["shortcuts"]["claim_only"]["accuracy"] is None
        assert "too few" in dataset["shortcuts"]["claim_only"]["reason"]


def test_large_datasets_are_sampled() -> None:
    result = scores(make(500, lambda n, label: ("E",)), max_examples=100)
    assert result["n"] == 500
    assert result["scored_examples"] == 100
    assert result["shortcuts"]["majority_label"]["accuracy"]["n"] == 100
