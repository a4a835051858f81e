"""The local engine: what its contract leaves to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import EXAMPLES, TEMPLATE, save_toy_model, toy_engine

from candor.engines.base import Batch, Objective, ObjectiveResult, OptimiserStep, Sampling, TokenScores
from candor.engines.forward import TokenCounts
from candor.engines.local.engine import LocalEngine
from candor.engines.pretrained import load_model, load_tokenizer
from candor.errors import DataError, EngineError, ModelError
from candor.means import Means
from candor.prompts.encoding import encode
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import LABEL_PROBE
from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig

STEP = OptimiserStep(0.01, 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def _prompts(engine: LocalEngine, count: int = 5) -> list[tuple[int, ...]]:
    return [encode(TEMPLATE, e, engine.tokenizer, max_tokens=120).tokens for e in EXAMPLES[:count]]


def _objective(scores: TokenScores, part: slice) -> ObjectiveResult:
    weights = torch.arange(part.start + 1, part.stop + 1)[:, None, None]
    return ObjectiveResult(-(scores.logprobs_P_C_T.square() * weights).sum(), Means())


def _weights(engine: LocalEngine) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in engine._parameters])


@pytest.mark.parametrize("path", ["plain", "tree"])
def test_micro_batches_of_any_budget_give_the_same_step(folder: Path, path: str) -> None:
    results = []
    for budget in (10**6, 400, 200, 1):
        engine = toy_engine(folder, path=path, micro_batch_tokens=budget)
        prompts = _prompts(engine)
        sampling = Sampling(1.0, 8, seed=2)
        groups = engine.rollout(prompts, 3, sampling, LABEL_PROBE)
        completions = [[rollout.tokens for rollout in group] for group in groups]
        counts = TokenCounts(0, (200,) * 5, (200,) * 5)
        assert len(engine._parts(counts, slice(0, 5))) == {10**6: 1, 400: 3, 200: 5, 1: 5}[budget]
        means = engine.update(Batch(prompts, completions), _objective, STEP).values()
        probes = torch.tensor([[rollout.probe_logprobs for rollout in group] for group in groups])
        results.append((completions, probes, torch.tensor([means["loss"], means["grad_norm"]]), _weights(engine)))
    for completions, probes, figures, weights in results[1:]:
        assert completions == results[0][0]
        assert torch.allclose(probes, results[0][1], atol=1e-5)
        assert torch.allclose(figures, results[0][2], rtol=1e-5)
        # The step itself divides each gradient by its size, so that the smallest ones show their rounding.
        assert torch.allclose(weights, results[0][3], atol=1e-6)


def test_answers_that_the_tree_merges_are_counted_once(folder: Path) -> None:
    engine = toy_engine(folder, path="tree")
    prompts = _prompts(engine)
    answers = answer_grammar(TEMPLATE, engine.tokenizer).answers
    counts = engine._path.count(prompts, [answers] * 5)
    # A node is a beginning of an answer that some answer goes on from.
    nodes = len({answer[:end] for answer in answers for end in range(1, len(answer))})
    assert nodes < sum(map(len, answers)) / 4
    header = counts.shared
    assert header > 0
    assert len({prompt[:header] for prompt in prompts}) == 1
    assert counts.own_P == tuple(len(prompt) - header + nodes for prompt in prompts)
    # Activations of the prompts are held until the end of an update, those of answers some at a time.
    assert counts.held_P == tuple(len(prompt) - header for prompt in prompts)
    # A budget of what is held takes the batch in one part, one token less does not.
    whole = header + sum(counts.held_P)
    for budget, parts in ((whole, 1), (whole - 1, 2), (1, 5)):
        split = toy_engine(folder, path="tree", micro_batch_tokens=budget)
        assert len(split._parts(split._path.count(prompts, [answers] * 5), slice(0, 5))) == parts


def test_the_gradient_is_that_of_the_whole_however_answers_are_split(folder: Path) -> None:
    gradients, scores = [], []
    for budget, checkpointing in ((10**6, "never"), (700, "never"), (100, "always"), (1, "never")):
        engine = toy_engine(folder, path="tree", micro_batch_tokens=budget, checkpointing=checkpointing)
        assert engine.describe()["checkpointing"] is (checkpointing == "always")
        prompts, answers = _prompts(engine), answer_grammar(TEMPLATE, engine.tokenizer).answers
        seen = _gradient_of(engine, Batch(prompts, [answers] * 5), lambda s, part: _sum_of_probabilities(s))
        gradients.append(seen)
        scores.append(np.concatenate([np.concatenate(g) for g in engine.logprobs(prompts, [answers] * 5)]))
    assert gradients[0].abs().max() > 1e-3
    for gradient, values in zip(gradients[1:], scores[1:], strict=True):
        assert torch.allclose(gradient, gradients[0], atol=1e-6, rtol=1e-4)
        assert values == pytest.approx(scores[0], abs=1e-4)


def test_layers_that_run_again_give_the_same_bits(folder: Path) -> None:
    gradients, kept = [], []
    for checkpointing in ("never", "always"):
        engine = toy_engine(folder, path="tree", checkpointing=checkpointing)
        prompts, answers = _prompts(engine), answer_grammar(TEMPLATE, engine.tokenizer).answers
        # The prefill of a rollout serves the update, and is run again there.
        groups = engine.rollout(prompts, 2, Sampling(1.0, 6, seed=1), LABEL_PROBE)
        sampled = [[rollout.tokens for rollout in group] for group in groups]
        for continuations in ([answers] * 5, sampled):
            batch = Batch(prompts, continuations)
            gradients.append(_gradient_of(engine, batch, lambda scores, part: _sum_of_probabilities(scores)))
        storages: dict[int, int] = {}

        def pack(tensor: torch.Tensor, storages: dict[int, int] = storages) -> torch.Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            prefix = engine._path.prefill(tuple(prompts), grad=True)
        kept.append(sum(storages.values()))
        del prefix
    assert gradients[0].abs().max() > 1e-3
    assert torch.equal(gradients[0], gradients[2])
    assert torch.equal(gradients[1], gradients[3])
    assert kept[1] < 0.8 * kept[0]


def test_checkpointing_is_chosen_where_memory_is_short(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("candor.engines.microbatch.room", "candor.engines.local.engine.room"):
        monkeypatch.setattr(name, lambda model: 2**20)
    assert toy_engine(folder, path="tree").describe()["checkpointing"]
    assert not toy_engine(folder, path="tree", checkpointing="never").describe()["checkpointing"]
    assert not toy_engine(folder, path="plain").describe()["checkpointing"]
    with pytest.raises(ModelError, match=r"engine\.checkpointing: .* engine\.path is plain"):
        toy_engine(folder, path="plain", checkpointing="always")


def _sum_of_probabilities(scores: TokenScores) -> ObjectiveResult:
    return ObjectiveResult(-scores.logprobs_P_C_T.sum(-1).exp().square().sum(), Means())


def _gradient_of(engine: LocalEngine, batch: Batch, objective: Objective) -> torch.Tensor:
    """The gradient that an update would step along."""
    found: list[torch.Tensor] = []

    def look() -> None:
        found.append(torch.cat([p.grad.flatten() for p in engine._parameters]))

    engine._optimiser.step = look
    engine.update(batch, objective, OptimiserStep(0.0, 1e9))
    return found[0]


@pytest.mark.parametrize("path", ["plain", "tree"])
def test_the_budget_of_updates_splits_neither_rollouts_nor_scores(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = toy_engine(folder, path=path, micro_batch_tokens=1)
    prompts = _prompts(engine)
    runs: list[int] = []
    prefill = engine._path.prefill

    def counted(prompts: Any, **options: Any) -> Any:
        runs.append(len(prompts))
        return prefill(prompts, **options)

    monkeypatch.setattr(engine._path, "prefill", counted)
    sampling = Sampling(1.0, 6, seed=1)
    drawn = engine.rollout(prompts, 2, sampling, LABEL_PROBE)
    completions = [[rollout.tokens for rollout in group] for group in drawn]
    scored = engine.logprobs(prompts, completions)
    assert runs == [5, 5]
    assert engine._kept is None, "the update could not take it"
    engine.update(Batch(prompts, completions), _objective, OptimiserStep(0.0, 1.0))
    assert runs == [5, 5, 1, 1, 1, 1, 1]
    # With hardly any room, each prompt is run by itself, and says the same.
    runs.clear()
    engine._room = 1
    again = engine.rollout(prompts, 2, sampling, LABEL_PROBE)
    assert [[rollout.tokens for rollout in group] for group in again] == completions
    for group, expected in zip(engine.logprobs(prompts, completions), scored, strict=True):
        for row, other in zip(group, expected, strict=True):
            assert row == pytest.approx(other, abs=1e-5)
    assert runs == [1] * 10


@pytest.mark.parametrize("path", ["plain", "tree"])
def test_an_update_runs_the_prompts_of_its_rollouts_no_second_time(
    folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = toy_engine(folder, path=path)
    prompts = _prompts(engine, 3)
    runs: list[bool] = []
    prefill = engine._path.prefill

    def counted(prompts: Any, *, grad: bool, **options: Any) -> Any:
        runs.append(grad)
        return prefill(prompts, grad=grad, **options)

    monkeypatch.setattr(engine._path, "prefill", counted)
    drawn = engine.rollout(prompts, 2, Sampling(1.0, 6, seed=1), LABEL_PROBE)
    completions = [[rollout.tokens for rollout in group] for group in drawn]
    engine.update(Batch(prompts, completions), _objective, STEP)
    assert runs == [True]
    # The weights have changed, and so has what the prompts lead to.
    engine.update(Batch(prompts, completions), _objective, STEP)
    assert runs == [True] * 2
    # Other prompts than those that were sampled.
    engine.rollout(prompts, 2, Sampling(1.0, 6, seed=1), LABEL_PROBE)
    engine.update(Batch(prompts[:2], completions[:2]), _objective, STEP)
    assert runs == [True] * 4


def test_evaluation_keeps_nothing(folder: Path) -> None:
    engine = toy_engine(folder)
    prompts = _prompts(engine, 3)
    engine.rollout(prompts, 2, Sampling(1.0, 6), LABEL_PROBE)
    assert engine._kept is not None
    engine.rollout(prompts, 1, Sampling(0.0, 6), LABEL_PROBE)
    assert engine._kept is None
    untrained = LocalEngine.from_config(ModelConfig(name=str(folder), device="cpu"), adapter=False)
    untrained.rollout(prompts, 2, Sampling(1.0, 6), LABEL_PROBE)
    assert untrained._kept is None


@pytest.mark.parametrize("path", ["plain", "tree"])
@pytest.mark.parametrize("budget", [10**6, 1])
def test_groups_without_a_gradient_are_not_run_backward(folder: Path, path: str, budget: int) -> None:
    engine = toy_engine(folder, path=path, micro_batch_tokens=budget)
    prompts = _prompts(engine, 4)
    continuations = [[(3, 4, 5), (3, 6)], [(7, 8)], [(3, 4), (9, 9, 9)], [(5,)]]
    weights = torch.tensor([0.0, 2.0, 0.0, 0.0])
    run: list[int] = []
    for parameter in engine._parameters:
        parameter.register_hook(lambda gradient: run.append(1))

    def objective(weights: torch.Tensor) -> Objective:
        def weighted(scores: TokenScores, part: slice) -> ObjectiveResult:
            means = Means()
            means.add("entropy", -scores.raw_logprobs_P_C_T.detach().sum(-1))
            return ObjectiveResult((scores.logprobs_P_C_T.sum((1, 2)) * weights[part]).sum(), means)

        return weighted

    batch = Batch(prompts, continuations)
    before = _weights(engine)
    figures = engine.update(batch, objective(torch.zeros(4)), STEP).values()
    assert run == []
    assert torch.equal(_weights(engine), before)
    assert (figures["loss"], figures["grad_norm"]) == (0.0, 0.0)
    assert figures["entropy"] > 1.0

    mixed = _gradient_of(engine, batch, objective(weights))
    times = len(run)
    assert times > 0
    run.clear()
    alone = _gradient_of(engine, Batch(prompts[1:2], continuations[1:2]), objective(weights[1:2]))
    assert alone.abs().max() > 1e-2
    assert torch.allclose(mixed, alone, atol=1e-5, rtol=1e-4)
    # One group is run backward, whatever stands beside it.
    assert times == len(run)


def test_gradients_are_clipped_to_the_norm(folder: Path) -> None:
    seen: list[float] = []
    engine = toy_engine(folder, path="plain")
    prompts = _prompts(engine, 2)
    batch = Batch(prompts, [[(3, 4, 5)]] * 2)
    real = engine._optimiser.step

    def step() -> None:
        seen.append(float(torch.sqrt(sum(p.grad.square().sum() for p in engine._parameters))))
        real()

    engine._optimiser.step = step
    norm = engine.update(batch, _objective, OptimiserStep(0.0, 0.5)).values()["grad_norm"]
    assert norm > 0.5
    assert seen == [pytest.approx(0.5, rel=1e-3)]


def test_the_step_is_adamw(folder: Path) -> None:
    """Its first step moves every weight by the learning rate against the gradient's sign."""
    engine = toy_engine(folder, path="plain", weight_decay=0.1)
    before = _weights(engine)
    gradients: list[torch.Tensor] = []
    real = engine._optimiser.step

    def step() -> None:
        gradients.append(torch.cat([p.grad.flatten() for p in engine._parameters]))
        real()

    engine._optimiser.step = step
    engine.update(Batch(_prompts(engine, 2), [[(3, 4, 5)]] * 2), _objective, OptimiserStep(0.01, 1e6))
    large = gradients[0].abs() > 1e-4
    expected = before * (1 - 0.01 * 0.1) - 0.01 * gradients[0].sign()
    assert torch.allclose(_weights(engine)[large], expected[large], atol=1e-5)


