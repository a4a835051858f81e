"""What a local engine leaves on disk: its adapter as a PEFT folder, the optimiser, random state and step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

from candor.files import atomic_folder, read_json, write_json

STATE_FILE: Final = "state.json"
OPTIMISER_FILE: Final = "optimiser.pt"
ADAPTER_FOLDER: Final = "adapter"
ADAPTER_SETTINGS: Final = "adapter_config.json"


def save_checkpoint(path: Path, model: Any, optimiser: torch.optim.Optimizer, step: int) -> None:
    """Write everything that :func:`load_checkpoint` restores into the folder ``path``, whole or not at all."""
    with atomic_folder(path) as folder:
        _write_adapter(model, folder / ADAPTER_FOLDER)
        torch.save({"optimiser": optimiser.state_dict(), "random": torch.get_rng_state()}, folder / OPTIMISER_FILE)
        write_json(folder / STATE_FILE, {"step": step})


def load_checkpoint(path: Path, model: Any, optimiser: torch.optim.Optimizer, device: torch.device) -> int:
    """Restore adapter, optimiser and random state in place. Returns the step."""
    from peft import load_peft_weights, set_peft_model_state_dict

    step = int(read_json(path / STATE_FILE)["step"])
    set_peft_model_state_dict(model, load_peft_weights(str(path / ADAPTER_FOLDER), device=str(device)))
    state = torch.load(path / OPTIMISER_FILE, map_location=device, weights_only=True)
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"].cpu())
    return step


def save_adapter(path: Path, model: Any) -> None:
    """Write the adapter alone, as a folder that ``PeftModel.from_pretrained`` reads, whole or not at all."""
    with atomic_folder(path) as folder:
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
