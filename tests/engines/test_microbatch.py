"""Splitting a batch by tokens."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from candor.engines.forward import ForwardPath
from candor.engines.local.plain import PlainPath
from candor.engines.microbatch import Footprint, bytes_per_token, split_by_size, tokens_that_fit, total_memory
from candor.engines.pretrained import add_adapter
from candor.engines.tree.path import PrefixTreePath
from candor.recipe.engine import LoraConfig

sizes = st.lists(st.integers(1, 50), max_size=20)


@given(sizes, st.integers(1, 120), st.data())
def test_parts_cover_the_share_within_the_budget(sizes: list[int], budget: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sizes)))
    stop = data.draw(st.integers(start, len(sizes)))
    parts = split_by_size(sizes, slice(start, stop), budget)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(start, stop))
    for part in parts:
        tokens = sum(sizes[part])
        assert tokens <= budget or part.stop - part.start == 1
    for one, two in pairwise(parts):
        assert sum(sizes[one]) + sizes[two.start] > budget, "a part ends only where the next group does not fit"


def test_by_hand() -> None:
    assert split_by_size([5, 5, 3, 20, 1], slice(0, 5), 10) == [
        slice(0, 2),
        slice(2, 3),
        slice(3, 4),
        slice(4, 5),
    ]
    assert split_by_size([5], slice(0, 0), 10) == []


SHAPE = {
    "hidden_size": 144,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 16,
    "vocab_size": 200,
}


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3_text", "gpt_oss"])
def test_the_estimate_is_near_what_a_backward_pass_keeps(family: str, dtype: torch.dtype, plain: bool) -> None:
    more = {"intermediate_size": 144, "num_local_experts": 8, "num_experts_per_tok": 4} if family == "gpt_oss" else {}
    config = transformers.AutoConfig.for_model(family, **SHAPE | more)
    torch.manual_seed(0)
    base = transformers.AutoModelForCausalLM.from_config(config).to(dtype).requires_grad_(False)
    model = add_adapter(base, LoraConfig(rank=2, alpha=4.0), seed=0).eval()
    path: ForwardPath = PlainPath(model) if plain else PrefixTreePath(model)

    def kept(tokens: int) -> int:
        """Bytes that the scores of so many tokens keep."""
        storages: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
            return tensor

        rows = [tuple(range(1, tokens + 1))]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            scores = path.score(path.prefill([(5, 6)], grad=True), [rows], temperature=1.0)
        assert scores.logprobs_P_C_T.requires_grad
        return sum(storage.nbytes() for storage in storages.values())

    measured = (kept(160) - kept(40)) / 120  # what does not grow with the tokens (weights) cancels out
    logits = 4 * config.vocab_size
    estimate = bytes_per_token(model, tree=not plain) - logits
    assert 0.8 < estimate / measured < 1.3


class _Model:
    device = torch.device("cpu")
    weights = torch.zeros(1, dtype=torch.bfloat16)
    config = SimpleNamespace(hidden_size=10, intermediate_size=30, num_hidden_layers=2, vocab_size=100)

    def parameters(self) -> Any:
        yield self.weights


def test_the_budget_follows_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # Per layer 12 * 10 + 4 * 30 numbers of two bytes, 6 * 10 + 30 of four that adapters copy, and a row of logits.
    assert bytes_per_token(_Model(), tree=False) == (2 * 240 + 4 * 90) * 2 + 400
    # A weight takes 2 bytes; three tenths of the rest are ten tokens.
    monkeypatch.setattr("candor.engines.microbatch.total_memory", lambda device: 2 + 10 * 2080 * 10 // 3 + 1)
    assert tokens_that_fit(_Model(), tree=False) == 10
    monkeypatch.setattr("candor.engines.microbatch.total_memory", lambda device: 0)
    assert tokens_that_fit(_Model(), tree=False) == 1


def test_passes_without_gradients_are_sized_by_what_they_hold() -> None:
    model = _Model()
    model.config = SimpleNamespace(
        hidden_size=10,
        intermediate_size=30,
        num_hidden_layers=2,
        vocab_size=100,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
    )
    # Keys and values of two heads of 8 numbers in two layers; one layer's numbers; all of two bytes.
    assert Footprint.of(model) == Footprint(2 * 2 * 8 * 2 * 2, 240 * 2, 28 * 100)
    footprint = Footprint(stored=10, passing=100, drawing=1000)
    assert footprint.scoring(7) == 770
    # 5 + 3 * 4 tokens stored twice, 5 that pass at once, and then one of each of three completions with its logits.
    assert footprint.decoding(5, 3, 4) == 2 * 10 * 17 + 100 * 5 + 3 * 1100
    model.config.num_key_value_heads = model.config.head_dim = None
    assert Footprint.of(model).stored == 2 * 4 * 2 * 2 * 2


def test_a_large_model_decodes_and_scores_a_batch_at_once_where_it_updates_one_prompt() -> None:
    """A model of 20 billion parameters with experts on a card of 80 GB, and the study's groups."""
    model = _Model()
    model.config = SimpleNamespace(
        hidden_size=2880,
        intermediate_size=2880,
        num_hidden_layers=24,
        vocab_size=201_088,
        num_attention_heads=64,
        num_key_value_heads=8,
        head_dim=64,
        num_experts_per_tok=4,
    )
    room = int(0.3 * (80e9 - 42e9))
    footprint, trained = Footprint.of(model), bytes_per_token(model, tree=True)
    assert room // ((800 + 8 * 512) * trained) < 1
    assert room // footprint.decoding(800, 8, 512) > 10
    assert room // footprint.decoding(800, 1, 512) > 30
    assert room // footprint.scoring(800 + 360) > 30


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = total_memory(torch.device("cpu"))
    assert alone > 0
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert total_memory(torch.device("cpu")) == alone // 2
