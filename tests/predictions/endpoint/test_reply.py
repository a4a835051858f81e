"""What a chat completion says, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from candor.errors import RefusedError
from candor.predictions.endpoint.reply import Reply, read_reply


def read(body: Any) -> Reply | None:
    return read_reply(lambda: body, shown=lambda words: words.upper())


def completion(content: Any = "LABEL=NA", finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    usage = more.pop("usage", {"prompt_tokens": 10, "completion_tokens": 3})
    choice = {"message": {"content": content, **more.pop("message", {})}, "finish_reason": finish, **more}
    return {"choices": [choice], "usage": usage}


def test_an_answer_with_all_that_a_server_may_tell() -> None:
    listed = [{"token": "LABEL=", "top_logprobs": []}]
    assert read(completion(logprobs={"content": listed})) == Reply("LABEL=NA", True, listed, 10, 3)


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}])
def test_without_probabilities_there_are_none(logprobs: Any) -> None:
    reply = read(completion(logprobs=logprobs))
    assert reply is not None
    assert reply.logprobs is None


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "10", "completion_tokens": True}, {"prompt_tokens": -1}])
def test_tokens_that_are_not_counted_are_unknown(usage: Any) -> None:
    reply = read(completion(usage=usage))
    assert reply is not None
    assert (reply.tokens_in, reply.tokens_out) == (None, None)


def test_only_a_length_limit_cuts_an_answer() -> None:
    replies = [read(completion(finish=finish)) for finish in ("length", "stop", "eos", None, "MAX_TOKENS")]
    assert [reply.stopped for reply in replies if reply is not None] == [False, True, True, True, False]
    for finish in ("max_completion_tokens", "model_length", "token_limit", "context_length_exceeded", "truncation"):
        reply = read(completion(finish=finish))
        assert reply is not None
        assert not reply.stopped
    for finish in ("stop_sequence", "eos_token", "end_turn", "STOP", "completed", {"type": "eos"}, ""):
        reply = read(completion(finish=finish))
        assert reply is not None
        assert reply.stopped


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "LABEL="}, {"type": "text", "text": "NA"}], "LABEL=NA"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "LABEL=PASS"}]},
                {"type": "text", "text": "NA"},
            ],
            "NA",
        ),
        ([{"type": "reasoning", "text": "LABEL=PASS"}, {"type": "output_text", "text": "x"}], "x"),
        ("", ""),
    ],
)
def test_an_answer_in_parts_is_their_text_without_thoughts(content: Any, text: str) -> None:
    reply = read(completion(content))
    assert reply is not None
    assert (reply.text, reply.stopped) == (text, True)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_in_a_field_of_its_own_is_no_part_of_the_answer(field: str) -> None:
    reply = read(completion(message={field: "LABEL=PASS, I guess"}))
    assert reply is not None
    assert reply.text == "LABEL=NA"


def test_a_thought_that_ran_into_the_limit_is_an_answer_without_text_that_was_cut() -> None:
    reply = read(completion(None, finish="length"))
    assert reply is not None
    assert (reply.text, reply.stopped) == ("", False)


@pytest.mark.parametrize(
    "finish", ["error", "abort", "ABORTED", "cancelled", {"type": "abort"}, "network_error", "failed", "incomplete"]
)
@pytest.mark.parametrize("content", ["LABEL=PASS", "", None])
def test_what_was_broken_off_is_no_answer(finish: Any, content: str | None) -> None:
    assert read(completion(content, finish=finish)) is None


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "MALFORMED_FUNCTION_CALL", "OTHER", "server_error"])
def test_a_reason_that_is_no_end_of_an_answer_leaves_none(finish: str) -> None:
    assert read(completion(finish=finish)) is None


@pytest.mark.parametrize("role", ["user", "system", "tool"])
def test_the_words_of_others_are_no_answer(role: str) -> None:
    assert read(completion(message={"role": role})) is None
    assert read(completion(message={"role": "assistant"})) is not None


def test_of_several_choices_the_first_by_its_number_is_read() -> None:
    other = completion("LABEL=PASS")["choices"][0] | {"index": 1}
    body = completion()
    reply = read(body | {"choices": [other, body["choices"][0] | {"index": 0}]})
    assert reply is not None
    assert reply.text == "LABEL=NA"


def test_a_thought_without_an_answer_is_an_answer_without_text() -> None:
    reply = read(completion(None, message={"reasoning_content": "hm"}))
    assert reply is not None
    assert reply.text == ""


def test_what_no_file_can_hold_is_replaced() -> None:
    reply = read(completion("a\ud83d"))
    assert reply is not None
    assert reply.text == "a\ufffd"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (completion(finish="content_filter"), "finish_reason CONTENT_FILTER"),
        (completion(finish="SAFETY"), "finish_reason SAFETY"),
        (completion(finish="content-filter"), "finish_reason CONTENT-FILTER"),
        (completion(finish="guardrail_intervened"), "finish_reason GUARDRAIL"),
        (completion(finish="refusal"), "finish_reason REFUSAL"),
        (completion([{"type": "refusal", "refusal": "i cannot"}]), "the answer is a refusal: I CANNOT"),
        (completion(None, message={"refusal": "i cannot"}), "the answer is a refusal: I CANNOT"),
    ],
)
def test_what_is_withheld_is_a_refusal(body: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": ["text"]},
        {"choices": [{"message": None}]},
        completion(["part"]),
        completion(None),
        completion([]),
        completion([{"type": "thinking", "thinking": "hm"}]),
        completion([{"type": "text", "text": None}]),
        completion([{"type": "text", "text": "NA"}, {"type": "image_url"}]),
        completion(None, message={"tool_calls": [{}]}, finish="tool_calls"),
        completion() | {"error": {"message": "overloaded"}},
        completion(error={"message": "overloaded"}),
        completion() | {"object": "error"},
        completion(logprobs="none"),
        {"error": {"message": "overloaded"}},
    ],
)
def test_what_is_no_chat_completion_is_none(body: Any) -> None:
    assert read(body) is None


def test_what_is_no_json_is_none() -> None:
    assert read_reply(lambda: json.loads("<html>"), shown=str) is None
