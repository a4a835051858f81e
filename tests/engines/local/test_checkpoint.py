"""A checkpoint restores adapter, optimiser, random state and step, and is written whole or not at all."""

from __future__ import annotations

import json
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import make_model

from candor.engines.local.checkpoint import load_checkpoint, save_adapter, save_checkpoint
from candor.errors import CandorError, ModelError

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


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Any, torch.optim.Optimizer]:
    """A checkpoint behind a step, with what it was made from."""
    model = make_model("llama")
    optimiser = optimiser_of(model)
    step(model, optimiser)
    save_checkpoint(tmp_path / "at", model, optimiser, 1)
    return tmp_path / "at", model, optimiser


class _Harm:
    """Would make a file where it is unpickled by anything that runs what a pickle says."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def _with_state(change: Any) -> Any:
    def harm(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        torch.save(change(state), path)

    return harm


def _first(state: Any, **values: Any) -> Any:
    state["optimiser"]["state"][0] |= values
    return state


HOSTILE = {
    "nothing": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "text": lambda path: path.write_text("hello"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "an archive of nothing": lambda path: path.write_bytes(b"PK\x05\x06" + b"\x00" * 18),
    "a plain pickle": lambda path: path.write_bytes(pickle.dumps(_Harm(path.parent / "harm"))),
    "code": lambda path: torch.save({"optimiser": _Harm(path.parent / "harm"), "random": None}, path),
    "a number": lambda path: torch.save(3, path),
    "no optimiser": lambda path: torch.save({"random": torch.get_rng_state()}, path),
    "no random state": _with_state(lambda state: {"optimiser": state["optimiser"]}),
    "another random state": _with_state(lambda state: state | {"random": torch.zeros(3)}),
    "no groups": _with_state(lambda state: state | {"optimiser": {"state": {}, "param_groups": []}}),
    "other settings": _with_state(
        lambda state: (state["optimiser"]["param_groups"][0].update(betas=(0.0, 0.0)), state)[1]
    ),
    "another shape": _with_state(lambda state: _first(state, exp_avg=torch.zeros(2, 2))),
    "not a number": _with_state(
        lambda state: _first(state, exp_avg=state["optimiser"]["state"][0]["exp_avg"] * float("nan"))
    ),
    "words": _with_state(lambda state: state | {"optimiser": "x"}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_optimiser_file_that_is_none_of_ours_is_an_error_in_one_line(
    saved: tuple[Path, Any, torch.optim.Optimizer], kind: str
) -> None:
    path, model, optimiser = saved
    HOSTILE[kind](path / "optimiser.pt")
    with pytest.raises(ModelError, match=r"at: no checkpoint of this training|^the optimiser's .*") as told:
        load_checkpoint(path, model, optimiser, CPU)
    assert "\n" not in str(told.value)
    assert not (path / "harm").exists()


ADAPTERS = {
    "nothing": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "a header that is too long": lambda path: path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:]),
    "one tensor less": lambda path: save_file(dict(list(load_file(path).items())[1:]), path),
    "one tensor more": lambda path: save_file(load_file(path) | {"more": torch.zeros(1)}, path),
    "another rank": lambda path: save_file({k: v.repeat(2, 1) for k, v in load_file(path).items()}, path),
}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_weights_that_are_not_the_adapters_are_an_error_in_one_line(
    saved: tuple[Path, Any, torch.optim.Optimizer], kind: str
) -> None:
    path, model, optimiser = saved
    ADAPTERS[kind](path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(ModelError) as told:
        load_checkpoint(path, model, optimiser, CPU)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"step": "1"}', '{"step": -1}', '{"step": true}', "[" * 100_000])
def test_a_step_that_is_none_is_an_error_in_one_line(
    saved: tuple[Path, Any, torch.optim.Optimizer], state: str
) -> None:
    path, model, optimiser = saved
    (path / "state.json").write_text(state)
    with pytest.raises(CandorError) as told:
        load_checkpoint(path, model, optimiser, CPU)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("room", [1_000, 12_000, 30_000])
def test_a_full_disk_is_an_error_in_one_line_and_leaves_what_was_there(
    saved: tuple[Path, Any, torch.optim.Optimizer], room: int
) -> None:
    path, model, optimiser = saved
    sizes = {file: file.stat().st_size for file in path.rglob("*") if file.is_file()}
    assert max(sizes.values()) > room
    before = {file: file.read_bytes() for file in sizes}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises((OSError, CandorError)) as told:
            save_checkpoint(path, model, optimiser, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(told.value)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert [file.name for file in path.parent.iterdir()] == ["at"]
