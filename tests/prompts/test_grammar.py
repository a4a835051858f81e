"""Every answer in the asked form, as tokens of any tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
from toy import TEMPLATE, byte_tokenizer

from candor.errors import ModelError
from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES, LABEL_ANCHOR, parse
from candor.prompts.encoding import (
    decode,
)
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.types import LABELS


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
            # Up to the closing all of the confidence has been said, and one token earlier not yet.
            stated = text[: text.index("CONF=") + len("CONF=0.00")]
            closing = grammar.closing[101 * k + i]
            assert decode(tokenizer, answer[:closing]).startswith(stated)
            assert not decode(tokenizer, answer[: closing - 1]).startswith(stated)
            # Up to the closing all of the confidence has been said, and one token earlier not yet.
            stated = text[: text.index("CONF=") + len("CONF=0.00")]
            closing = grammar.closing[101 * k + i]
            assert decode(tokenizer, answer[:closing]).startswith(stated)
            assert not decode(tokenizer, answer[: closing - 1]).startswith(stated)


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


def test_longest_is_counted_over_all_answers() -> None:
    grammar = AnswerGrammar(((1, 2, 3), (1, 4, 5, 6, 7)), (1, 1), (2, 3), (2, 4))
    assert grammar.longest == 5
    assert grammar.longest_behind_label == 2
    made = answer_grammar(TEMPLATE, byte_tokenizer())
    # One token a sign: LABEL=PASS\nCONF=0.50 and the end; behind the label all but its ten signs.
    assert made.longest == len("LABEL=PASS\nCONF=0.50") + 1
    assert made.longest_behind_label == made.longest - len("LABEL=PASS")
    assert set(made.label_start) == {len("LABEL=")}
