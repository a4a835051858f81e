from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from candor.prompts import templates
from candor.sandbox.tokenizer import make_tokenizer
from candor.sandbox.world import DOMAINS, generate
from candor.types import LABELS

TOKENIZER = make_tokenizer()


def pieces(text: str, tokenizer: Any = TOKENIZER) -> list[str]:
    return [tokenizer.decode([token]) for token in tokenizer(text).input_ids]


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_any_text_survives(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


@given(st.integers(0, 10**12), st.sampled_from(["", " ", "a", "[", "."]))
def test_every_digit_is_a_token(number: int, before: str) -> None:
    digits = [piece for piece in pieces(f"{before}{number}") if any(sign.isdigit() for sign in piece)]
    assert [piece.strip() for piece in digits] == list(str(number))


@pytest.mark.parametrize("domain", DOMAINS)
def test_words_cost_little_more_than_a_token(domain: str) -> None:
    tokens = words = 0
    for example in generate(domain, 2000, seed=31):
        for text in (example.claim, *example.evidence):
            tokens += len(TOKENIZER(text).input_ids)
            words += len(text.split())
    assert tokens / words <= 1.3


def test_an_answer_falls_into_the_pieces_that_are_scored() -> None:
    for name in templates.names():
        for label in LABELS:
            answer = templates.get(name).render_answer(label, 0.85)
            expected = ["LABEL=", label.value, "\n", "CONF=", "0", ".", "8", "5"]
            assert pieces(answer)[: len(expected)] == expected
    prompt = templates.get("sandbox").render(generate("wiki", 1, seed=0)[0])
    assert pieces(prompt) + pieces("LABEL=NA") == pieces(prompt + "LABEL=NA")
    assert all(piece == "\n" for piece in pieces(prompt) if "\n" in piece)


def test_special_tokens_are_in_their_places() -> None:
    assert (TOKENIZER.pad_token, TOKENIZER.pad_token_id) == ("<pad>", 0)
    assert (TOKENIZER.eos_token, TOKENIZER.eos_token_id) == ("<eos>", 1)
    assert TOKENIZER.unk_token is None
    assert len(TOKENIZER(" hail").input_ids) == 1
    assert TOKENIZER("", add_special_tokens=True).input_ids == []


def test_training_again_gives_the_same_tokenizer() -> None:
    assert make_tokenizer().backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


def test_it_loads_as_it_was_saved(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Claim: Arctic hail — 12,5 % naïve\n\tLABEL=NA\nCONF=1.00 ☃"
    assert loaded(text).input_ids == TOKENIZER(text).input_ids
    assert loaded.decode(loaded(text).input_ids) == text
    assert (loaded.pad_token_id, loaded.eos_token_id, loaded.padding_side) == (0, 1, "left")
