"""Prompts and answers as tokens, for tokenizers that merge and mark in different ways."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from answer_tokenizers import TOKENIZERS
from toy import TEMPLATE, byte_tokenizer, example, toy_tokenizer

from candor.errors import PromptError
from candor.prompts.control import disarm
from candor.prompts.encoding import (
    CUT_MARK,
    decode,
    encode,
    encode_continuation,
    encode_text,
    prompt_text,
    tokens_covering,
    tokens_within,
)


def test_merges_are_where_the_test_wants_them() -> None:
    across = TOKENIZERS["across lines"]
    tokens = [decode(across, (t,)) for t in encode_continuation(across, "LABEL=PASS\nCONF=0.99")]
    assert "=P" in tokens
    assert "S\n" in tokens
    assert "=0" in tokens
    space = TOKENIZERS["prefix space"]
    assert space.convert_ids_to_tokens(encode_continuation(space, "LABEL"))[0] == "LABEL"
    assert space.convert_ids_to_tokens(space("LABEL")["input_ids"])[0] == "▁LABEL"


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


# --------------------------------------------------------------------------------------------- long evidence

LONG = " ".join(f"word{index}" for index in range(400))


def test_a_sentence_longer_than_all_room_is_cut_at_a_space_with_a_mark() -> None:
    tokenizer = byte_tokenizer()
    for evidence in ((LONG,), (LONG, "never seen.")):
        asked = example(1, evidence=evidence)
        encoded = encode(TEMPLATE, asked, tokenizer, max_tokens=300)
        text = decode(tokenizer, encoded.tokens)
        assert 290 <= len(encoded.tokens) <= 300  # as much as fits, but for the word that is cut
        kept = text[text.index("word0") : text.index(CUT_MARK)]
        assert LONG.startswith(f"{kept} ")
        assert encoded.evidence_cut == len(LONG) - len(kept)
        assert encoded.evidence_dropped == len(evidence) - 1
        assert TEMPLATE.no_evidence not in text


def test_text_without_spaces_is_cut_too() -> None:
    tokenizer = byte_tokenizer()
    encoded = encode(TEMPLATE, example(1, evidence=("河獺在冷水裡游泳" * 100,)), tokenizer, max_tokens=200)
    text = decode(tokenizer, encoded.tokens)
    assert text.endswith(f"水裡游泳河獺在冷水裡游泳河{CUT_MARK}\nAnswer:\n") or CUT_MARK in text
    assert "\ufffd" not in text
    assert 0 < encoded.evidence_cut < 800


def test_behind_a_sentence_that_is_shown_others_are_left_out_whole() -> None:
    tokenizer = byte_tokenizer()
    asked = example(1, evidence=("a" * 100, "b" * 100, "c" * 100))
    encoded = encode(TEMPLATE, asked, tokenizer, max_tokens=200)
    assert (encoded.evidence_dropped, encoded.evidence_cut) == (2, 0)
    titled = encode(TEMPLATE, example(1, evidence=("a title.", LONG)), tokenizer, max_tokens=300)
    assert (titled.evidence_dropped, titled.evidence_cut) == (1, 0)


def test_a_first_sentence_shorter_than_the_words_for_none_is_shown() -> None:
    tokenizer = byte_tokenizer()
    asked = example(1, evidence=("ab", "c" * 300))
    room = len(TEMPLATE.render(asked, max_evidence=1))
    assert room < len(TEMPLATE.render(asked, max_evidence=0))
    encoded = encode(TEMPLATE, asked, tokenizer, max_tokens=room)
    assert (encoded.evidence_dropped, encoded.evidence_cut) == (1, 0)


@pytest.mark.parametrize("sentences", [1, 200, 800])
def test_trimming_reads_a_text_a_few_times_whatever_its_length(sentences: int) -> None:
    read = 0

    class Counted:
        """A tokenizer that counts what it is given."""

        def __getattr__(self, name: str) -> Any:
            return getattr(BYTES, name)

        def __len__(self) -> int:
            return len(BYTES)

        def __call__(self, text: str, **options: Any) -> Any:
            nonlocal read
            read += len(text)
            return BYTES(text, **options)

    words = "some words of it." if sentences > 1 else LONG * 20
    asked = example(1, evidence=(words,) * sentences)
    whole = len(TEMPLATE.render(asked))
    encoded = encode(TEMPLATE, asked, Counted(), max_tokens=whole // 2)
    assert whole // 2 - 40 <= len(encoded.tokens) <= whole // 2
    assert read < 32 * whole + 20_000


BYTES = byte_tokenizer()
