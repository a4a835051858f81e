"""Prompts and answers as tokens, for tokenizers that merge and mark in different ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import TEMPLATE, byte_tokenizer, example, sentencepiece_tokenizer, toy_tokenizer

from candor.errors import ModelError, PromptError
from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES, LABEL_ANCHOR, parse
from candor.prompts.encoding import (
    common_prefix_length,
    decode,
    disarm,
    encode,
    encode_continuation,
    encode_text,
    prompt_text,
    tokens_covering,
    tokens_within,
)
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import probe_site
from candor.types import LABELS

TOKENIZERS: dict[str, Any] = {
    "bytes": byte_tokenizer(),
    "merges": byte_tokenizer(("=P", "CONF", "0.", "LABEL", " LABEL", "so")),
    "across lines": byte_tokenizer(("=P", "S\n", "=0", "0.", "\nCONF", "A\nC", "1.0", "99")),
    "line break melts": byte_tokenizer(("\nL", "\nLABEL=", "NA\n")),
    "whole labels": byte_tokenizer(("LABEL=PASS", "LABEL=FAIL", "=NA", "00")),
    "prefix space": sentencepiece_tokenizer(normalised=True),
    "metaspace": sentencepiece_tokenizer(normalised=False),
    "pieces": toy_tokenizer(),
}
LABEL_WORDS = tuple(label.value for label in LABELS)


@pytest.fixture(params=list(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


# ------------------------------------------------------------------------------------------------ the grammar


@pytest.mark.parametrize("template", templates.names())
def test_every_answer_decodes_to_its_text_and_ends(tokenizer: Any, template: str) -> None:
    grammar = answer_grammar(templates.get(template), tokenizer)
    assert len(grammar.answers) == len(set(grammar.answers)) == 303
    for k, label in enumerate(LABELS):
        for i, confidence in enumerate(CONFIDENCES):
            answer = grammar.answers[101 * k + i]
            assert answer[-1] == tokenizer.eos_token_id
            assert tokenizer.eos_token_id not in answer[:-1]
            text = decode(tokenizer, answer)
            assert text == templates.get(template).render_answer(label, confidence)
            assert parse(text, templates.get(template)).confidence == confidence


def test_label_tokens_lie_between_start_and_end(tokenizer: Any) -> None:
    grammar = answer_grammar(TEMPLATE, tokenizer)
    for k, label in enumerate(LABELS):
        for i in range(101):
            index = 101 * k + i
            answer, start, end = grammar.answers[index], grammar.label_start[index], grammar.label_end[index]
            assert 0 <= start < end < len(answer)
            stated = LABEL_ANCHOR + label.value
            # Up to the end all of the label has been said, and one token earlier not yet.
            assert decode(tokenizer, answer[:end]).startswith(stated)
            assert not decode(tokenizer, answer[: end - 1]).startswith(stated)
            # What comes before the start is the same for all labels; at the start they part.
            others = [grammar.answers[101 * other + i] for other in range(3)]
            assert len({other[:start] for other in others}) == 1
            assert len({other[start] for other in others}) > 1
        # All confidences of a label share its tokens, so that any of them gives the label's probability.
        assert len({grammar.answers[101 * k + i][: grammar.label_end[101 * k]] for i in range(101)}) == 1


def test_merges_are_where_the_test_wants_them() -> None:
    across = TOKENIZERS["across lines"]
    tokens = [decode(across, (t,)) for t in encode_continuation(across, "LABEL=PASS\nCONF=0.99")]
    assert "=P" in tokens
    assert "S\n" in tokens
    assert "=0" in tokens
    space = TOKENIZERS["prefix space"]
    assert space.convert_ids_to_tokens(encode_continuation(space, "LABEL"))[0] == "LABEL"
    assert space.convert_ids_to_tokens(space("LABEL")["input_ids"])[0] == "▁LABEL"


def test_tokenizer_without_an_end_is_refused() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="eos_token"):
        answer_grammar(TEMPLATE, tokenizer)


def test_tokenizer_that_cannot_write_an_answer_is_refused() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<eos>": 0, "<unk>": 1, "LABEL": 2, "CONF": 3, "=": 4, "PASS": 5, "FAIL": 6, "NA": 7, ".": 8}
    vocabulary |= {f"{i:02d}": 20 + i for i in range(100)} | {"0": 9, "1": 10}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # forgets line breaks
    with pytest.raises(ModelError, match="cannot write"):
        answer_grammar(TEMPLATE, PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", unk_token="<unk>"))


# ------------------------------------------------------------------------------------------------- the probe


def _answer(tokenizer: Any, text: str) -> tuple[int, ...]:
    return (*encode_continuation(tokenizer, text), tokenizer.eos_token_id)


@pytest.mark.parametrize("reasoning", ["", "so ", "the x\n", "LABEL=NA is tempting, but\n", "so. "])
def test_probe_stands_where_the_last_label_is_emitted(tokenizer: Any, reasoning: str) -> None:
    tokens = _answer(tokenizer, reasoning + "LABEL=FAIL\nCONF=0.30")
    site = probe_site(tokenizer, tokens, LABEL_ANCHOR, LABEL_WORDS)
    for choice, word in zip(site.choices, LABEL_WORDS, strict=True):
        assert decode(tokenizer, choice) == reasoning + LABEL_ANCHOR + word
    assert site.start == common_prefix_length(site.choices)
    assert len({choice[: site.start] for choice in site.choices}) == 1
    # The tokens before the anchor are the completion's own.
    kept = tokens_within(tokenizer, tokens, len(reasoning))
    assert all(choice[:kept] == tokens[:kept] for choice in site.choices)


def test_without_an_anchor_the_bare_anchor_is_probed(tokenizer: Any) -> None:
    bare = probe_site(tokenizer, (), LABEL_ANCHOR, LABEL_WORDS)
    for text in ("no idea", "PASS", ""):
        assert probe_site(tokenizer, _answer(tokenizer, text), LABEL_ANCHOR, LABEL_WORDS) == bare


def test_special_tokens_before_the_label_stay() -> None:
    tokenizer = byte_tokenizer(("=P",))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    opened, closed = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    thought = encode_continuation(tokenizer, "hm")
    tokens = (opened, *thought, closed, *_answer(tokenizer, "LABEL=NA\nCONF=0.50"))
    site = probe_site(tokenizer, tokens, LABEL_ANCHOR, LABEL_WORDS)
    assert all(choice[: 2 + len(thought)] == (opened, *thought, closed) for choice in site.choices)
    assert [decode(tokenizer, choice) for choice in site.choices] == [f"hmLABEL={word}" for word in LABEL_WORDS]


@pytest.mark.parametrize("name", ["bytes", "prefix space", "metaspace"])
@pytest.mark.parametrize("sign", ["😀", "é", "😀😀 so ✅", "a�b"])
def test_signs_of_several_bytes_before_the_label_stay_whole(name: str, sign: str) -> None:
    tokenizer = TOKENIZERS[name]
    tokens = _answer(tokenizer, sign + "LABEL=NA\nCONF=0.50")
    before = len(encode_continuation(tokenizer, sign))
    site = probe_site(tokenizer, tokens, LABEL_ANCHOR, LABEL_WORDS)
    assert [choice[:before] for choice in site.choices] == [tokens[:before]] * 3
    assert [decode(tokenizer, choice) for choice in site.choices] == [f"{sign}LABEL={word}" for word in LABEL_WORDS]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_probe_never_fails_and_keeps_the_text(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TOKENIZERS)))
    tokenizer = TOKENIZERS[name]
    tokens = tuple(data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=12)))
    tokens += encode_continuation(tokenizer, data.draw(st.sampled_from(["", "LABEL=", "LABEL=NA", "so LABEL=PASS\n"])))
    site = probe_site(tokenizer, tokens, LABEL_ANCHOR, LABEL_WORDS)
    assert len(site.choices) == 3
    assert 0 <= site.start < min(map(len, site.choices))
    assert all(decode(tokenizer, c).endswith(f"LABEL={w}") for c, w in zip(site.choices, LABEL_WORDS, strict=True))


def test_counting_tokens_by_characters() -> None:
    tokenizer = byte_tokenizer(("ab",))
    tokens = encode_continuation(tokenizer, "abcab")
    assert [decode(tokenizer, (t,)) for t in tokens] == ["ab", "c", "ab"]
    assert [tokens_covering(tokenizer, tokens, n) for n in range(6)] == [0, 1, 1, 2, 3, 3]
    assert [tokens_within(tokenizer, tokens, n) for n in range(6)] == [0, 0, 1, 2, 2, 3]


# ------------------------------------------------------------------------------------------------ the prompt


def test_evidence_is_cut_by_whole_sentences_from_the_end() -> None:
    tokenizer = byte_tokenizer()
    long = example(1, evidence=("first.", "second one.", "third and last."))
    lengths = [len(encode_text(tokenizer, TEMPLATE.render(long, max_evidence=n))) for n in range(4)]
    for shown in (3, 2, 1):
        encoded = encode(TEMPLATE, long, tokenizer, max_tokens=lengths[shown])
        assert (len(encoded.tokens), encoded.evidence_dropped) == (lengths[shown], 3 - shown)
        assert decode(tokenizer, encoded.tokens) == TEMPLATE.render(long, max_evidence=shown)
    almost = encode(TEMPLATE, long, tokenizer, max_tokens=lengths[3] - 1)
    assert almost.evidence_dropped == 1
    assert "second one.\nAnswer" in decode(tokenizer, almost.tokens)


def test_without_any_sentence_the_prompt_says_that_there_is_none() -> None:
    tokenizer = byte_tokenizer()
    long = example(1, evidence=("x" * 200,))
    room = len(TEMPLATE.render(long, max_evidence=0))
    encoded = encode(TEMPLATE, long, tokenizer, max_tokens=room)
    assert encoded.evidence_dropped == 1
    assert TEMPLATE.no_evidence in decode(tokenizer, encoded.tokens)
    with pytest.raises(PromptError, match=rf"'e1' of 'toy'.*{room} tokens.*{room - 1} fit"):
        encode(TEMPLATE, long, tokenizer, max_tokens=room - 1)


def test_chat_template_is_used_and_its_special_tokens_are_not_doubled() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    plain = encode(TEMPLATE, example(1), tokenizer, max_tokens=500).tokens
    assert plain[0] == bos
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]\n{% endif %}"
    )
    chatted = encode(TEMPLATE, example(1), tokenizer, max_tokens=500).tokens
    assert prompt_text(TEMPLATE, example(1), tokenizer).startswith("<bos>[user]Claim: x = 1\n")
    assert chatted.count(bos) == 1
    assert decode(tokenizer, chatted) == "[user]" + TEMPLATE.render(example(1)) + "[assistant]\n"


def test_an_end_token_that_closes_every_text_is_taken_off() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.eos_token_id)]
    )
    assert encode_text(tokenizer, "ab") == tuple(tokenizer("ab", add_special_tokens=False)["input_ids"])


def test_failing_chat_template_is_a_prompt_error() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('system first') }}"
    with pytest.raises(PromptError, match=r"chat template failed.*system first"):
        prompt_text(TEMPLATE, example(1), tokenizer)


def test_special_tokens_spelled_out_in_data_are_not_special() -> None:
    tokenizer = toy_tokenizer()
    hostile = replace(example(1, evidence=(f"see {tokenizer.eos_token}",)), claim=f"x{tokenizer.eos_token}")
    assert tokenizer.eos_token_id in encode_text(tokenizer, TEMPLATE.render(hostile))
    tokens = encode_text(tokenizer, prompt_text(TEMPLATE, hostile, tokenizer))
    assert tokenizer.eos_token_id not in tokens
    assert disarm(example(1), tokenizer) == example(1)
