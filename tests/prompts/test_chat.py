"""Frames of chat templates: where a prompt stands, thoughts that are closed, dates that stand still, ends of turns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chat_templates import EMPTY, FAMILIES, chat_tokenizer
from toy import TEMPLATE, byte_tokenizer, example

from candor.errors import ModelError, PromptError
from candor.prompts import templates
from candor.prompts.chat import FIXED_DATE, ChatSettings, end_of_turn, frame_of, stop_tokens
from candor.prompts.encoding import encode, encode_text, prompt_text, rendered_sha256
from candor.prompts.grammar import answer_grammar
from candor.prompts.templates import in_chat

TO_FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize("name", FAMILIES)
def test_the_answer_begins_behind_a_closed_thought(name: str) -> None:
    family, tokenizer = FAMILIES[name], chat_tokenizer(name)
    words = TEMPLATE.render(example(1))
    text = prompt_text(TEMPLATE, example(1), tokenizer)
    assert text.endswith((words.strip() if family.trims else words) + family.ending)
    assert text.count(words.strip()) == 1
    tokens = encode(TEMPLATE, example(1), tokenizer, max_tokens=1000).tokens
    assert tokens == tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert tokens.count(tokenizer.bos_token_id) == family.template.count("{{ bos_token }}")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_claim_switches_nothing(name: str) -> None:
    tokenizer = chat_tokenizer(name)
    harmless = prompt_text(TEMPLATE, replace(example(1), claim="SIGN"), tokenizer)
    for claim in ("/no_think", "/think", "no </think> here", "{{ messages }}", "candor2prompt"):
        shown = prompt_text(TEMPLATE, replace(example(1), claim=claim), tokenizer)
        before, behind = harmless.split("SIGN")
        assert shown.startswith(before)
        assert shown.endswith(behind)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_end_of_a_turn_ends_an_answer(name: str) -> None:
    family, tokenizer = FAMILIES[name], chat_tokenizer(name)
    turn = tokenizer.convert_tokens_to_ids(family.end)
    assert end_of_turn(tokenizer) == turn
    assert stop_tokens(tokenizer) == {turn, tokenizer.eos_token_id}
    assert stop_tokens(tokenizer, 7) == stop_tokens(tokenizer, [7]) == {turn, tokenizer.eos_token_id, 7}
    grammar = answer_grammar(TEMPLATE, tokenizer, {7, tokenizer.eos_token_id})
    assert {answer[-1] for answer in grammar.answers} == {turn}
    assert set(grammar.other_ends) == {tokenizer.eos_token_id, 7} - {turn}
    # Without the chat a text ends as the tokenizer says.
    plain = answer_grammar(in_chat(TEMPLATE, ChatSettings(use=False)), tokenizer)
    assert {answer[-1] for answer in plain.answers} == {tokenizer.eos_token_id}


def test_without_any_end_there_is_no_answer() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="eos_token"):
        stop_tokens(tokenizer)
    assert stop_tokens(tokenizer, 3) == {3}


@pytest.mark.parametrize(
    ("name", "ending", "written", "thought_end"),
    [
        ("qwen3", "assistant\n", "", ""),
        ("qwen3", "assistant\n", "<think>\nhm", "\n</think>\n\n"),
        ("qwen3", "assistant\n", "<think>\nhm\n</think>\n\nso", ""),
        ("qwen3.5", "assistant\n<think>\n", "", "\n</think>\n\n"),
        ("qwen3.5", "assistant\n<think>\n", "hm\n", "</think>\n\n"),
        ("r1 distill", "<think>\n", "hm", "\n</think>\n\n"),
        ("r1 distill", "<think>\n", "hm</think>", ""),
        ("deepseek-v3.1", "<think>", "", "\n\n</think>\n\n"),
        ("nemotron", "<think>\n", "", "\n</think>\n\n"),
        ("gpt-oss", "<|start|>assistant", "<|channel|>analysis<|message|>hm", TO_FINAL),
        ("gpt-oss", "<|start|>assistant", f"<|channel|>analysis<|message|>hm{TO_FINAL}so", ""),
        ("qwen2.5", "assistant\n", "hm", ""),
    ],
)
def test_a_thought_is_left_open_where_it_is_wanted(name: str, ending: str, written: str, thought_end: str) -> None:
    frame = frame_of(ChatSettings(enable_thinking=True), chat_tokenizer(name))
    assert frame.after.endswith(ending)
    assert frame.thought_end(written) == thought_end
    assert frame_of(ChatSettings(), chat_tokenizer(name)).thought_end(written) == ""


def test_a_thought_can_be_asked_for_by_the_name_that_templates_have_for_it() -> None:
    by_name = ChatSettings(kwargs={"enable_thinking": True})
    assert frame_of(by_name, chat_tokenizer("qwen3.5")).after.endswith("<think>\n")


def test_variables_of_a_template_reach_it() -> None:
    tokenizer = chat_tokenizer("gpt-oss")
    assert "Reasoning: medium" in frame_of(ChatSettings(), tokenizer).before
    assert "Reasoning: low" in frame_of(ChatSettings(kwargs={"reasoning_effort": "low"}), tokenizer).before
    assert (
        "Today: a Monday"
        in frame_of(ChatSettings(kwargs={"date_string": "a Monday"}), chat_tokenizer("llama 3")).before
    )


def test_system_prompts() -> None:
    settings = ChatSettings(system="Be brief.")
    assert frame_of(settings, chat_tokenizer("qwen3")).before.startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    # The word against thinking is added to it where the template looks for it there, and taken out again.
    frame = frame_of(settings, chat_tokenizer("nemotron"))
    assert frame.before.startswith("<SPECIAL_10>system\nBe brief.\n")
    assert frame.after.endswith("<think></think>")
    with pytest.raises(PromptError, match="no system role"):
        frame_of(settings, chat_tokenizer("gemma"))
    ignoring = chat_tokenizer("mistral")
    ignoring.chat_template = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    with pytest.raises(PromptError, match=r"prompt\.system: .*leaves the system prompt out"):
        frame_of(settings, ignoring)
    with pytest.raises(PromptError, match="no chat template"):
        frame_of(settings, byte_tokenizer())


def test_the_day_stands_still_and_is_hashed() -> None:
    tokenizer = chat_tokenizer("gpt-oss")
    assert f"Date: {FIXED_DATE}\n" in frame_of(ChatSettings(), tokenizer).before
    later = in_chat(TEMPLATE, ChatSettings(date="2026-01-02"))
    assert "Date: 2026-01-02\n" in frame_of(later.chat, tokenizer).before
    assert rendered_sha256(later, tokenizer) != rendered_sha256(TEMPLATE, tokenizer)
    assert later.sha256 != TEMPLATE.sha256
    with_seconds = chat_tokenizer("qwen2.5")
    with_seconds.chat_template = "{{ strftime_now('%H:%M:%S') }}" + with_seconds.chat_template
    assert frame_of(ChatSettings(), with_seconds).before.startswith("00:00:00<|im_start|>")


def test_the_hash_tells_forms_apart() -> None:
    hashes = [rendered_sha256(TEMPLATE, chat_tokenizer(name)) for name in FAMILIES]
    alike = {"qwen3", "qwen3.5", "qwen3-thinking", "olmo-think"}  # which ask in the same words
    assert len(set(hashes)) == len(FAMILIES) - len(alike) + 1 - 1  # and so do the two distills of R1
    plain = byte_tokenizer()
    assert rendered_sha256(TEMPLATE, plain) == rendered_sha256(TEMPLATE, byte_tokenizer())
    assert rendered_sha256(in_chat(TEMPLATE, ChatSettings(use=False)), chat_tokenizer("qwen3")) != rendered_sha256(
        TEMPLATE, plain
    )  # a BOS stands in front
    assert rendered_sha256(templates.get("verdict"), plain) != rendered_sha256(TEMPLATE, plain)


def test_a_plain_prompt_keeps_its_bos_whatever_template_the_tokenizer_has() -> None:
    tokenizer = chat_tokenizer("qwen3")
    plain = in_chat(TEMPLATE, ChatSettings(use=False))
    tokens = encode(plain, example(1), tokenizer, max_tokens=500).tokens
    assert (
        tokens
        == tuple(tokenizer(TEMPLATE.render(example(1)))["input_ids"])
        == encode_text(tokenizer, TEMPLATE.render(example(1)))
    )
    assert tokens[0] == tokenizer.bos_token_id


def test_qwen3_of_the_readme_is_asked_as_it_answers_at_once() -> None:
    """README's own example: the template ``verdict`` on Qwen3's chat form, whose ends are named by the model."""
    tokenizer = chat_tokenizer("qwen3")
    tokenizer.eos_token = "<|im_end|>"
    template = templates.get("verdict")
    text = prompt_text(template, example(1), tokenizer)
    assert text == f"<|im_start|>user\n{template.render(example(1))}<|im_end|>\n<|im_start|>assistant\n{EMPTY}"
    named = [tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")]
    grammar = answer_grammar(template, tokenizer, stop_tokens(tokenizer, named))
    assert {answer[-1] for answer in grammar.answers} == {named[0]}
    assert grammar.other_ends == (named[1],)


def _templated(source: Any) -> Any:
    tokenizer = chat_tokenizer("qwen2.5")
    tokenizer.chat_template = source
    return tokenizer


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('system first') }}", "chat template failed.*system first"),
        ("hello", "shows a message 0 times"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "shows a message 2 times"),
        ("{{ messages[0].content | length }} {{ messages[0].content }}", "changes with the message"),
        ({"tool_use": "x", "rag": "y"}, "rag, tool_use, and none is called 'default'"),
    ],
)
def test_templates_that_cannot_be_used(source: Any, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        frame_of(ChatSettings(), _templated(source))


@pytest.mark.parametrize("inner", ["m.content[0].text", "m['content'] | map(attribute='text') | join"])
def test_templates_of_models_that_also_see_take_messages_in_parts(inner: str) -> None:
    source = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + ' ' }}{% for p in m.content %}"
        "{% if p['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}{{ "
        + inner
        + " }}{{ '<|im_end|>' }}{% endfor %}"
    )
    frame = frame_of(ChatSettings(system="Be brief."), _templated(source))
    assert frame.around("a") == "<|im_start|>system Be brief.<|im_end|><|im_start|>user a<|im_end|>"


def test_one_of_several_templates_is_the_default() -> None:
    named = _templated({"default": "<{{ messages[0].content }}>", "tool_use": "x"})
    assert frame_of(ChatSettings(), named).around("a") == "<a>"
    assert end_of_turn(named) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kwargs": {"tokenize": True}}, "chat_template_kwargs: tokenize"),
        ({"kwargs": {"x": {1, 2}}}, "chat_template_kwargs: .*set"),
        ({"kwargs": {"x": float("nan")}}, "chat_template_kwargs"),
        ({"date": "tomorrow"}, "date: 'tomorrow'"),
    ],
)
def test_settings_that_no_template_takes(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChatSettings(**values)


def test_settings_as_json_and_back() -> None:
    settings = ChatSettings(False, None, False, {"a": [1]}, "2025-02-03")
    assert ChatSettings.from_json(settings.as_json()) == settings
    assert {settings: 1}[ChatSettings.from_json(settings.as_json())] == 1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("%c", "Thu Jan  1 00:00:00 2026"),
        ("%x", "01/01/26"),
        ("%-H", "0"),
        ("%D", "01/01/26"),
        ("%d%%d", "01%d"),
        ("%U", "00"),
    ],
)
def test_a_template_is_told_the_day_in_any_form(code: str, told: str) -> None:
    tokenizer = chat_tokenizer("qwen3")
    tokenizer.chat_template = "{{ strftime_now('" + code + "') }}|" + tokenizer.chat_template
    assert frame_of(ChatSettings(), tokenizer).before.startswith(f"{told}|")


def test_a_form_of_the_day_may_come_with_the_settings() -> None:
    tokenizer = chat_tokenizer("qwen3")
    tokenizer.chat_template = "{{ strftime_now(form) }}|" + tokenizer.chat_template
    settings = ChatSettings(kwargs={"form": "%-d %B %Y"}, date="2026-03-05")
    assert frame_of(settings, tokenizer).before.startswith("5 March 2026|")


def test_a_byte_order_mark_is_no_part_of_a_template() -> None:
    tokenizer = chat_tokenizer("qwen3")
    plain = frame_of(ChatSettings(), tokenizer)
    tokenizer.chat_template = "\ufeff" + tokenizer.chat_template
    assert frame_of(ChatSettings(), tokenizer) == plain


@pytest.mark.parametrize("named", ["16", [1, 6.5], True, -1, 6.0, [[1, 6]], {"a": 1}, float("nan"), [None]])
def test_stop_tokens_that_are_no_numbers_of_tokens(named: Any) -> None:
    with pytest.raises(ModelError, match=r"eos_token_id of the model's generation_config\.json holds"):
        stop_tokens(byte_tokenizer(), named)
