"""What is stated behind each label, beside answers that are decoded behind labels by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import EXAMPLES, TEMPLATE, save_toy_model, toy_engine

from candor.engines.base import Engine, Sampling
from candor.errors import PromptError
from candor.predictions.file import Header, read_predictions, write_predictions
from candor.predictions.label_confidences import grammar_behind_prompt, label_confidences
from candor.predictions.local import predict
from candor.prompts import templates
from candor.prompts.answers import parse
from candor.prompts.encoding import decode, encode
from candor.prompts.probe import LABEL_PROBE
from candor.types import LABELS, Validity


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return toy_engine(save_toy_model(tmp_path_factory.mktemp("model")), trained=False)


def test_it_is_what_greedy_decoding_writes_behind_the_label(engine: Engine) -> None:
    grammar = grammar_behind_prompt(TEMPLATE, engine)
    prompts = [encode(TEMPLATE, example, engine.tokenizer, max_tokens=200).tokens for example in EXAMPLES[:3]]
    found = label_confidences(engine, grammar, prompts)
    compared = 0
    for prompt, stated in zip(prompts, found, strict=True):
        for k in range(len(LABELS)):
            head = grammar.answers[101 * k][: grammar.label_end[101 * k]]
            ((rollout,),) = engine.rollout([(*prompt, *head)], 1, Sampling(0.0, 24), LABEL_PROBE)
            answer = parse(decode(engine.tokenizer, head) + rollout.text, TEMPLATE)
            if answer.validity is Validity.CLEAN:  # the model keeps to the form by itself
                assert stated[k] == answer.confidence
                compared += 1
    assert compared >= 3


def test_an_answer_in_form_states_what_is_stated_behind_its_label(engine: Engine, tmp_path: Path) -> None:
    found = predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=24, batch_size=4, every_label=True)
    plain = predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=24, batch_size=4)
    clean = [row for row in found if row.validity is Validity.CLEAN]
    assert clean
    for row in clean:
        assert row.label is not None
        assert row.label_confidences is not None
        assert row.label_confidences[LABELS.index(row.label)] == row.confidence
    assert [row.raw for row in found] == [row.raw for row in plain]
    assert {row.label_confidences for row in plain} == {None}
    header = Header("m", TEMPLATE.name, TEMPLATE.sha256, "d", "test", 0)
    write_predictions(tmp_path / "p.jsonl", header, found)
    assert list(read_predictions(tmp_path / "p.jsonl").predictions) == found


def test_nothing_is_stated_right_behind_a_prompt_that_asks_for_reasoning(engine: Engine) -> None:
    with pytest.raises(PromptError, match=r"verdict-reasoned.*can be asked of others alone"):
        grammar_behind_prompt(templates.get("verdict-reasoned"), engine)
