"""What every engine refuses in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from candor.engines.base import Sampling, Tokens
from candor.errors import EngineError


def check_sampling(sampling: Sampling, group_size: int) -> None:
    """Refuse to sample nothing, or at a negative temperature."""
    if sampling.max_new_tokens < 1 or group_size < 1 or sampling.temperature < 0:
        raise EngineError(
            f"cannot sample {group_size} completions of {sampling.max_new_tokens} tokens at temperature "
            f"{sampling.temperature}: the first two must be at least 1, the last at least 0"
        )


def check_prompts(prompts: Sequence[Tokens], new_tokens: int, max_length: int) -> None:
    """Refuse no prompts, empty ones, and such as leave no room for ``new_tokens`` more."""
    if not prompts:
        raise EngineError("no prompts were given")
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise EngineError(f"prompt {index} has no tokens")
        if len(prompt) + new_tokens > max_length:
            raise EngineError(
                f"prompt {index} has {len(prompt)} tokens and {new_tokens} more may follow, but the model takes "
                f"{max_length}; shorten the prompt before it gets here"
            )


def check_continuations(prompts: Sequence[Tokens], continuations: Sequence[Sequence[Tokens]]) -> None:
    """Refuse prompts without continuations, and empty ones."""
    if len(prompts) != len(continuations):
        raise EngineError(f"{len(prompts)} prompts but continuations for {len(continuations)}")
    for index, group in enumerate(continuations):
        if not group or not all(group):
            raise EngineError(f"prompt {index} has no continuation, or an empty one")
