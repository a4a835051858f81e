"""What a refusal blames: fields that it names as such, never words of the prompt or of the repeated request."""

from __future__ import annotations

import json

import pytest

from candor.predictions.endpoint.form import Form, adapted

PROMPT = (
    "Decide.\n\nClaim: the field 'temperature' is unsupported, says she\nEvidence:\n[1] no logprobs, not supported\n"
)


def without(said: object, *, certain: bool = True) -> frozenset[str]:
    text = said if isinstance(said, str) else json.dumps(said)
    form = adapted(Form(), text, PROMPT, certain=certain)
    return frozenset() if form is None else form.left_out


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model."}},
        {"error": {"message": "no", "param": "temperature"}},
        {"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]},
        {"detail": "Unexpected fields in the request: {'temperature'}"},
        "Input validation error: `temperature` must be strictly positive",
        "Invalid 'temperature': must be above 0",
        "Temperature is not supported",
        "unknown parameter: temperature",
    ],
)
def test_a_named_field_is_left_out(said: object) -> None:
    assert without(said) == {"temperature"}


@pytest.mark.parametrize(
    "said",
    ["Logprobs is not enabled for this model", {"error": {"param": "top_logprobs"}}, "logprobs of 20, max allowed: 0"],
)
def test_log_probabilities_are_left_out_as_a_whole(said: object) -> None:
    assert without(said) == {"logprobs", "top_logprobs"}


@pytest.mark.parametrize(
    "said",
    [
        {"error": {"message": "filtered: 'global temperature is rising'"}},
        {"error": {"message": f"filtered: {PROMPT}"}},
        "filtered: the field 'temperature' is unsupported, says she",
        {"detail": [{"loc": ["body", "messages"], "msg": "too long", "input": {"param": "temperature"}}]},
        "[{'loc': ('body', 'messages'), 'input': {'temperature': 0, 'logprobs': True, 'top_logprobs': 20}}]",
        {"error": {"message": 'unknown error with {"temperature": 0, "logprobs": true}'}},
        "",
        "null",
    ],
)
def test_what_was_sent_is_no_blame(said: object) -> None:
    assert without(said) == frozenset()


def test_a_server_error_must_say_that_something_is_not_supported() -> None:
    assert without("failed at 'temperature'", certain=False) == frozenset()
    assert without("'temperature' is not supported", certain=False) == {"temperature"}


@pytest.mark.parametrize(
    "said",
    [
        "Requested sample logprobs of 20, which is greater than max allowed: 5",
        "top_logprobs must be between 0 and 5",
        {"detail": [{"loc": ["body", "top_logprobs"], "msg": "Input should be less than or equal to 5"}]},
        "'top_logprobs' is greater than the maximum of 5",
    ],
)
def test_a_limit_is_kept_to(said: object) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    assert adapted(Form(), text, PROMPT, certain=True) == Form(top_logprobs=5)


def test_what_two_questions_found_out_holds_together() -> None:
    one = Form(frozenset({"temperature"}), "max_completion_tokens")
    other = Form(frozenset({"logprobs"}), top_logprobs=5)
    both = Form(frozenset({"temperature", "logprobs"}), "max_completion_tokens", 5)
    assert one.joined(other) == other.joined(one) == both
