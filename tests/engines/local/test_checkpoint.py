"""A checkpoint restores adapter, optimiser, random state and step, and is written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import make_model

from candor.engines.local.checkpoint import load_checkpoint, save_adapter, save_checkpoint

CPU = torch.device("cpu")


def trained(model: Any) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def optimiser_of(model: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(trained(model), lr=1e-2)


def step(model: Any, optimiser: torch.optim.Optimizer) -> None:
    """A step on gradients that are drawn."""
    for parameter in trained(model):
        parameter.grad = torch.randn(parameter.shape)
    optimiser.step()


def test_what_follows_a_checkpoint_is_the_same_after_loading_it(tmp_path: Path) -> None:
    model = make_model("llama")
    optimiser = optimiser_of(model)
    torch.manual_seed(5)
    step(model, optimiser)
    save_checkpoint(tmp_path / "at", model, optimiser, 7)
    step(model, optimiser)
    expected = [parameter.detach().clone() for parameter in trained(model)]

    other = make_model("llama")
    with torch.no_grad():
        for parameter in trained(other):
            parameter.fill_(3.0)
    fresh = optimiser_of(other)
    torch.manual_seed(99)
    assert load_checkpoint(tmp_path / "at", other, fresh, CPU) == 7
    step(other, fresh)
    assert all(torch.equal(one, two) for one, two in zip(expected, trained(other), strict=True))


def test_the_files_do_not_depend_on_the_order_of_a_set(tmp_path: Path) -> None:
    model = make_model("llama")
    save_adapter(tmp_path / "adapter", model)
    files = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert files == {"adapter_config.json", "adapter_model.safetensors"}
    targets = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["target_modules"]
    assert len(targets) == 7
    assert targets == sorted(targets)


def test_a_save_that_fails_leaves_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("llama")
    optimiser = optimiser_of(model)
    save_checkpoint(tmp_path / "at", model, optimiser, 1)
    before = {path: path.read_bytes() for path in sorted((tmp_path / "at").rglob("*")) if path.is_file()}

    def full(*values: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="the disk is full"):
        save_checkpoint(tmp_path / "at", model, optimiser, 2)
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in tmp_path.iterdir()] == ["at"]
