"""GGUF files: unpacked once, whole or not at all, with the weights and the tokenizer that they hold."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_files import write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from candor.engines.gguf import ABOUT, is_gguf, unpack, unpacked
from candor.errors import ModelError
from candor.files import read_json, sha256
from candor.progress import Reporter

QUIET = Reporter(quiet=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_weights_are_those_of_the_file_in_bfloat16_and_load_like_any_others(tmp_path: Path) -> None:
    kept = write_gguf(tmp_path / "m.gguf")
    unpack(tmp_path / "m.gguf", tmp_path / "model", {"name": "m"}, QUIET)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    state = model.state_dict()
    for name, values in kept.items():
        assert state[name].dtype == torch.bfloat16
        assert torch.equal(state[name], torch.from_numpy(values).bfloat16()), name
    assert not hasattr(model.config, "quantization_config")
    assert "_name_or_path" not in read_json(tmp_path / "model" / "config.json")
    assert model.generation_config.eos_token_id == 0
    assert read_json(tmp_path / "model" / ABOUT) == {"name": "m"}
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()} == {0o644}
    assert not list(tmp_path.glob("*.part"))
    prompt = torch.tensor([[5, 6, 7]])
    assert np.isfinite(model(prompt).logits.float().detach().numpy()).all()


def test_the_tokenizer_splits_text_as_the_model_was_trained(tmp_path: Path) -> None:
    """SmolLM splits numbers into digits before it merges, so a merged pair of digits is never used."""
    write_gguf(tmp_path / "m.gguf")
    unpack(tmp_path / "m.gguf", tmp_path / "digits", {}, QUIET)
    write_gguf(tmp_path / "g.gguf", split="gpt-2")
    unpack(tmp_path / "g.gguf", tmp_path / "merged", {}, QUIET)
    digits, merged = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("digits", "merged"))
    assert digits.convert_ids_to_tokens(digits("ab 12")["input_ids"]) == ["ab", "Ġ", "1", "2"]
    assert merged.convert_ids_to_tokens(merged("ab 12")["input_ids"]) == ["ab", "Ġ", "12"]
    for tokenizer in (digits, merged):
        assert tokenizer.eos_token == "<|e|>"
        assert tokenizer.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False) == "<|s|>ab<|e|>"


def test_a_way_to_split_that_is_not_known_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_gguf(tmp_path / "m.gguf", split="chameleon")
    with caplog.at_level(logging.WARNING):
        unpack(tmp_path / "m.gguf", tmp_path / "model", {}, QUIET)
    assert "splits text in a way (chameleon) that is not known here" in caplog.text


def test_a_file_is_unpacked_once_into_the_cache_by_its_content(tmp_path: Path, cache: Path) -> None:
    write_gguf(tmp_path / "m.gguf")
    folder = unpacked(tmp_path / "m.gguf", QUIET)
    assert folder.parent == cache / "models"
    assert read_json(folder / ABOUT) == {"file": "m.gguf", "sha256": sha256(tmp_path / "m.gguf")}
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert unpacked(tmp_path / "m.gguf", QUIET) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    write_gguf(tmp_path / "other.gguf", seed=1)
    assert unpacked(tmp_path / "other.gguf", QUIET) != folder


def test_what_is_no_model_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF but not")
    with pytest.raises(ModelError, match=r"m\.gguf: no GGUF model that can be loaded"):
        unpacked(tmp_path / "m.gguf", QUIET)
    with pytest.raises(ModelError, match="no such file"):
        unpacked(tmp_path / "none.gguf", QUIET)
    assert not list(cache.rglob("*.safetensors"))
    assert is_gguf("A.GGUF")
    assert not is_gguf("gguf/model")


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "m.gguf")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CANDOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set CANDOR_CACHE to another folder"):
        unpacked(tmp_path / "m.gguf", QUIET)
