"""What a recipe would take on this machine: hours, memory and disk, estimated before anything is run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from candor.engines.hub import asked_once
from candor.engines.load import SANDBOX
from candor.engines.microbatch import Footprint, bytes_per_token
from candor.engines.named import located
from candor.engines.pretrained import choose_device, choose_dtype
from candor.progress import Reporter
from candor.recipe.recipe import Recipe
from candor.runs.plan import RunPlan

REACHED: Final = (0.05, 0.4)
"""Least and most of the machine's speed in matrix products that a step reached where it was measured: small models in
bfloat16 the least, larger ones in float32 the most (``docs/performance.md``)."""
_PASSES: Final = {"train": 6.0, "answer": 2.0}
"""Operations for each parameter and token: 2 forward; of a training step one forward without gradient, and forward and
backward through frozen weights, which need no gradient of their own."""
_ADAM: Final = 4
"""Weights, gradient and two moments of the adapter, each in float32."""
_KEPT: Final = 2
"""Checkpoints that lie side by side at most, with the adapter's weights and both moments in each."""
_SIDE: Final = {"cpu": 1024, "cuda": 8192}
GIGA: Final = 1e9


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A model without its weights.

    Attributes:
        parameters: of the base model.
        active: of these, those that a token passes; fewer than all where experts share the work.
        adapter: of the adapter that the recipe puts on it.
        bytes_each: of a base weight in the dtype that it would be loaded in.
        token_bytes: bytes that a backward pass keeps for each token, about: as it comes, and with checkpointing.
        footprint: bytes that a pass without gradients takes.
        device: ``cpu`` or ``cuda``.
        dtype: as torch knows it.
    """

    parameters: int
    active: int
    adapter: int
    bytes_each: int
    token_bytes: tuple[int, int]
    footprint: Footprint
    device: str
    dtype: Any


def model_size(recipe: Recipe, *, on_gpu: bool = False) -> ModelSize:
    """Build the model without memory for its weights, and count.

    Args:
        recipe: names the model.
        on_gpu: as it would be on a GPU, whether there is one here or not.

    Raises:
        ModelError: a model by name cannot be had.
        OSError, ValueError: there is no configuration of it here or on the hub.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if recipe.model.name == SANDBOX:
        from candor.sandbox.model import base_model_folder

        name, revision = str(base_model_folder()), None
    else:
        found = located(recipe.model, Reporter(quiet=True))
        name, revision = found.name, found.revision
    with asked_once(name):
        whole = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    config = whole.get_text_config()
    device = torch.device("cuda") if on_gpu else choose_device(recipe.model.device)
    dtype = choose_dtype(recipe.model.dtype, device, config)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    model.to(dtype)
    head = model.get_output_embeddings()
    linear = [part for part in model.modules() if isinstance(part, torch.nn.Linear) and part is not head]
    rank = recipe.model.lora.rank
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelSize(
        parameters=parameters,
        active=parameters - _idle(model),
        adapter=sum(rank * (part.in_features + part.out_features) for part in linear),
        bytes_each=dtype.itemsize,
        token_bytes=(bytes_per_token(model, tree=True), bytes_per_token(model, tree=True, checkpointing=True)),
        footprint=Footprint.of(model),
        device=device.type,
        dtype=dtype,
    )


def _idle(model: Any) -> int:
    """Parameters of the experts that a token is not sent to."""
    experts = sum(parameter.numel() for name, parameter in model.named_parameters() if ".experts." in name)

    def told(*names: str) -> int:
        return next((int(found) for name in names if (found := getattr(model.config, name, None))), 0)

    count, asked = told("num_local_experts", "num_experts"), told("num_experts_per_tok", "top_k_experts")
    return experts - experts * asked // count if experts and count and asked else 0


def matrix_speed(size: ModelSize) -> float:
    """Operations a second of this machine in large matrix products of the model's dtype, measured for a moment."""
    import torch

    side = _SIDE.get(size.device, _SIDE["cpu"])
    one, other = (torch.ones(side, side, dtype=size.dtype, device=size.device) for _ in range(2))
    best = 0.0
    for _ in range(4):  # the first pays for what is set up
        started = time.perf_counter()
        product = one @ other
        float(product[0, 0])  # waits for a GPU
        best = max(best, 2.0 * side**3 / (time.perf_counter() - started))
    return best


def operations_of(plans: Sequence[RunPlan], size: ModelSize) -> float:
    """Floating-point operations of all runs, about."""
    trained = sum(plan.trained_tokens * plan.seeds for plan in plans)
    answered = sum(plan.answered_tokens * plan.models + plan.validated_tokens * plan.seeds for plan in plans)
    return size.active * (_PASSES["train"] * trained + _PASSES["answer"] * answered)


def weights_of(size: ModelSize) -> int:
    """Bytes of the weights, of the adapter and of what its optimiser keeps."""
    return size.parameters * size.bytes_each + size.adapter * 4 * _ADAM


def local_text(recipe: Recipe, plans: Sequence[RunPlan], size: ModelSize, speed: float) -> str:
    """Hours, memory and disk in words.

    Args:
        recipe: the experiment.
        plans: of its arms.
        size: of its model.
        speed: operations a second.
    """
    runs = sum(plan.seeds for plan in plans)
    hours = [operations_of(plans, size) / speed / part / 3600 for part in reversed(REACHED)]
    longest = max(plan.longest_prompt for plan in plans)
    memory = (weights_of(size) + longest * size.token_bytes[0]) / GIGA
    disk = runs * size.adapter * 4 * (3 * _KEPT + 1) / GIGA
    sandbox = recipe.model.name == SANDBOX
    fetched = "" if sandbox else f", and {size.parameters * 2 / GIGA:,.1f} GB for the model if new"
    dtype = str(size.dtype).removeprefix("torch.")
    experts = f" ({size.active:,} of them for a token)" if size.active < size.parameters else ""
    return (
        f"on this machine ({size.device}, {dtype}, {speed / GIGA:,.0f} GFLOP/s in matrix products), "
        f"{size.parameters:,} parameters{experts}: {_duration(hours[0])} to {_duration(hours[1])}; "
        f"at least {memory:,.1f} GB memory (weights, adapter, one prompt of {longest:,} tokens; what is above goes "
        f"into larger batches); {disk:,.2f} GB of disk for {runs} run{'s' if runs > 1 else ''}{fetched}. "
        "Guesses from counted tokens, not promises"
    )


def _duration(hours: float) -> str:
    """Hours in words.

    >>> _duration(0.05), _duration(12.34)
    ('3.0 minutes', '12.3 hours')
    """
    return f"{hours * 60:,.1f} minutes" if hours < 1 else f"{hours:,.1f} hours"
