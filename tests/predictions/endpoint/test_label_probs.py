"""Label probabilities from what a chat server lists beside its tokens, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from candor.predictions.endpoint.label_probs import listed_label_probs


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
    entries = [token("hm"), LEAD, token("PASS", PASS=1.0), token("; "), LEAD, token("NA", NA=0.6, PASS=0.3, FAIL=0.1)]
    text = "LABEL=PASS; LABEL=NA"
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
