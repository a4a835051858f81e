"""What is sent, what is given up in which order, and what is put back."""

from __future__ import annotations

import pytest

from candor.predictions.endpoint.form import FIELDS, KWARGS, PUT_BACK, RUNGS, Form


def sent(form: Form) -> dict[str, object]:
    return form.fields(32)


def test_all_is_sent_at_first() -> None:
    assert sent(Form()) == {"max_tokens": 32, "temperature": 0, "logprobs": True, "top_logprobs": 20}


def test_the_ladder_goes_down_one_by_one() -> None:
    assert [sent(form) for form in Form().ladder()] == [
        {"max_tokens": 32, "temperature": 0, "logprobs": True, "top_logprobs": 5},
        {"max_tokens": 32, "temperature": 0},
        {"max_tokens": 32},
        {"max_completion_tokens": 32},
    ]


@pytest.mark.parametrize(
    ("left_out", "rungs"),
    [
        ({"logprobs"}, [{"max_tokens": 32}, {"max_completion_tokens": 32}]),
        ({"top_logprobs", "temperature"}, [{"max_tokens": 32}, {"max_completion_tokens": 32}]),
        ({"logprobs", "temperature", "max_tokens"}, []),
        (set(FIELDS), []),
    ],
)
def test_what_a_person_leaves_out_is_no_rung(left_out: set[str], rungs: list[dict[str, object]]) -> None:
    form = Form(frozenset(left_out))
    assert not left_out & sent(form).keys()
    assert [sent(lower) for lower in form.ladder()] == rungs


def test_what_was_given_up_can_be_put_back() -> None:
    (*_, lowest) = Form().ladder()
    assert lowest.given_up == set(RUNGS) - {KWARGS}
    form = lowest
    for back in PUT_BACK[:-1]:
        fuller = form.fuller(back)
        assert fuller is not None
        assert len(sent(fuller).items() & sent(Form()).items()) > len(sent(form).items() & sent(Form()).items())
        form = fuller
    assert form == Form()
    assert form.fuller(PUT_BACK[-1]) is None
    fewer = lowest.fuller(frozenset({"logprobs"}))
    assert fewer is not None
    assert sent(fewer)["top_logprobs"] == 5


def test_what_the_chat_template_is_to_be_told_is_given_up_last() -> None:
    form = Form(kwargs={"enable_thinking": False})
    assert sent(form)[KWARGS] == {"enable_thinking": False}
    *others, lowest = form.ladder()
    assert all(KWARGS in sent(other) for other in others)
    assert sent(lowest) == {"max_completion_tokens": 32}
    assert lowest.lacks()[-1].startswith(KWARGS)
    assert KWARGS not in sent(Form())


def test_what_is_not_taken_is_said_in_words() -> None:
    assert Form().lacks() == Form(frozenset(FIELDS)).lacks() == ()
    lacks = [form.lacks() for form in Form().ladder()]
    assert [len(words) for words in lacks] == [1, 1, 2, 2]
    assert lacks[0][0].startswith("more than 5 alternatives")
    assert lacks[1][0].startswith("log-probabilities")
    assert lacks[2][1].startswith("a temperature of 0")
