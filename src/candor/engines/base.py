"""The engine seam: everything that touches a model stands behind :class:`Engine`.

The contract, checked on every implementation by ``tests/contract``:

* Prompts and continuations are token ids; ``encode`` says which. A continuation is everything after the prompt,
  and ends with a stop token where the answer ends.
* ``logprobs[i]`` of a continuation is the log-probability of its token ``i`` given the prompt and all its tokens
  before ``i``, under the current weights.
* A rollout's ``logprobs`` are those of the policy that sampled it, temperature included, and ``raw_logprobs``
  those at temperature 1. Every call of ``rollout`` samples from the current weights.
* Labels are tokenised in context: the tokens of ``LABEL=PASS`` after this very prompt, not those of ``PASS``.
* The label probe is read where a completion emits its label: after its own text up to and including the anchor.
  A completion without the anchor is probed as if it had consisted of the anchor alone.
* An engine that has log-probabilities at temperature 1 only refuses all other temperatures, but for greedy rollouts.
* The same seed, weights and arguments give the same rollouts.
* ``update`` takes one optimiser step on the sum of the objective over the batch, whatever the micro-batches, or
  raises :class:`~candor.errors.NumericsError` and leaves the weights as they were.
* ``load`` after ``save`` restores adapter, optimiser and step, so that what follows is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from candor.means import Means
from candor.prompts.probe import Probe
from candor.types import Rollout

Tokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn.

    Attributes:
        temperature: above 0; logits are divided by it. 0 means greedy.
        max_new_tokens: longest completion, its stop token included.
        seed: of this very call; the same seed gives the same completions.
    """

    temperature: float
    max_new_tokens: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Log-probabilities of the continuations of P prompts, C each (padded), T tokens each (padded).

    Attributes:
        logprobs_P_C_T: at the batch's temperature; 0 where masked.
        raw_logprobs_P_C_T: at temperature 1; 0 where masked.
        mask_P_C_T: true where there is a token.
    """

    logprobs_P_C_T: torch.Tensor
    raw_logprobs_P_C_T: torch.Tensor
    mask_P_C_T: torch.Tensor


@dataclass(frozen=True, slots=True)
class ObjectiveResult:
    """Loss of some prompts of a batch, and figures to log.

    Attributes:
        loss: scalar tensor; losses of the parts of a batch add up to the batch's loss.
        means: figures to log.
    """

    loss: torch.Tensor
    means: Means


Objective: TypeAlias = Callable[[TokenScores, slice], ObjectiveResult]
"""From the scores of the prompts ``batch.prompts[part]`` to their share of the loss: ``objective(scores, part)``."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one optimiser step is taken on.

    Attributes:
        prompts: P prompts.
        continuations: for each prompt its continuations (sampled completions, or every answer of a grammar).
        temperature: at which the policy is scored, above 0.
    """

    prompts: Sequence[Tokens]
    continuations: Sequence[Sequence[Tokens]]
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class OptimiserStep:
    """Values of one AdamW step.

    Attributes:
        learning_rate: at least 0.
        max_grad_norm: gradients are scaled down to this global norm.
    """

    learning_rate: float
    max_grad_norm: float


class Engine(Protocol):
    """A model that can be sampled, scored and trained. See the module's docstring for the contract."""

    @property
    def tokenizer(self) -> Any:
        """The Hugging Face tokenizer that made the token ids."""
        ...

    @property
    def stop_token_ids(self) -> frozenset[int]:
        """Tokens that end a completion."""
        ...

    @property
    def max_length(self) -> int:
        """Longest sequence (prompt and completion) in tokens."""
        ...

    def describe(self) -> dict[str, Any]:
        """Model, device, dtype, parameters and the like, for the manifest."""
        ...

    def rollout(
        self,
        prompts: Sequence[Tokens],
        group_size: int,
        sampling: Sampling,
        probe: Probe,
    ) -> list[list[Rollout]]:
        """Sample ``group_size`` completions of each prompt, and probe each."""
        ...

    def logprobs(
        self,
        prompts: Sequence[Tokens],
        continuations: Sequence[Sequence[Tokens]],
        *,
        temperature: float = 1.0,
        reference: bool = False,
    ) -> list[list[NDArray[np.float64]]]:
        """Per-token log-probabilities of each prompt's continuations; ``reference`` means the model's before training.

        That is the base model, or the base model with the adapter that training went on from.
        """
        ...

    def update(self, batch: Batch, objective: Objective, optimiser: OptimiserStep) -> Means:
        """Take one optimiser step. Returns the objective's means with ``loss`` and ``grad_norm`` (before clipping)."""
        ...

    def save(self, path: Path) -> None:
        """Write adapter, optimiser and step into the folder ``path``, whole or not at all."""
        ...

    def load(self, path: Path) -> None:
        """Restore what ``save`` wrote."""
        ...

    def save_adapter(self, path: Path) -> None:
        """Write the adapter alone, as a PEFT folder."""
        ...


@runtime_checkable
class ShowsHiddenStates(Protocol):
    """An engine that can also be looked into; services give tokens and probabilities alone."""

    def hidden_states(self, sequences: Sequence[Tokens]) -> NDArray[np.float64]:
        """What the head would read behind each of S whole sequences, shape S x hidden size."""
        ...
