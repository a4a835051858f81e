from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candor.data.audit import audit
from candor.data.shortcuts import FOLDS, SHORTCUTS, clustered_interval, group_folds, label_indexes
from candor.types import LABELS, Example, Label


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(LABELS), st.integers(0, 3), st.integers(0, 8), st.text(max_size=8)),
        min_size=30,
        max_size=60,
    )
)
def test_probabilities_and_results_are_well_formed(drawn: list[tuple[Label, int, int, str]]) -> None:
    made = [
        Example(str(n), "d", text or "x", (text or "y",) * shown, label, f"g{group}")
        for n, (label, shown, group, text) in enumerate(drawn)
    ]
    folds = group_folds(made, 0)
    for name, shortcut in SHORTCUTS.items():
        probabilities = shortcut(made, folds)
        assert probabilities.shape == (len(made), 3), name
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-9, err_msg=name)
    json.dumps(audit({"all": {"d": made}}), allow_nan=False)


def test_interval_is_wilsons_where_every_group_has_one_member() -> None:
    correct = np.array([True] * 30 + [False] * 10)
    low, high = clustered_interval(correct, [str(n) for n in range(40)])
    # statsmodels.stats.proportion.proportion_confint(30, 40, method="wilson"); the small-sample factor 40/39 widens.
    assert low == pytest.approx(0.5981, abs=0.005)
    assert high == pytest.approx(0.8581, abs=0.005)


def test_groups_that_agree_widen_the_interval() -> None:
    correct = np.array(([True] * 3 + [False]) * 25)
    alone = clustered_interval(correct, [str(n) for n in range(100)])
    grouped = clustered_interval(np.sort(correct), [str(n // 10) for n in range(100)])
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


def test_interval_of_unanimous_groups_counts_groups() -> None:
    assert clustered_interval(np.ones(1000, dtype=bool), ["a"] * 500 + ["b"] * 500)[0] < 0.5
    assert clustered_interval(np.ones(1000, dtype=bool), [str(n) for n in range(1000)])[0] > 0.99


def example(number: int, label: Label, evidence: tuple[str, ...] = ("E",), claim: str = "Claim") -> Example:
    return Example(str(number), "d", claim, evidence, label, f"g{number}")


PASS, FAIL, NA = LABELS
SIX = [
    example(0, PASS),
    example(1, PASS),
    example(2, FAIL),
    example(3, NA, ()),
    example(4, NA, ()),
    example(5, NA),
]
NO_FOLDS = np.zeros(6, dtype=np.int64)


def test_majority_is_the_share_of_each_label() -> None:
    np.testing.assert_allclose(SHORTCUTS["majority_label"](SIX, NO_FOLDS), [[2 / 6, 1 / 6, 3 / 6]] * 6)


def test_the_rule_for_no_evidence_never_says_na_where_something_is_shown() -> None:
    # Of the four with evidence one is NA, which is left out: 2 PASS and 1 FAIL.
    rest = [2 / 3, 1 / 3, 0]
    np.testing.assert_allclose(
        SHORTCUTS["no_evidence_is_na"](SIX, NO_FOLDS), [rest, rest, rest, [0, 0, 1], [0, 0, 1], rest]
    )
    # Where nothing is ever shown, or only NA is, nothing is known of the other two.
    only = [example(0, NA, ()), example(1, NA)]
    np.testing.assert_allclose(SHORTCUTS["no_evidence_is_na"](only, NO_FOLDS[:2]), [[0, 0, 1], [0.5, 0.5, 0]])


def test_counts_are_looked_up_in_the_other_folds() -> None:
    made = [
        example(0, PASS, ("E",)),
        example(1, FAIL, ("E",)),
        example(2, NA, ("E", "F")),
        example(3, NA, ("E",)),
        example(4, FAIL, ("E", "F", "G")),
    ]
    folds = np.array([0, 0, 0, 1, 1])
    found = SHORTCUTS["evidence_count"](made, folds)
    # One sentence: PASS and FAIL in fold 0. Three sentences are new there, so they get its shares of labels.
    np.testing.assert_allclose(found[3:], [[1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(found[:3], [[0, 0, 1], [0, 0, 1], [0, 1 / 2, 1 / 2]])


@pytest.mark.parametrize("name", ["evidence_count", "evidence_length", "word_overlap", "claim_only", "evidence_only"])
def test_one_fold_leaves_nothing_to_learn_from(name: str) -> None:
    np.testing.assert_array_equal(SHORTCUTS[name](SIX, NO_FOLDS), np.full((6, 3), 1 / 3))


def test_text_of_one_label_or_without_repeated_words_gives_shares() -> None:
    folds = np.array([0, 0, 1])
    made = [example(0, PASS, claim="one"), example(1, FAIL, claim="two"), example(2, NA, claim="three")]
    np.testing.assert_allclose(SHORTCUTS["claim_only"](made, folds), [[0, 0, 1], [0, 0, 1], [0.5, 0.5, 0]])


def test_groups_stay_in_one_fold_whatever_their_order() -> None:
    made = [Example(str(n), "d", "C", (), PASS, f"g{n % 7}") for n in range(70)]
    folds = group_folds(made, 0)
    assert {len(set(folds[group::7])) for group in range(7)} == {1}
    np.testing.assert_array_equal(group_folds(made[::-1], 0), folds[::-1])
    many = [Example(str(n), "d", "C", (), PASS, f"g{n}") for n in range(500)]
    assert set(group_folds(many, 0)) == set(range(FOLDS))
    assert (group_folds(many, 0) != group_folds(many, 1)).any()


def test_labels_have_the_positions_of_the_table() -> None:
    assert label_indexes(SIX).tolist() == [0, 0, 1, 2, 2, 2]
