"""Loading models, tokenizers and adapters, and what is said when it fails."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from toy import TEMPLATE, example, save_toy_model

import candor
from candor.engines.base import Sampling
from candor.engines.local.engine import LocalEngine
from candor.engines.pretrained import (
    add_adapter,
    choose_device,
    choose_dtype,
    files_sha256,
    load_adapter,
    load_model,
    load_tokenizer,
    longest_sequence,
    multiplies_in_bfloat16,
)
from candor.errors import ModelError
from candor.prompts.encoding import encode
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import LABEL_PROBE
from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig

WEIGHTS = "adapter_model.safetensors"
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


@pytest.mark.parametrize("able", [True, False])
def test_on_a_cpu_large_models_run_in_bfloat16_where_the_processor_multiplies_in_it(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candor.engines.pretrained.multiplies_in_bfloat16", lambda: able)
    wide = transformers.LlamaConfig(hidden_size=576, num_attention_heads=9, dtype=torch.bfloat16)
    narrow = transformers.LlamaConfig(hidden_size=64, num_attention_heads=4, dtype=torch.bfloat16)
    in_float32 = transformers.LlamaConfig(hidden_size=576, num_attention_heads=9, dtype=torch.float32)
    assert choose_dtype("auto", CPU, wide) == (torch.bfloat16 if able else torch.float32)
    assert choose_dtype("auto", CPU, narrow) == choose_dtype("auto", CPU, in_float32) == torch.float32
    assert choose_dtype("float32", CPU, wide) == torch.float32


def test_asking_the_processor_is_no_guess() -> None:
    assert isinstance(multiplies_in_bfloat16(), bool)


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


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved adapter that matters."""
    path = tmp_path_factory.mktemp("fitting") / "adapter"
    adapted = add_adapter(_model(folder), LoraConfig(rank=2), seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.1)
    adapted.save_pretrained(path)
    return path


def _changed(adapter: Path, path: Path, change: Any = None, **settings: Any) -> Path:
    """A copy with other keys or settings."""
    shutil.copytree(adapter, path)
    if change is not None:
        save_file(change(load_file(adapter / WEIGHTS)), path / WEIGHTS)
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps(config | settings))
    return path


