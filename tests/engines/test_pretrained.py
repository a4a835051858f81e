"""Loading models, tokenizers and adapters, and what is said when it fails."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import save_toy_model

import candor
from candor.engines.pretrained import (
    add_adapter,
    choose_device,
    choose_dtype,
    load_adapter,
    load_model,
    load_tokenizer,
    longest_sequence,
)
from candor.errors import ModelError
from candor.recipe.engine import LoraConfig, ModelConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def _model(folder: Path, **changed: Any) -> Any:
    return load_model(ModelConfig.model_validate({"name": str(folder), **changed}), CPU)


def test_device_and_dtype(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(ModelError, match=r"model\.device: no device 'gpu'.*auto, cpu, cuda"):
        choose_device("gpu")
    with pytest.raises(ModelError, match=r"'cuda:1' was asked for, but torch sees no GPU"):
        choose_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"
    assert choose_dtype("auto", CPU) == torch.float32
    assert choose_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert choose_dtype("float32", torch.device("cuda")) == torch.float32
    assert choose_dtype("bfloat16", CPU) == torch.bfloat16


def test_base_weights_are_frozen_and_adapters_float32(folder: Path) -> None:
    model = _model(folder, dtype="bfloat16")
    assert not any(p.requires_grad for p in model.parameters())
    adapted = add_adapter(model, LoraConfig(rank=2, alpha=4.0), seed=0)
    trained = {n: p for n, p in adapted.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name and p.dtype == torch.float32 for name, p in trained.items())
    assert {p.dtype for n, p in adapted.named_parameters() if n not in trained} == {torch.bfloat16}


def test_a_fresh_adapter_changes_nothing_and_follows_its_seed(folder: Path) -> None:
    ids = torch.tensor([[3, 4, 5]])
    before = _model(folder)(input_ids=ids).logits
    state = torch.get_rng_state()
    weights = []
    for seed in (0, 0, 1):
        adapted = add_adapter(_model(folder), LoraConfig(rank=2, alpha=4.0), seed=seed).eval()
        assert torch.equal(adapted(input_ids=ids).logits, before)
        weights.append(torch.cat([p.flatten() for p in adapted.parameters() if p.requires_grad]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_adapter_targets(folder: Path) -> None:
    adapted = add_adapter(_model(folder), LoraConfig(rank=2, alpha=4.0, targets=["q_proj"]), seed=0)
    assert {n.split(".")[-4] for n, p in adapted.named_parameters() if p.requires_grad} == {"q_proj"}
    with pytest.raises(ModelError, match=r"model\.lora: .*nothing_proj"):
        add_adapter(_model(folder), LoraConfig(targets=["nothing_proj"]), seed=0)


def test_models_that_are_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    for load in (lambda name: load_tokenizer(name), lambda name: load_model(ModelConfig(name=name), CPU)):
        with pytest.raises(ModelError, match=r"model\.name: the folder .*empty holds no") as caught:
            load(str(tmp_path / "empty"))
        assert "\n" not in str(caught.value)
        with pytest.raises(ModelError, match=r"model\.name: no .*no/such/folder.*check the name") as caught:
            load("./no/such/folder")
        assert "\n" not in str(caught.value)


def test_adapters_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adapter here"):
        load_adapter(_model(folder), tmp_path)
    add_adapter(_model(folder), LoraConfig(rank=2), seed=0).save_pretrained(tmp_path / "adapter")
    model = _model(folder)
    wide = type(model)(type(model.config)(**{**model.config.to_dict(), "intermediate_size": 48}))
    with pytest.raises(ModelError, match="does not fit the model"):
        load_adapter(wide, tmp_path / "adapter")


class _Config:
    def __init__(self, positions: int | None) -> None:
        self.max_position_embeddings = positions


class _Sized:
    def __init__(self, positions: int | None = None, longest: int | None = None) -> None:
        self.config = _Config(positions)
        self.model_max_length = longest


@pytest.mark.parametrize(
    ("positions", "tokenizer", "asked", "expected"),
    [
        (160, None, None, 160),
        (160, 100, None, 100),
        (160, 100, 50, 50),
        (160, 100, 500, 100),
        (160, int(1e30), None, 160),
    ],
)
def test_longest_sequence(positions: int, tokenizer: int | None, asked: int | None, expected: int) -> None:
    sized = _Sized(positions, tokenizer)
    assert longest_sequence(sized, sized, asked) == expected


def test_a_length_that_nobody_knows_is_asked_for() -> None:
    unknown = _Sized(None, int(1e30))  # what tokenizers say that do not know
    assert longest_sequence(unknown, unknown, 300) == 300
    with pytest.raises(ModelError, match=r"model\.max_length"):
        longest_sequence(unknown, unknown, None)


@pytest.mark.parametrize("error", [MemoryError("full"), torch.OutOfMemoryError("full"), ZeroDivisionError("a bug")])
def test_what_is_not_the_files_fault_is_not_blamed_on_them(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", fails)
    with pytest.raises(type(error)):
        load_tokenizer("anything")


def test_an_unreadable_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(ModelError, match="holds no tokenizer that can be loaded"):
        load_tokenizer(str(tmp_path))


def test_no_call_that_loads_leaves_remote_code_to_a_default() -> None:
    """Whatever a library does unless told, code that comes with a model is never run."""
    loaders = re.compile(r"\b(?:Auto\w+)\.from_(?:pretrained|config)\(")
    found = 0
    for path in sorted(Path(candor.__file__).parent.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and loaders.match(f"{ast.unparse(call.func)}("):
                found += 1
                said = {word.arg: ast.unparse(word.value) for word in call.keywords}
                assert said.get("trust_remote_code") == "False", f"{path}:{call.lineno}"
    assert found >= 6


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(
            {"model_type": "made_up", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
        )
    )
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match=r"model\.name"):
        load_model(ModelConfig(name=str(tmp_path)), torch.device("cpu"))
    with pytest.raises(ModelError, match=r"model\.name"):
        load_tokenizer(str(tmp_path))
    assert not (tmp_path / "ran").exists()
