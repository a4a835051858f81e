"""Label probabilities from what a chat server lists beside its tokens, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.predictions.endpoint.label_probs import contradiction, listed_label_probs


def token(text: str, **listed: float) -> dict[str, Any]:
    """A token with alternatives and their probabilities; names with ``_`` in front begin with a space."""
    alternatives = [
        {"token": name.replace("_", " "), "logprob": math.log(p) if p else -9999.0} for name, p in listed.items()
    ]
    return {"token": text, "top_logprobs": alternatives}


LEAD = token("LABEL=")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([LEAD, token("NA", NA=0.6, PASS=0.3, FAIL=0.1)], (0.3, 0.1, 0.6)),
        # Pieces of a label count for it, and are added up.
        ([LEAD, token("N", N=0.5, NA=0.1, P=0.2, PA=0.1, F=0.1), token("A")], (0.3, 0.1, 0.6)),
        # What is no label is left out of the sum.
        ([LEAD, token("NA", NA=0.54, PASS=0.27, FAIL=0.09, maybe=0.1)], (0.3, 0.1, 0.6)),
        # A token may begin with the sign before the label.
        ([token("LABEL"), {**token("=NA"), "top_logprobs": [
            {"token": "=NA", "logprob": math.log(0.6)},
            {"token": "=P", "logprob": math.log(0.3)},
            {"token": "=FAIL", "logprob": math.log(0.1)},
        ]}], (0.3, 0.1, 0.6)),
    ],
)  # fmt: skip
def test_the_token_in_which_the_label_begins(entries: list[Any], expected: tuple[float, float, float]) -> None:
    text = "".join(entry["token"] for entry in entries)
    assert listed_label_probs(text, entries) == pytest.approx(expected)


def test_the_last_label_of_the_text_is_asked_for_and_a_thought_before_it_is_not_in_the_way() -> None:
    entries = [token("hm"), LEAD, token("PASS", PASS=1.0), token(";\n"), LEAD, token("NA", NA=0.6, PASS=0.3, FAIL=0.1)]
    text = "LABEL=PASS;\nLABEL=NA"
    assert listed_label_probs(text, entries) == pytest.approx((0.3, 0.1, 0.6))


def test_a_label_that_is_not_listed_may_have_as_much_as_the_last_that_is() -> None:
    # At most .004 is left for FAIL, which is less than a hundredth.
    assert listed_label_probs("LABEL=NA", [LEAD, token("NA", NA=0.6, PASS=0.396)]) == pytest.approx(
        (0.396 / 0.996, 0.0, 0.6 / 0.996)
    )
    # Here it could hold a tenth.
    assert listed_label_probs("LABEL=NA", [LEAD, token("NA", NA=0.6, PASS=0.3)]) is None


@pytest.mark.parametrize(
    "entries",
    [
        None,
        [],
        [LEAD, {"token": "NA"}],
        [LEAD, token("NA")],
        [LEAD, token("NA", NA=1.0, PASS=0.0)],  # stands for what the server does not tell
        [LEAD, {"token": "NA", "top_logprobs": [{"token": "NA", "logprob": "-0.1"}]}],
        [LEAD, {"token": "NA", "top_logprobs": [{"token": "NA", "logprob": math.nan}]}],
        [token("something"), token("else")],
        # White space alone could go on with any label.
        [LEAD, {"token": "NA", "top_logprobs": [
            {"token": "NA", "logprob": math.log(0.5)},
            {"token": "PASS", "logprob": math.log(0.2)},
            {"token": "FAIL", "logprob": math.log(0.1)},
            {"token": " ", "logprob": math.log(0.2)},
        ]}],
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_none(entries: list[Any] | None) -> None:
    assert listed_label_probs("LABEL=NA", entries) is None


def test_an_answer_without_a_label_has_no_place() -> None:
    assert listed_label_probs("no idea", [token("no idea", NA=1.0)]) is None


def test_a_longer_word_is_no_label() -> None:
    found = listed_label_probs("LABEL=NA", [LEAD, token("NA", NA=0.6, PASS=0.3, FAIL=0.05, FAILED=0.05)])
    assert found == pytest.approx((0.3 / 0.95, 0.05 / 0.95, 0.6 / 0.95))


def _listed(text: str, *pairs: tuple[str, float], **own: float) -> dict[str, Any]:
    return {"token": text, "top_logprobs": [{"token": name, "logprob": value} for name, value in pairs], **own}


FITS = (("NA", math.log(0.6)), ("PASS", math.log(0.3)), ("FAIL", math.log(0.1)))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([LEAD, _listed("NA", ("PASS", -0.2), ("FAIL", -2.0))], "not among its alternatives"),
        ([LEAD, _listed("NA", ("\nCONF", -0.01), ("\n", -5.0))], "not among its alternatives"),  # the next position's
        ([LEAD, _listed("NA", ("NA", 0.6), ("PASS", 0.3), ("FAIL", 0.1))], "above 0"),  # probabilities
        ([LEAD, _listed("NA", ("NA", 0.5), ("PASS", 1.2), ("FAIL", 2.3))], "above 0"),  # negative logarithms
        (
            [LEAD, _listed("NA", ("NA", math.log10(0.6)), ("PASS", math.log10(0.3)), ("FAIL", -1.0))],
            "sum to more than 1",
        ),
        ([LEAD, _listed("NA", ("NA", -0.1), ("PASS", -0.1))], "sum to more than 1"),
        ([LEAD, _listed("NA", *FITS, logprob=math.log(0.9))], "another probability than the same token"),
        ([LEAD, _listed("NA", ("NA", math.nan), ("PASS", -1.0))], "no number"),
        ([LEAD, _listed("NA", ("NA", -0.6), ("ĠPASS", -1.2), ("FAIL", -2.3))], "marks of their vocabulary"),
        ([token("ĠLABEL="), _listed("NA", *FITS), token("Ċ")], ""),
        ([token("▁LABEL", x=1.0), token("="), _listed("N", ("▁N", -0.1)), token("A")], "marks of their vocabulary"),
        ([token("another"), token("answer")], "not those of the answer"),
    ],
)
def test_what_contradicts_the_answer_is_said_and_gives_no_probability(entries: list[Any], words: str) -> None:
    said = contradiction("LABEL=NA", entries)
    if words:
        assert said is not None
        assert words in said
        assert listed_label_probs("LABEL=NA", entries) is None
    else:  # marks elsewhere than where the label stands do no harm
        assert said is None
        assert listed_label_probs("LABEL=NA", entries) == pytest.approx((0.3, 0.1, 0.6))


@pytest.mark.parametrize(
    "entries",
    [
        None,
        [],
        [LEAD, {"token": "NA"}],
        [LEAD, {"token": "NA", "top_logprobs": None}],
        [LEAD, {"token": "NA", "top_logprobs": []}],
        [LEAD, _listed("NA", *FITS)],
        [LEAD, _listed("NA", *FITS, logprob=math.log(0.605))],
        [LEAD, _listed("NA", ("NA", 0.0), ("PASS", -9999.0), ("FAIL", -math.inf))],
    ],
)
def test_what_is_not_told_or_fits_is_no_contradiction(entries: list[Any] | None) -> None:
    assert contradiction("LABEL=NA", entries) is None


@given(
    chosen=st.sampled_from(["NA", "N", " NA"]),
    names=st.lists(st.sampled_from(["NA", "N", " NA", "PASS", "FAIL", "P", "the", "ĠNA"]), max_size=6, unique=True),
    values=st.lists(st.floats(-30, 3), min_size=6, max_size=6),
)
def test_probabilities_are_given_only_where_nothing_contradicts_them(
    chosen: str, names: list[str], values: list[float]
) -> None:
    entries = [LEAD, _listed(chosen, *zip(names, values, strict=False)), token("A" if chosen == "N" else "")]
    text = "".join(entry["token"] for entry in entries)
    found = listed_label_probs(text, entries)
    if found is not None:
        listed = values[: len(names)]
        assert contradiction(text, entries) is None
        assert chosen in names
        assert sum(map(math.exp, listed)) <= 1.01
        assert max(listed) <= 0.01
        assert sum(found) == pytest.approx(1.0)


def test_alternatives_that_cannot_be_the_likeliest_give_nothing() -> None:
    """Some servers write -100 for what they mask, beside a probability of before the mask."""
    listed = [{"token": "NA", "logprob": -0.1}, *({"token": name, "logprob": -100.0} for name in ("PASS", "FAIL"))]
    entries = [LEAD, {"token": "NA", "logprob": -0.1, "top_logprobs": listed}]
    assert listed_label_probs("LABEL=NA", entries) is None
    assert contradiction("LABEL=NA", entries) == "the alternatives are not the likeliest ones"
    listed[0]["logprob"] = entries[1]["logprob"] = 0.0
    assert listed_label_probs("LABEL=NA", entries) == pytest.approx((0.0, 0.0, 1.0))


@pytest.mark.parametrize("listed", [[], [{"token": "NA", "logprob": 0.0}]])
def test_zeros_in_place_of_numbers_give_nothing(listed: list[Any]) -> None:
    zeros = {"token": "LABEL=", "logprob": 0.0, "top_logprobs": []}
    entries = [zeros, {"token": "NA", "logprob": 0.0, "top_logprobs": listed}]
    assert listed_label_probs("LABEL=NA", entries) is None
    assert contradiction("LABEL=NA", entries) == "every token has a probability of exactly 1 and no alternative"
