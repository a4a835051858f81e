"""Labels as tables spell them."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.data.labels import KNOWN_LABELS, known_label, label_key, own_labels, read_label
from candor.data.rows import RowError
from candor.errors import DataError
from candor.types import Label

SPELLINGS = {
    Label.PASS: "PASS Supports SUPPORT supported entailment ENTAILMENT entails PASS. ＰＡＳＳ PASS\u200b \ufeffPASS",
    Label.FAIL: "FAIL REFUTES Refute refuted contradiction CONTRADICT Contradicts",
    Label.NA: "NA NEI NOT_ENOUGH_INFO NotEnoughInfo NOT-ENOUGH-INFO NOTENOUGHINFO neutral NEUTRAL Unverifiable",
}
MORE = [
    "Not Enough Evidence",
    "NOT ENOUGH INFORMATION",
    "not enough info.",
    "NOT  ENOUGH INFO",
    "Insufficient evidence",
]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *((text, label) for label, texts in SPELLINGS.items() for text in texts.split(" ")),
        *((text, Label.NA) for text in MORE),
    ],
)
def test_spellings_that_are_known(text: str, label: Label) -> None:
    assert read_label(text, "label", {}) is label
    assert read_label(f" {text.lower()} ", "label", {}) is label


@given(st.sampled_from(sorted(KNOWN_LABELS.keys() - {"na"})), st.data())  # n.a. could mean two things
def test_case_and_joints_of_a_known_name_do_not_matter(name: str, data: st.DataObject) -> None:
    letters = [data.draw(st.sampled_from([letter, letter.upper()])) for letter in name]
    joints = [data.draw(st.sampled_from(["", "", "", " ", "_", "-", "."])) for _ in name]
    text = "".join(letter + joint for letter, joint in zip(letters, joints, strict=True))
    assert read_label(text, "label", {}) is KNOWN_LABELS[name]


@pytest.mark.parametrize(
    "text", ["!PASS", "¬supports", "≠ entailment", "-PASS", "~refutes", "PASS?", "+pass", "pass/fail", "(not) pass"]
)
def test_a_sign_may_turn_a_label_round(text: str) -> None:
    with pytest.raises(RowError, match="no known label"):
        read_label(text, "label", {})


@pytest.mark.parametrize("text", ["N\\A", "N-A", "(NA)", "N\u2013A", "#N A", "NA?", "N_A", "n.a"])
def test_spellings_of_not_applicable(text: str) -> None:
    with pytest.raises(RowError, match="can mean two things"):
        read_label(text, "label", {})


@pytest.mark.parametrize(
    "text", ["'PASS'", '"Pass"', "[pass]", "(PASS)", "“pass”", "**Pass**", "_pass_", "pass,", "Pass!"]
)
def test_marks_around_a_label(text: str) -> None:
    assert read_label(text, "label", {}) is Label.PASS


@pytest.mark.parametrize("hyphen", "\u2010\u2011\u2013")
def test_hyphens_of_print_are_joints(hyphen: str) -> None:
    assert read_label(hyphen.join(["not", "enough", "info"]), "label", {}) is Label.NA


AMBIGUOUS: list[Any] = [0, 1, 2, -1, "0", "1", "2", 0.0, 1.0, "2.0", 0.5, True, False, "true", "FALSE", "yes", "No"]
AMBIGUOUS += [
    "N/A",
    "-",
    "unknown",
    "none",
    "nan",
    "disputed",
    "Mixture",
    "Conflicting Evidence/Cherrypicking",
    "Half  true",
]


@pytest.mark.parametrize("value", AMBIGUOUS)
def test_what_can_mean_two_things_is_named_with_the_fix(value: Any) -> None:
    with pytest.raises(RowError) as caught:
        read_label(value, "verdict", {})
    words = str(caught.value)
    assert words.startswith(f"'verdict' is {str(value)!r}, which can mean two things: ")
    assert f'labels: {{"{label_key(value)}": PASS}}' in words
    assert f'--label "{label_key(value)}=PASS"' in words
    assert "columns: {label: NAME}" in words


@pytest.mark.parametrize("value", AMBIGUOUS)
@pytest.mark.parametrize("label", [*Label, None])
def test_the_fix_that_is_named_is_one(value: Any, label: Label | None) -> None:
    assert read_label(value, "label", own_labels({label_key(value): label})) is label
    assert read_label(value, "label", own_labels({f" {str(value).upper()} ": label})) is label


@pytest.mark.parametrize(
    "text", ["maybe", "pass/fail", "PASS|FAIL", "uncertain", "#N/A!", "x" * 200, "?!", "pass or fail", "{}"]
)
def test_what_is_unknown_is_named_with_the_fix(text: str) -> None:
    with pytest.raises(RowError) as caught:
        read_label(text, "label", {})
    assert f"'label' is {text[:80]!r}, no known label. Say what it stands for: labels: " in str(caught.value)


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")])
def test_a_row_without_a_label_points_to_judging(value: Any) -> None:
    with pytest.raises(RowError, match=r"'label' is (null|empty); .* `candor verify`"):
        read_label(value, "label", {"pass": Label.PASS})


@pytest.mark.parametrize("value", [[], {}, ["PASS"]])
def test_a_list_is_no_label(value: Any) -> None:
    with pytest.raises(RowError, match="'label' must be a label, not a"):
        read_label(value, "label", {})


def test_own_labels_go_before_the_known_ones() -> None:
    own = own_labels({"NA": Label.FAIL, "Mostly true": Label.PASS, "spam": None})
    assert read_label("na", "label", own) is Label.FAIL
    assert read_label("MOSTLY \u00a0TRUE", "label", own) is Label.PASS
    assert read_label("Spam", "label", own) is None
    assert read_label("NEI", "label", own) is Label.NA


def test_without_labels_of_ones_own_the_known_ones_are_all_there_are() -> None:
    assert known_label("Supports", "label") is Label.PASS
    for value in ("yes", "maybe", "", None, 1):
        with pytest.raises(RowError, match="'verdict'"):
            known_label(value, "verdict")


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_unicode_forms_of_a_label_are_one(form: str) -> None:
    own = own_labels({unicodedata.normalize(form, "réfuté"): Label.FAIL, "desteklıyor": Label.PASS})
    for other in ("NFC", "NFD", "NFKC", "NFKD"):
        assert read_label(unicodedata.normalize(other, "RÉFUTÉ"), "label", own) is Label.FAIL
    assert read_label("DESTEKLİYOR", "label", own) is Label.PASS


def test_labels_that_contradict_each_other_are_an_error() -> None:
    assert own_labels({"Yes": Label.PASS, "yes": Label.PASS}) == {"yes": Label.PASS}
    with pytest.raises(DataError, match="'yes' stands for two labels in it, PASS and FAIL"):
        own_labels({"Yes": Label.PASS, "yes": Label.FAIL})
