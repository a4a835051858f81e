"""What a recipe would take on GPUs that are not at hand: what fits, GPU-hours and money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from candor.engines.microbatch import SHARE_OF_MEMORY
from candor.runs.local_plan import GIGA, REACHED, ModelSize, operations_of, weights_of
from candor.runs.plan import Decoding, RunPlan


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU by its maker's data sheet.

    Attributes:
        name: as it is called.
        memory: in GB.
        teraflops: in matrix products of bfloat16, without sparsity.
        bandwidth: of its memory, in TB/s.
    """

    name: str
    memory: int
    teraflops: int
    bandwidth: float

    def room(self, size: ModelSize) -> float:
        """Bytes that what belongs to the tokens of a pass may take: the engine's rule for memory of that size."""
        return max(0.0, SHARE_OF_MEMORY * (self.memory * GIGA - weights_of(size)))

    def passes(self, decoding: Decoding, size: ModelSize, *, together: int) -> int:
        """Passes of one token after the other; a batch that is too large for the memory is decoded in parts."""
        own = -(-decoding.prompts // together)
        each = size.footprint.decoding(decoding.prompt_tokens, decoding.group_size, decoding.places)
        at_once = max(1, int(self.room(size) // each))
        return decoding.batches * -(-own // at_once) * decoding.places

    def hours(self, plans: Sequence[RunPlan], size: ModelSize, *, together: int) -> float:
        """At the data sheet's speed: matrix products, and reading all weights in every pass that decodes.

        Args:
            plans: of a recipe's arms.
            size: of its model.
            together: GPUs that share the prompts of a batch, each with the whole model.
        """
        products = operations_of(plans, size) / (self.teraflops * 1e12) / together
        passes = sum(
            plan.seeds * sum(self.passes(each, size, together=together) for each in plan.decoded)
            + plan.models * self.passes(plan.answered, size, together=together)
            for plan in plans
        )
        return (products + passes * size.parameters * size.bytes_each / (self.bandwidth * 1e12)) / 3600


GPUS: Final = (
    Gpu("RTX 4090", 24, 165, 1.01),
    Gpu("L40S", 48, 362, 0.864),
    Gpu("A100", 80, 312, 2.04),
    Gpu("H100", 80, 989, 3.35),
    Gpu("H200", 141, 989, 4.8),
    Gpu("B200", 180, 2250, 8.0),
)
"""NVIDIA's data sheets, the SXM form where there are several."""

TOGETHER: Final = (1, 8)
"""GPUs of one machine; under torchrun each holds the whole model and takes its share of the prompts."""


def tokens_at_once(gpu: Gpu, size: ModelSize, *, checkpointing: bool) -> int:
    """Tokens of one backward pass that a GPU has room for beside the weights; 0 where the weights alone are too large.

    The engine's own rule (:func:`candor.engines.microbatch.tokens_that_fit`) for memory of that size.
    """
    return int(gpu.room(size) / size.token_bytes[checkpointing])


def gpu_table(plans: Sequence[RunPlan], size: ModelSize, *, price: float | None = None) -> list[list[str]]:
    """A row for each GPU, under a row of titles.

    Args:
        plans: of a recipe's arms.
        size: of its model, in the dtype that it has on a GPU.
        price: of an hour of one GPU, in any currency.
    """
    longest = max(plan.longest_prompt for plan in plans)
    titles = ["GPU", "memory", "tokens at once", *(f"hours on {count}" for count in TOGETHER)]
    titles += [f"cost on {count}" for count in TOGETHER] if price is not None else []
    rows = [titles]
    for gpu in GPUS:
        plain, checkpointed = (tokens_at_once(gpu, size, checkpointing=how) for how in (False, True))
        row = [gpu.name, f"{gpu.memory} GB"]
        if checkpointed < longest:
            row += ["does not fit"] + ["-"] * (len(titles) - 3)
        else:
            hours = [[gpu.hours(plans, size, together=n) / part for part in reversed(REACHED)] for n in TOGETHER]
            row += [f"{plain:,} / {checkpointed:,}", *(_range(*each) for each in hours)]
            if price is not None:
                row += [_range(*(n * price * each for each in both)) for n, both in zip(TOGETHER, hours, strict=True)]
        rows.append(row)
    return rows


def _range(least: float, most: float) -> str:
    """Both ends, each with three digits.

    >>> _range(0.3664, 12.98), _range(126.25, 1009.97)
    ('0.366-13', '126-1010')
    """
    return "-".join(f"{each:.0f}" if each >= 100 else f"{each:.3g}" for each in (least, most))


def gpu_text(plans: Sequence[RunPlan], size: ModelSize, *, price: float | None = None) -> str:
    """The table for a terminal, and what it rests on."""
    rows = gpu_table(plans, size, price=price)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    parts = f"{REACHED[0]:.0%} to {REACHED[1]:.0%}"
    told = (
        f"on GPUs, {weights_of(size) / GIGA:,.1f} GB of weights and optimiser; tokens of a backward pass without and "
        f"with checkpointing;\nat {parts} of the data sheets' speed, which is what processors reached "
        "(no GPU was measured):"
    )
    return "\n".join([told, *(f"  {line}" for line in lines)])