def _renamed(old: str, new: str) -> Any:
    return lambda weights: {key.replace(old, new): value for key, value in weights.items()}


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            _renamed("base_model.model.", "base_model.model._orig_mod."),
            {},
            "lacks .*lora_A.* more; .*has no .*_orig_mod",
        ),
        (_renamed("base_model", "module.base_model"), {}, "lacks .*the model has no module.base_model"),
        (_renamed("q_proj", "query"), {}, r"lacks .*q_proj.lora_A.*; the model has no .*query"),
        (_renamed("layers.1", "layers.7"), {}, r"lacks .*layers\.1\..*; the model has no .*layers\.7\."),
        (lambda weights: {k: v for k, v in weights.items() if "layers.0" in k}, {}, r"it lacks .*layers\.1\.[^;]*$"),
        (lambda weights: {k: v for k, v in weights.items() if "lora_A" in k}, {}, r"it lacks .*lora_B[^;]*$"),
        (None, {"target_modules": ["q_proj"]}, "the model has no .*down_proj"),
        (None, {"target_modules": ["query"]}, "does not fit the model: .*query"),
        (None, {"r": 4}, "does not fit the model"),
        (None, {"peft_type": "IA3"}, "of the kind IA3; only LoRA"),
    ],
)
def test_an_adapter_that_fits_in_part_is_an_error_that_lists_what_is_missing(
    folder: Path, adapter: Path, tmp_path: Path, change: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_adapter(_model(folder), _changed(adapter, tmp_path / "other", change, **settings))


def test_an_adapter_with_dropout_answers_like_one_without(folder: Path, adapter: Path, tmp_path: Path) -> None:
    ids = torch.tensor([[3, 4, 5]])
    plain = load_adapter(_model(folder), adapter)
    dropping = load_adapter(_model(folder), _changed(adapter, tmp_path / "dropping", lora_dropout=0.5))
    assert torch.equal(plain.eval()(input_ids=ids).logits, dropping.train()(input_ids=ids).logits)
    assert not torch.equal(plain(input_ids=ids).logits, _model(folder)(input_ids=ids).logits)
    assert LocalEngine(dropping, load_tokenizer(str(folder))).describe()["trained_parameters"] > 0


def test_an_adapter_without_weights_asks_nobody(
    folder: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("the hub was asked")

    for place in ("hf_hub_download", "file_exists"):
        monkeypatch.setattr(f"peft.utils.save_and_load.{place}", asked)
    empty = _changed(adapter, tmp_path / "empty")
    (empty / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"empty: an adapter without weights \(no adapter_model.safetensors\)"):
        load_adapter(_model(folder), empty)


# ------------------------------------------------------------------------------------- models as they are saved


def test_a_model_that_lacks_weights_is_an_error_that_lists_them(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    kept = {key: value for key, value in weights.items() if "layers.1.mlp" not in key}
    save_file(kept, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights of it: model\.layers\.1\.mlp\.down_proj\.weight, "):
        _model(tmp_path / "model")


@pytest.mark.parametrize("form", ["tied", "resized", "sharded"])
def test_heads_in_every_form(folder: Path, tmp_path: Path, form: str) -> None:
    made = _model(folder)
    if form == "tied":
        made.config.tie_word_embeddings = True
        made.tie_weights()
    if form == "resized":  # more rows than the tokenizer has tokens, as models are padded
        made.resize_token_embeddings(made.config.vocab_size + 27, mean_resizing=False)
    made.save_pretrained(tmp_path, max_shard_size="20KB" if form == "sharded" else "5GB")
    shutil.copy(folder / "tokenizer.json", tmp_path)
    shutil.copy(folder / "tokenizer_config.json", tmp_path)
    if form == "sharded":
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
    ids = torch.tensor([[3, 4, 5]])
    loaded = _model(tmp_path)
    assert torch.equal(loaded(input_ids=ids).logits, made.eval()(input_ids=ids).logits)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.pad_token is None
    answers = answer_grammar(TEMPLATE, tokenizer).answers[::50]
    prompts = [encode(TEMPLATE, example(1), tokenizer, max_tokens=120).tokens]
    scores = {}
    for path in ("plain", "tree"):
        engine = LocalEngine(add_adapter(_model(tmp_path), LoraConfig(rank=2), seed=0), tokenizer, config=_on(path))
        assert engine.describe()["path"] == path
        scores[path] = np.concatenate(engine.logprobs(prompts, [answers])[0])
        (rollout,) = engine.rollout(prompts, 1, Sampling(10.0, 20, seed=1), LABEL_PROBE)[0]
        assert np.isfinite(rollout.probe_logprobs).all()
    assert scores["plain"] == pytest.approx(scores["tree"], abs=1e-4)


def _on(path: str) -> EngineConfig:
    return EngineConfig.model_validate({"path": path})


def test_of_a_model_that_also_sees_the_language_model_is_loaded(folder: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 12,
        "max_position_embeddings": 160,
        "sliding_window": 64,
        "eos_token_id": 0,
        "bos_token_id": None,
        "pad_token_id": 0,
    }
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = transformers.Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=5
    )
    torch.manual_seed(0)
    whole = transformers.Gemma3ForConditionalGeneration(config).eval()
    whole.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = _model(tmp_path)
    ids = torch.tensor([[3, 4, 8]])
    assert torch.equal(loaded(input_ids=ids).logits, whole(input_ids=ids).logits)
    assert longest_sequence(loaded, tokenizer, None) == longest_sequence(whole, tokenizer, None) == 160
    engine = LocalEngine(add_adapter(loaded, LoraConfig(rank=2), seed=0), tokenizer)
    assert engine.describe()["path"] == "tree"
    kept = {key: value for key, value in load_file(tmp_path / "model.safetensors").items() if "norm" not in key}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights of the language model within gemma3: .*norm"):
        _model(tmp_path)


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


def test_a_changed_file_changes_what_is_said_of_a_models_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    before = files_sha256(str(tmp_path))
    assert before == files_sha256(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    assert before != files_sha256(str(tmp_path)) != files_sha256(str(tmp_path / "config.json"))
    assert files_sha256("owner/on-the-hub") is None


@pytest.mark.parametrize("content", [b'{"eos_token_id": [1, 6],}', b"", b"\xef\xbb\xbf{}", b"[]", b"\xff"])
def test_generation_settings_that_cannot_be_read_are_named(folder: Path, tmp_path: Path, content: bytes) -> None:
    """Transformers passes over them, and with them over the tokens that end an answer."""
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "generation_config.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"generation_config\.json: not .*; mend it, or remove it"):
        _model(copy)
