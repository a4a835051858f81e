"""Where a completion emits its label, and the probabilities that are read there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from answer_tokenizers import TOKENIZERS
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import byte_tokenizer

from candor.prompts.answers import LABEL_ANCHOR
from candor.prompts.encoding import (
    common_prefix_length,
    decode,
    encode_continuation,
    tokens_within,
)
from candor.prompts.probe import LABEL_PROBE, label_probs, probe_site, split_before
from candor.types import LABELS

LABEL_WORDS = tuple(label.value for label in LABELS)


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


def test_label_probs_are_a_softmax_however_small_the_logprobs() -> None:
    logprobs = np.log([[0.2, 0.1, 0.1], [0.5, 0.25, 0.25]])
    logprobs[1] -= 5000.0
    np.testing.assert_allclose(label_probs(logprobs), [[0.5, 0.25, 0.25]] * 2, rtol=1e-9)
    np.testing.assert_array_equal(label_probs(np.array([0.0, -np.inf, -np.inf])), [1, 0, 0])


def test_the_label_probe_reads_the_three_labels_in_their_order() -> None:
    assert LABEL_PROBE.anchor == LABEL_ANCHOR
    assert LABEL_PROBE.choices == ("PASS", "FAIL", "NA")


def test_a_token_over_the_place_leaves_its_text_before_it() -> None:
    tokenizer = byte_tokenizer((" L", "=P"))
    tokens = encode_continuation(tokenizer, "so LABEL=PASS")
    # " L" lies over the third sign, so two tokens are whole and its space is text.
    assert split_before(tokenizer, tokens, 3) == (tuple(tokens[:2]), " ")
    assert split_before(tokenizer, tokens, 2) == (tuple(tokens[:2]), "")
    assert split_before(tokenizer, tokens, 0) == ((), "")
