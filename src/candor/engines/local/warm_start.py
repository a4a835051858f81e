"""An adapter that goes on from a saved one: it begins with the same function, and is measured from there."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from candor.engines.local.checkpoint import ADAPTER_SETTINGS
from candor.engines.pretrained import adapter_weights
from candor.errors import ModelError
from candor.files import read_json

OTHER_SCALES: Final = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern")
"""Settings of PEFT with which a saved adapter's function is another than ``alpha / rank`` times its product."""


@torch.no_grad()
def continue_from(adapted: Any, path: Path) -> None:
    """Give a fresh adapter the function of a saved one, in place.

    Its own first columns and rows become those of the saved one, scaled to its own ``alpha / rank``; what it has beyond
    them adds nothing, because the half of a fresh adapter that is zero stays so there, and can be trained.

    Args:
        adapted: a ``PeftModel`` with a fresh adapter on the same modules.
        path: PEFT folder of the saved adapter, of at most the same rank.

    Raises:
        ModelError: the folder holds no adapter, or one that this cannot go on from; says why.
    """
    if not (path / ADAPTER_SETTINGS).is_file():
        raise ModelError(f"warm_start: {path}: no adapter here (no {ADAPTER_SETTINGS}); give the folder of one")
    saved = read_json(path / ADAPTER_SETTINGS)
    if not isinstance(saved, dict) or saved.get("peft_type") != "LORA":
        raise ModelError(f"warm_start: {path}: no LoRA adapter (by its {ADAPTER_SETTINGS}), and only one can be used")
    for name, kinds in (("r", (int,)), ("lora_alpha", (int, float))):
        if type(saved.get(name)) not in kinds or not 0 < saved[name] < math.inf:
            raise ModelError(f"warm_start: {path / ADAPTER_SETTINGS}: {name}: {saved.get(name)!r} cannot be one")
    odd = [name for name in OTHER_SCALES if saved.get(name)]
    if odd:
        raise ModelError(f"warm_start: {path}: an adapter with {', '.join(odd)} cannot be gone on from")
    config = adapted.peft_config[adapted.active_adapter]
    if saved["r"] > config.r:
        raise ModelError(
            f"warm_start: {path} has rank {saved['r']}, which does not fit into rank {config.r}; set model.lora.rank "
            f"to {saved['r']} or more"
        )
    ratio = (saved["lora_alpha"] / saved["r"]) / (config.lora_alpha / config.r)
    own = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    theirs = {_named(name, adapted.active_adapter): value for name, value in adapter_weights(path).items()}
    if set(own) != set(theirs):
        differing = sorted(set(own) ^ set(theirs))
        raise ModelError(
            f"warm_start: {path} adapts other modules than model.lora ({differing[0]} and {len(differing) - 1} more "
            "are in one of them alone); give model.lora the same targets and parameters"
        )
    for name, parameter in own.items():
        value, rank = theirs[name].to(parameter), saved["r"]
        # The first half maps into the low rank (rows), the second out of it (columns).
        rows = parameter[:rank] if ".lora_A." in name else parameter
        if ".lora_B." in name:
            parameter[:, rank:] = 0.0
            rows = parameter[:, :rank]
            value = value * ratio
        if rows.shape != value.shape:
            raise ModelError(f"warm_start: {path}: {name} has the shape {tuple(value.shape)}, not {tuple(rows.shape)}")
        rows.copy_(value)


def _named(saved: str, adapter: str) -> str:
    """What a parameter is called in the model that PEFT saves without its adapter's name."""
    for half in (".lora_A", ".lora_B"):
        saved = saved.replace(half, f"{half}.{adapter}")
    return saved


class StartingWeights:
    """The weights that parameters have now, to be put in their place for a while later on."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Keep a copy of each."""
        self._parameters = list(parameters)
        self._start = [parameter.detach().clone() for parameter in parameters]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have the parameters hold what they held at the start, while the block runs."""
        current = [parameter.data for parameter in self._parameters]
        for parameter, start in zip(self._parameters, self._start, strict=True):
            parameter.data = start
        try:
            yield
        finally:
            for parameter, value in zip(self._parameters, current, strict=True):
                parameter.data = value
