"""All confidences in one row: the numbers of 101 separate ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toy import TEMPLATE, example, save_toy_model, toy_engine

from candor.adapters.confidence_tree import ConfidenceTree, _plain, check_tree, confidence_logprobs
from candor.errors import ModelError
from candor.prompts.encoding import encode_continuation, encode_text


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return toy_engine(save_toy_model(tmp_path_factory.mktemp("model")), path="plain")


def beginning(engine: Any, index: int, answer: str) -> list[int]:
    asked = encode_text(engine.tokenizer, TEMPLATE.render(example(index)))
    return [*asked, *encode_continuation(engine.tokenizer, answer)]


def test_the_tree_holds_every_confidence(engine: Any) -> None:
    tree = ConfidenceTree.of(engine.tokenizer)
    for hundredths, path in enumerate(tree.path_C):
        tokens = [tree.tokens_N[node] for node in path]
        assert tuple(tokens) == tuple(encode_continuation(engine.tokenizer, f"{hundredths / 100:.2f}"))
        assert [tree.parent_N[node] for node in path] == [-1, *path[:-1]]
        assert [tree.depth_N[node] for node in path] == list(range(len(path)))
    assert len(tree.tokens_N) < 120  # 101 paths share most of their tokens
    assert torch.equal(tree.sees(), tree.sees().tril())


def test_log_probabilities_are_those_of_separate_rows(engine: Any) -> None:
    """Behind beginnings of different lengths, padded as they are, and at a temperature."""
    tree = ConfidenceTree.of(engine.tokenizer)
    rows = [beginning(engine, 1, "LABEL=PASS\nCONF="), beginning(engine, 3, "LABEL=NA\nCONF=")]
    assert len(rows[0]) != len(rows[1])
    with torch.no_grad():
        got = confidence_logprobs(engine._model, rows, tree)
        warm = confidence_logprobs(engine._model, rows, tree, temperature=2.0)
    for row, tokens in enumerate(rows):
        with torch.no_grad():
            expected = [_plain(engine._model, tokens, tree, place) for place in range(101)]
        assert got[row].tolist() == pytest.approx(expected, abs=1e-4)
    assert not torch.allclose(got, warm, atol=1e-2)


def test_gradients_reach_the_adapter(engine: Any) -> None:
    tree = ConfidenceTree.of(engine.tokenizer)
    parameters = [parameter for parameter in engine._model.parameters() if parameter.requires_grad]
    tokens = beginning(engine, 1, "LABEL=PASS\nCONF=")
    together = confidence_logprobs(engine._model, [tokens], tree)[0, 57]
    tail = [tree.tokens_N[node] for node in tree.path_C[57]]
    logits = engine._model(input_ids=torch.tensor([[*tokens, *tail]])).logits[0].log_softmax(-1)
    alone = torch.stack([logits[len(tokens) - 1 + at, token] for at, token in enumerate(tail)]).sum()
    for one, other in zip(
        torch.autograd.grad(together, parameters), torch.autograd.grad(alone, parameters), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_model_that_heeds_no_mask_is_refused(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ConfidenceTree.of(engine.tokenizer)
    tokens = beginning(engine, 1, "LABEL=PASS\nCONF=")
    check_tree(engine._model, tokens, tree)
    forward = engine._model.forward

    def causal(**inputs: Any) -> Any:
        return forward(**{key: value for key, value in inputs.items() if key != "attention_mask"})

    monkeypatch.setattr(engine._model, "forward", causal)
    with pytest.raises(ModelError, match="takes no mask of one's own"):
        check_tree(engine._model, tokens, tree)
