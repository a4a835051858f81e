"""Few sequences for all answers, on a real server: what is drawn is trained, and what is told is what would be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from running_server import RunningServer, why_no_server
from safetensors.numpy import load_file
from toy import EXAMPLES, TEMPLATE, service_engine
from transformers import AutoModelForCausalLM

from candor.engines.answer_scores import scored_answers, spread_ended
from candor.engines.base import Batch, ObjectiveResult, OptimiserStep, TokenScores
from candor.engines.local.engine import LocalEngine
from candor.engines.ragged import lengths_mask, padded
from candor.engines.tinker.drawn import draw, tree_of
from candor.errors import EngineError
from candor.means import Means
from candor.prompts.encoding import encode
from candor.prompts.grammar import answer_grammar
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.seeding import derive_seed

if _reason := why_no_server():
    pytest.skip(_reason, allow_module_level=True)


@dataclass
class Said:
    """What a service answers to one request."""

    prompt_logprobs: Any
    topk_prompt_logprobs: Any


def _expected(scores: TokenScores, part: slice) -> ObjectiveResult:
    """An expectation over answers: each is worth something else."""
    total = scores.logprobs_P_C_T.sum(-1)
    worth = torch.linspace(-1.0, 1.0, total.shape[1], dtype=total.dtype)
    return ObjectiveResult(-(total.exp() * worth).sum() - 0.1 * total.exp().sum(-1).log().sum(), Means())


def _batch(engine: Any, count: int) -> Batch:
    prompts = [encode(TEMPLATE, e, engine.tokenizer, max_tokens=120).tokens for e in EXAMPLES[:count]]
    answers = scored_answers(answer_grammar(TEMPLATE, engine.tokenizer), spread_ended(4))
    return Batch(prompts, [answers] * count)


def _raising(error: Exception) -> Any:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_what_is_drawn_is_what_is_trained(tinker_server: RunningServer, tmp_path: Path) -> None:
    there = service_engine(
        tinker_server.model, tinker_server.url, adam_eps=1e-2, loss="measured", drawn_continuations=5
    )
    there.save_adapter(tmp_path / "start")
    here = LocalEngine.from_config(
        ModelConfig(name=str(tinker_server.model), device="cpu"),
        EngineConfig(path="plain", adam_eps=1e-2),
        adapter=tmp_path / "start",
    )
    # Every token there is, behind one of them every other: nothing else can be said, so that few are trained.
    vocabulary = range(len(there.tokenizer))
    every = [*((token,) for token in vocabulary if token != 7), *((7, token) for token in vocabulary)]
    batch = Batch(_batch(there, 2).prompts, [every] * 2)
    known = here.logprobs(batch.prompts, batch.continuations)
    leaf = torch.from_numpy(padded(known)).requires_grad_()
    result = _expected(TokenScores(leaf, leaf, torch.from_numpy(lengths_mask(known))), slice(0, 2))
    (gradient,) = torch.autograd.grad(result.loss, leaf)
    rows = []
    for at, group in enumerate(batch.continuations):
        gradients = [gradient[at, place, : len(c)].numpy() for place, c in enumerate(group)]
        rng = np.random.default_rng(derive_seed(0, "drawn", 0, at))
        rows.append(draw(tree_of(group, known[at], gradients), 5, rng))
    weights = torch.from_numpy(padded([[values for _, values in group] for group in rows]))

    def carried(scores: TokenScores, part: slice) -> ObjectiveResult:
        c, t = scores.logprobs_P_C_T.shape[1:]
        return ObjectiveResult((scores.logprobs_P_C_T * weights[part, :c, :t]).sum(), Means())

    few = Batch(batch.prompts, [[tokens for tokens, _ in group] for group in rows])
    assert [len(group) for group in few.continuations] == [5, 5]
    here.update(few, carried, OptimiserStep(0.002, 1e6))
    found = there.update(batch, _expected, OptimiserStep(0.002, 1e6)).values()
    assert found["loss"] == pytest.approx(float(result.loss.detach()), rel=1e-4)
    for name, engine in (("there", there), ("here", here)):
        engine.save_adapter(tmp_path / name)
    trained, wanted, start = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("there", "here", "start"))
    assert any(np.abs(trained[name] - start[name]).max() > 1e-3 for name in trained)
    for name in trained:
        assert trained[name] == pytest.approx(wanted[name], abs=1e-4), name
    there.close()


def test_what_few_tell_is_what_all_say(
    tinker_server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = service_engine(tinker_server.model, tinker_server.url, top_logprobs=100)
    there.save_adapter(tmp_path / "adapter")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tinker_server.model), tmp_path / "adapter")
    batch = _batch(there, 2)
    pairs = [(p, c) for p, group in zip(batch.prompts, batch.continuations, strict=True) for c in group]
    with pytest.raises(EngineError, match=r"engine\.top_logprobs: the service does not tell"):
        there._read(pairs)  # SkyRL 0.3.0 left out the answer, 0.4.0 refuses
    with monkeypatch.context() as patched:
        for said, told in (
            ("400: topk_prompt_logprobs is not supported by the JAX backend", "engine.top_logprobs: the service does"),
            ("503: come again", "come again"),
        ):
            patched.setattr(there._service, "sample", _raising(EngineError(said)))
            with pytest.raises(EngineError, match=told):
                there._read(pairs)
    asked: list[Any] = []

    def sample(requests: Sequence[dict[str, Any]], *, base: bool = False) -> list[Said]:
        found = []
        for request in requests:
            assert request["topk_prompt_logprobs"] == 100
            tokens = request["prompt"].to_ints()
            asked.append(tokens)
            with torch.no_grad():
                values = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
            own = [None, *(float(values[t, token]) for t, token in enumerate(tokens[1:]))]
            best = values.topk(min(100, values.shape[-1]), dim=-1)
            listed = [list(zip(i.tolist(), v.tolist(), strict=True)) for i, v in zip(best[1], best[0], strict=True)]
            found.append(Said(own, [None, *listed[:-1]]))
        return found

    read: list[int] = []
    forward = there._forward
    monkeypatch.setattr(there, "_forward", lambda some: read.append(len(some)) or forward(some))
    monkeypatch.setattr(there._service, "sample", sample)
    told = there._read(pairs)
    assert len(asked) == 2 * 33
    assert told.keys() == set(pairs)
    assert read[0] < len(pairs)
    every = dict(zip(pairs, forward(pairs), strict=True))
    for pair in pairs:
        assert told[pair] == pytest.approx(every[pair], abs=1e-4)
    there.close()
