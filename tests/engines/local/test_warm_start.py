"""An adapter that goes on from a saved one computes the same at first, and is measured from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy import EXAMPLES, TEMPLATE, save_toy_model, toy_engine

from candor.engines.base import Batch, ObjectiveResult, OptimiserStep, TokenScores
from candor.engines.local.engine import LocalEngine
from candor.engines.local.warm_start import StartingWeights
from candor.errors import ModelError
from candor.files import read_json, write_json
from candor.means import Means
from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig
from candor.types import Label


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def warm(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained adapter of rank 4, scaled by 2."""
    path = tmp_path_factory.mktemp("warm") / "adapter"
    toy_engine(folder, path="plain").save_adapter(path)
    return path


def engine(folder: Path, warm: Path | None, path: str = "tree", **lora: Any) -> LocalEngine:
    model = ModelConfig(name=str(folder), device="cpu", lora=LoraConfig(**{"rank": 4, "alpha": 8.0, **lora}))
    return LocalEngine.from_config(model, EngineConfig(path=path), seed=3, warm_start=warm)


def asked(some: LocalEngine, **options: Any) -> np.ndarray:
    prompts = [tuple(some.tokenizer(TEMPLATE.render(e))["input_ids"]) for e in EXAMPLES[:4]]
    answer = (*some.tokenizer(TEMPLATE.render_answer(Label.NA, 0.5))["input_ids"], some.tokenizer.eos_token_id)
    return np.array([row[0] for row in some.logprobs(prompts, [[answer]] * 4, **options)])


def take_step(some: LocalEngine) -> None:
    prompts = [tuple(some.tokenizer(TEMPLATE.render(e))["input_ids"]) for e in EXAMPLES[:4]]
    answer = (*some.tokenizer(TEMPLATE.render_answer(Label.PASS, 0.9))["input_ids"], some.tokenizer.eos_token_id)

    def likelihood(scores: TokenScores, part: slice) -> ObjectiveResult:
        return ObjectiveResult(-scores.logprobs_P_C_T.sum(), Means())

    some.update(Batch(prompts, [[answer]] * 4), likelihood, OptimiserStep(0.05, 1.0))


@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"rank": 8, "alpha": 16.0},
        {"rank": 8, "alpha": 4.0},
        {"rank": 6, "alpha": 8.0},
    ],
    ids=str,
)
def test_the_function_is_that_of_the_saved_adapter_whatever_the_rank(
    folder: Path, warm: Path, lora: dict[str, Any]
) -> None:
    saved = asked(toy_engine(folder, path="plain"))
    begun = asked(engine(folder, warm, **lora))
    np.testing.assert_allclose(begun, saved, atol=2e-5)
    assert np.abs(saved - asked(engine(folder, None))).max() > 0.01  # so the saved adapter matters


@pytest.mark.parametrize("path", ["tree", "plain"])
def test_the_reference_stays_the_warm_start_while_training_goes_on(folder: Path, warm: Path, path: str) -> None:
    some = engine(folder, warm, path, rank=8)
    begun = asked(some)
    assert (asked(some, reference=True) == begun).all()
    take_step(some)
    trained = asked(some)
    assert np.abs(trained - begun).max() > 0.01
    assert (asked(some, reference=True) == begun).all()
    assert (asked(some) == trained).all()  # and the weights are back


def test_the_reference_is_the_warm_start_after_a_checkpoint_was_loaded(
    folder: Path, warm: Path, tmp_path: Path
) -> None:
    first = engine(folder, warm)
    begun = asked(first)
    take_step(first)
    first.save(tmp_path / "checkpoint")
    second = engine(folder, warm)
    second.load(tmp_path / "checkpoint")
    assert (asked(second) == asked(first)).all()
    assert (asked(second, reference=True) == begun).all()


def test_what_is_beyond_the_saved_rank_can_be_trained(folder: Path, warm: Path) -> None:
    some = engine(folder, warm, rank=8)
    take_step(some)
    moved = [
        parameter[:, 4:].abs().max().item() for name, parameter in some._model.named_parameters() if "lora_B" in name
    ]
    assert min(moved) > 0


def changed(warm: Path, out: Path, **settings: Any) -> Path:
    out.mkdir()
    for file in warm.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    write_json(out / "adapter_config.json", read_json(warm / "adapter_config.json") | settings)
    return out


def test_an_adapter_that_cannot_be_gone_on_from_is_an_error(folder: Path, warm: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adapter here"):
        engine(folder, tmp_path)
    with pytest.raises(ModelError, match=r"has rank 4, which does not fit into rank 2; set model\.lora\.rank to 4"):
        engine(folder, warm, rank=2)
    with pytest.raises(
        ModelError, match=r"adapts other modules than model\.lora .*; give model\.lora the same targets"
    ):
        engine(folder, warm, targets=["q_proj"])
    with pytest.raises(ModelError, match="with use_rslora cannot be gone on from"):
        engine(folder, changed(warm, tmp_path / "rslora", use_rslora=True))
    with pytest.raises(ModelError, match="has the shape"):
        engine(folder, changed(warm, tmp_path / "smaller", r=3))


def test_an_adapter_that_came_to_harm_is_an_error_and_never_asks_the_hub(
    folder: Path, warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*args: Any, **options: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.file_exists", asked)
    monkeypatch.setattr("peft.utils.save_and_load.hf_hub_download", asked)
    without = changed(warm, tmp_path / "without")
    (without / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match="an adapter without weights"):
        engine(folder, without)
    cut = changed(warm, tmp_path / "cut")
    (cut / "adapter_model.safetensors").write_bytes((warm / "adapter_model.safetensors").read_bytes()[:100])
    with pytest.raises(ModelError, match="the adapter's weights cannot be read"):
        engine(folder, cut)
    for name, value in (("r", None), ("r", "4"), ("r", 0), ("lora_alpha", None), ("lora_alpha", -1)):
        with pytest.raises(ModelError, match=f"{name}: .* cannot be one"):
            engine(folder, changed(warm, tmp_path / f"{name}-{value}", **{name: value}))
    with pytest.raises(ModelError, match="no LoRA adapter"):
        engine(folder, changed(warm, tmp_path / "ia3", peft_type="IA3"))


def test_weights_are_put_back_also_after_an_error() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    start = StartingWeights([parameter])
    parameter.data.fill_(1.0)

    def fail_within() -> None:
        with start.applied():
            assert parameter.tolist() == [0.0, 0.0]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_within()
    assert parameter.tolist() == [1.0, 1.0]