def test_the_adapter_is_read_by_peft_and_gives_the_same_logits(folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    engine = toy_engine(folder, path="tree")
    prompt = _prompts(engine, 1)[0]
    engine.update(Batch([prompt], [[(3, 4, 5)]]), _objective, STEP)
    engine.save_adapter(tmp_path / "adapter")
    assert sorted(p.name for p in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), tmp_path / "adapter").eval()
    ids = torch.tensor([prompt])
    assert torch.allclose(loaded(input_ids=ids).logits, engine._model(input_ids=ids).logits, atol=1e-6)
    again = LocalEngine.from_config(
        ModelConfig(name=str(folder), device="cpu"), EngineConfig(path="plain"), adapter=tmp_path / "adapter"
    )
    answer = [[(3, 4, 5), (6,)]]
    for row, expected in zip(again.logprobs([prompt], answer)[0], engine.logprobs([prompt], answer)[0], strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_a_model_without_an_adapter_predicts_but_does_not_train(folder: Path, tmp_path: Path) -> None:
    engine = LocalEngine.from_config(ModelConfig(name=str(folder), device="cpu"), adapter=False)
    prompts = _prompts(engine, 1)
    assert engine.rollout(prompts, 1, Sampling(0.0, 4), LABEL_PROBE)[0][0].tokens
    assert engine.describe()["trained_parameters"] == 0
    for call in (
        lambda: engine.update(Batch(prompts, [[(3,)]]), _objective, STEP),
        lambda: engine.save(tmp_path / "x"),
        lambda: engine.load(tmp_path / "x"),
    ):
        with pytest.raises(EngineError, match="without an adapter"):
            call()


def test_what_cannot_be_loaded_is_named(folder: Path, tmp_path: Path) -> None:
    engine = toy_engine(folder)
    with pytest.raises(DataError, match="no such file"):
        engine.load(tmp_path / "nothing")


def test_dropout_is_refused(folder: Path) -> None:
    from peft import LoraConfig as PeftLora
    from peft import get_peft_model

    model = load_model(ModelConfig(name=str(folder)), torch.device("cpu"))
    dropping = get_peft_model(model, PeftLora(r=2, lora_dropout=0.1, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    with pytest.raises(ModelError, match="lora_dropout to 0"):
        LocalEngine(dropping, load_tokenizer(str(folder)))
    with pytest.raises(ValueError, match="dropout"):
        LoraConfig.model_validate({"dropout": 0.1})


def test_the_path_is_chosen_and_said(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    assert toy_engine(folder).describe()["path"] == "tree"
    assert toy_engine(folder, path="plain").describe()["path"] == "plain"
    monkeypatch.setattr("candor.engines.local.engine.unsupported_reason", lambda model: "it is odd")
    assert toy_engine(folder).describe()["path"] == "plain"
    assert "it is odd" in caplog.text
    with pytest.raises(ModelError, match=r"engine\.path: .*it is odd; take auto or plain"):
        toy_engine(folder, path="tree")


def test_what_generation_settings_name_stops_too(folder: Path) -> None:
    engine = toy_engine(folder)
    engine._model.generation_config.eos_token_id = [5, 7]
    assert engine.stop_token_ids == {engine.tokenizer.eos_token_id, 5, 7}
    engine._model.generation_config.eos_token_id = None
    assert engine.stop_token_ids == {engine.tokenizer.eos_token_id}


def test_a_random_adapter_follows_the_seed_alone(folder: Path) -> None:
    one, same, other = (toy_engine(folder, seed=seed, trained=False) for seed in (3, 3, 4))
    assert torch.equal(_weights(one), _weights(same))
    assert not torch.equal(_weights(one), _weights(other))
