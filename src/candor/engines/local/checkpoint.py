"""What a local engine leaves on disk: its adapter as a PEFT folder, the optimiser, random state and step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from candor.engines.foreign import read_plainly, written_plainly
from candor.engines.pretrained import adapter_weights
from candor.errors import ModelError
from candor.files import atomic_folder, read_json, write_json

STATE_FILE: Final = "state.json"
OPTIMISER_FILE: Final = "optimiser.pt"
ADAPTER_FOLDER: Final = "adapter"
SETTINGS: Final = ("betas", "eps", "weight_decay")
"""Of the optimiser: what the recipe decides; the learning rate is set anew for every step."""
ADAPTER_SETTINGS: Final = "adapter_config.json"


def save_checkpoint(path: Path, model: Any, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write everything that :func:`load_checkpoint` restores into the folder ``path``, whole or not at all."""
    with atomic_folder(path) as folder, written_plainly(path):
        _write_adapter(model, folder / ADAPTER_FOLDER)
        torch.save({"optimiser": optimiser.state_dict(), "random": torch.get_rng_state()}, folder / OPTIMISER_FILE)
        write_json(folder / STATE_FILE, {"step": step})


def load_checkpoint(path: Path, model: Any, optimiser: torch.optim.Optimizer, device: torch.device) -> int:
    """Restore adapter, optimiser and random state in place. Returns the step.

    Raises:
        ModelError: a file is missing, damaged, or of another model or optimiser; the engine is of no use afterwards.
    """

    def damaged(why: str) -> ModelError:
        return ModelError(f"{path}: no checkpoint of this training: {why}")

    with read_plainly(damaged):
        step = read_json(path / STATE_FILE)["step"]
        if type(step) is not int or step < 0:
            raise ModelError(f"{path / STATE_FILE}: step: {step!r} is no number of steps")
        _set_adapter(model, adapter_weights(path / ADAPTER_FOLDER, str(device)))
        state = torch.load(path / OPTIMISER_FILE, map_location=device, weights_only=True)
        _check_moments(optimiser, state["optimiser"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"].cpu())
    return step


def _set_adapter(model: Any, weights: Mapping[str, torch.Tensor]) -> None:
    """Put weights into the adapter, every one of it and no others."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    shapes = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if shapes != given:
        name = min(shapes.items() ^ given.items())[0]
        raise ModelError(f"the adapter's {name} has the shape {given.get(name)} there and {shapes.get(name)} here")
    set_peft_model_state_dict(model, weights)


def _check_moments(optimiser: torch.optim.Optimizer, state: Any) -> None:
    """Refuse settings and averages that do not fit: the optimiser takes any, and fails or is wrong a step later."""
    for ours, theirs in zip(optimiser.param_groups, state["param_groups"], strict=True):
        for name in SETTINGS:
            if ours[name] != theirs[name]:
                raise ModelError(f"the optimiser's {name} is {theirs[name]!r} there and {ours[name]!r} here")
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for index, values in state["state"].items():
        for name, value in values.items():
            if torch.is_tensor(value) and value.dim() and value.shape != parameters[index].shape:
                raise ModelError(f"the optimiser's {name} of parameter {index} has the shape {tuple(value.shape)}")
            if torch.is_tensor(value) and not bool(torch.isfinite(value).all()):
                raise ModelError(f"the optimiser's {name} of parameter {index} is not finite")


def save_adapter(path: Path, model: Any) -> None:
    """Write the adapter alone, as a folder that ``PeftModel.from_pretrained`` reads, whole or not at all."""
    with atomic_folder(path) as folder, written_plainly(path):
        _write_adapter(model, folder)


def _write_adapter(model: Any, folder: Path) -> None:
    model.save_pretrained(str(folder))
    # PEFT adds a model card with nothing in it.
    (folder / "README.md").unlink(missing_ok=True)
    # It holds module names in a set, whose order differs from process to process; the files should not.
    settings = read_json(folder / ADAPTER_SETTINGS)
    for name, value in settings.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            settings[name] = sorted(value)
    write_json(folder / ADAPTER_SETTINGS, settings)
