"""Data parallelism under torchrun: prompts are shared out, gradients summed, results gathered.

Without torchrun every function is that of a single process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def start() -> None:
    """Join the process group that torchrun describes in the environment; alone, do nothing."""
    if "WORLD_SIZE" in os.environ and int(os.environ["WORLD_SIZE"]) > 1 and not dist.is_initialized():
        # Each collective takes the backend of its tensors' device: a model may run on the CPU where a GPU is present.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def stop() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process writes files and prints."""
    return not dist.is_initialized() or dist.get_rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()


def local_device(device: torch.device) -> torch.device:
    """The GPU of this process where there are several."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def share(count: int) -> slice:
    """The contiguous share of ``count`` items that is this process's; shares differ by at most one."""
    if not dist.is_initialized():
        return slice(0, count)
    size, rank = dist.get_world_size(), dist.get_rank()
    bounds = [count * r // size for r in range(size + 1)]
    return slice(bounds[rank], bounds[rank + 1])


def gather(items: Sequence[T]) -> list[T]:
    """All processes' items, in the order of the processes."""
    if not dist.is_initialized():
        return list(items)
    gathered: list[list[T] | None] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, list(items))
    return [item for part in gathered if part is not None for item in part]


def sum_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes, in one collective."""
    if not dist.is_initialized() or not parameters:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))
