"""The service and the local engine, from the same weights: the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running_server import RunningServer, why_no_server
from safetensors.numpy import load_file
from toy import EXAMPLES, SAMPLED, TEMPLATE, save_toy_model, service_engine, toy_recipe

from candor.cli.main import main
from candor.engines.base import Batch, ObjectiveResult, OptimiserStep, Sampling, TokenScores
from candor.engines.local.engine import LocalEngine
from candor.engines.tinker import sdk
from candor.engines.tinker.engine import TinkerEngine
from candor.engines.tinker.losses import LOSS, Scored, training_data
from candor.errors import EngineError, ModelError
from candor.files import read_json, read_jsonl
from candor.means import Means
from candor.prompts.encoding import encode
from candor.prompts.probe import LABEL_PROBE
from candor.recipe.data import DataConfig
from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig
from candor.recipe.recipe import to_yaml
from candor.training.loop import train
from candor.types import LABELS

if _reason := why_no_server():
    pytest.skip(_reason, allow_module_level=True)

AGREE = 1e-4


@pytest.fixture(scope="module")
def server(tinker_server: RunningServer) -> RunningServer:
    return tinker_server


@pytest.fixture(scope="module")
def toy_folder(tinker_server: RunningServer) -> Path:
    return tinker_server.model


def _local(folder: Path, adapter: Path, **config: Any) -> LocalEngine:
    model = ModelConfig(name=str(folder), device="cpu")
    return LocalEngine.from_config(model, EngineConfig(path="plain", **config), adapter=adapter)


def _uneven(scores: TokenScores, part: slice) -> ObjectiveResult:
    """Terms of every kind: policy gradient, a log-softmax over continuations, a square; lengths that differ."""
    logprobs = scores.logprobs_P_C_T
    total = logprobs.sum(-1)
    loss = -(logprobs.exp() * scores.mask_P_C_T).sum() - 2.0 * total.log_softmax(-1)[:, 0].sum()
    return ObjectiveResult(loss + 0.01 * (logprobs**2).sum(), Means())


def test_an_update_is_that_of_the_local_engine(server: RunningServer, toy_folder: Path, tmp_path: Path) -> None:
    # A large epsilon makes AdamW's step follow the gradient's size, which it would else hide.
    there = service_engine(toy_folder, server.url, adam_eps=1e-2, loss="measured")
    there.save_adapter(tmp_path / "start")
    here = _local(toy_folder, tmp_path / "start", adam_eps=1e-2)
    prompts = [encode(TEMPLATE, e, there.tokenizer, max_tokens=120).tokens for e in EXAMPLES[:3]]
    drawn = there.rollout(prompts, 3, Sampling(1.0, 10, seed=1), LABEL_PROBE)
    batch = Batch(prompts, [[r.tokens for r in group][: 3 - p % 2] for p, group in enumerate(drawn)])
    assert len({len(tokens) for group in batch.continuations for tokens in group}) > 1

    def differences() -> list[float]:
        pairs = zip(
            (row for group in there.logprobs(batch.prompts, batch.continuations) for row in group),
            (row for group in here.logprobs(batch.prompts, batch.continuations) for row in group),
            strict=True,
        )
        return [float(abs(a - b).max()) for a, b in pairs]

    assert max(differences()) < AGREE
    before = here.logprobs(batch.prompts, batch.continuations)[0][0].sum()
    for _ in range(3):
        expected = here.update(batch, _uneven, OptimiserStep(0.002, 1e6)).values()
        found = there.update(batch, _uneven, OptimiserStep(0.002, 1e6)).values()
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-3)
        assert found["sampler_mismatch"] < AGREE
    assert max(differences()) < AGREE
    assert abs(here.logprobs(batch.prompts, batch.continuations)[0][0].sum() - before) > 0.01
    for name, engine in (("there", there), ("here", here)):
        engine.save_adapter(tmp_path / name)
    found, expected, start = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("there", "here", "start"))
    assert found.keys() == expected.keys()
    assert any(np.abs(found[name] - start[name]).max() > 10 * AGREE for name in found)
    for name in found:
        assert found[name] == pytest.approx(expected[name], abs=AGREE), name
    there.close()


def test_an_adapter_that_another_left_behind_does_no_harm(
    server: RunningServer, toy_folder: Path, tmp_path: Path
) -> None:
    """Gradients without a step stay in their place on the server, and its next tenant must not get them."""
    tokenizer = service_engine(toy_folder, server.url).tokenizer
    prompts = [encode(TEMPLATE, e, tokenizer, max_tokens=120).tokens for e in EXAMPLES[:2]]
    batch = Batch(prompts, [[prompts[1][:4]], [prompts[0][:4]]])

    def step(spoil: bool) -> float:
        first = service_engine(toy_folder, server.url)
        if spoil:
            first.logprobs(batch.prompts, batch.continuations)
            rows = [Scored(prompts[0], prompts[1][:4], np.zeros(4), np.full(4, -1e4))]
            adapter = first._service._adapter
            adapter.forward_backward(training_data(rows, first._service.reduction()), LOSS).result()
        first.close()
        second = service_engine(toy_folder, server.url)
        norm = second.update(batch, _uneven, OptimiserStep(0.01, 1.0)).values()["grad_norm"]
        second.close()
        return float(norm)

    assert step(spoil=True) == pytest.approx(step(spoil=False), rel=1e-4)


def test_a_trained_adapter_is_used_by_either_engine(server: RunningServer, toy_folder: Path, tmp_path: Path) -> None:
    recipe = toy_recipe(
        toy_folder,
        SAMPLED[0],
        f"engine={{kind: tinker, base_url: '{server.url}'}}",
        "train.steps=2",
        "train.kl_every=1",
    )
    engine = service_engine(toy_folder, server.url)
    train(recipe, engine, EXAMPLES, tmp_path, seed=0)
    prompts = [encode(TEMPLATE, e, engine.tokenizer, max_tokens=120).tokens for e in EXAMPLES[:3]]
    expected = engine.rollout(prompts, 1, Sampling(0.0, 10), LABEL_PROBE)
    engine.close()
    for again in (
        service_engine(toy_folder, server.url, adapter=tmp_path / "adapter"),
        _local(toy_folder, tmp_path / "adapter"),
    ):
        found = again.rollout(prompts, 1, Sampling(0.0, 10), LABEL_PROBE)
        for (row,), (other,) in zip(found, expected, strict=True):
            assert row.tokens == other.tokens
            assert row.raw_logprobs == pytest.approx(other.raw_logprobs, abs=AGREE)
            assert row.probe_logprobs == pytest.approx(other.probe_logprobs, abs=AGREE)
    rows = [json.loads(line) for line in (tmp_path / "train" / "metrics.jsonl").read_text().splitlines()]
    assert [row["kl"] == pytest.approx(0.0, abs=1e-3) for row in rows] == [True, False]


def test_a_whole_run_on_the_service_through_the_command_line(
    server: RunningServer, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"claim": f"x = {n}", "evidence": "x is 1", "label": LABELS[n % 3].value} for n in range(12)]
    (tmp_path / "claims.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = toy_recipe(
        toy_folder,
        SAMPLED[0],
        f"engine={{kind: tinker, base_url: '{server.url}', loss: sequence_mean}}",
        "train.steps=2",
        "evaluation.resamples=2000",
    )
    source = {"kind": "table", "path": str(tmp_path / "claims.jsonl")}
    splits = {split: {"toy": 4} for split in ("train", "validation", "test")}
    recipe = recipe.model_copy(update={"data": DataConfig.model_validate({"sources": {"toy": source}, **splits})})
    (tmp_path / "toy.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "toy.yaml"), "--out", str(tmp_path / "run"), "--quiet"])
    assert ended.value.code == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "report.html").is_file()
    described = read_json(tmp_path / "run" / "engine.json")
    assert (described["path"], described["device"]) == ("service", server.url)
    assert len(read_jsonl(tmp_path / "run" / "train" / "metrics.jsonl")) == 2
    assert (tmp_path / "run" / "predictions" / "trained" / "toy.jsonl").is_file()


def test_the_base_model_answers_without_an_adapter(server: RunningServer, toy_folder: Path) -> None:
    base, fresh = service_engine(toy_folder, server.url, adapter=False), service_engine(toy_folder, server.url)
    prompts = [encode(TEMPLATE, e, base.tokenizer, max_tokens=120).tokens for e in EXAMPLES[:2]]
    for (row,), (other,) in zip(
        *(engine.rollout(prompts, 1, Sampling(0.0, 10), LABEL_PROBE) for engine in (base, fresh)), strict=True
    ):
        assert row.tokens == other.tokens
    assert base.describe()["trained_parameters"] == 0
    for wrong in (
        lambda: base.save(toy_folder / "no"),
        lambda: base.load(toy_folder / "no"),
        lambda: base.update(Batch(prompts, [[(1,)]] * 2), _uneven, OptimiserStep(0.1, 1.0)),
    ):
        with pytest.raises(EngineError, match="without an adapter"):
            wrong()
    fresh.close()
    base.close()


def test_what_does_not_fit_is_said_before_anything_is_sent(
    server: RunningServer, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engine(model: ModelConfig | None = None, adapter: Path | bool = True, **config: Any) -> TinkerEngine:
        given = EngineConfig(kind="tinker", **{"base_url": server.url, "patience_s": 3.0, **config})
        return TinkerEngine.from_config(model or ModelConfig(name=str(toy_folder)), given, adapter=adapter)

    with pytest.raises(ModelError, match="nothing answers at"):
        engine(base_url="http://127.0.0.1:9")
    monkeypatch.delenv("TINKER_API_KEY", raising=False)
    with pytest.raises(ModelError, match="TINKER_API_KEY is not set"):
        engine(base_url=None)
    with pytest.raises(ModelError, match="adapts all linear layers"):
        engine(ModelConfig(name=str(toy_folder), lora=LoraConfig(targets=["q_proj"])))
    with pytest.raises(ModelError, match=r"no service\.json here"):
        engine(adapter=tmp_path)
    other = save_toy_model(tmp_path / "other")
    with pytest.raises(ModelError, match=r"does not offer .*other.*, only "):
        engine(ModelConfig(name=str(other))).logprobs([(1, 2)], [[(3,)]])
    monkeypatch.setattr(sdk, "version", lambda name: "0.38.0")
    with pytest.raises(ModelError, match=r"0\.38\.0 is installed; pip install tinker==0\.2\d\.\d"):
        engine()
