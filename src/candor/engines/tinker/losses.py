"""Any objective on log-probabilities as a loss that a Tinker service knows, and how services add losses up.

An objective L depends on the weights through log-probabilities alone, so its gradient is the sum over tokens of
dL/dlogp times the gradient of logp. The service's ``importance_sampling`` loss, -exp(logp - old) * advantage summed
over tokens, has the gradient -advantage times that of logp where old = logp. With advantage = -dL/dlogp it is the
gradient of L: exact for whatever can be written as a function of log-probabilities, differentiable terms included.

The SDK's own ``forward_backward_custom`` does the same through ``cross_entropy`` with negative weights. It is not
used: SkyRL's JAX server divides the losses of a sequence by the sum of its weights, which then is negative or 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Tokens
from candor.errors import EngineError

LOSS: Final = "importance_sampling"
SAME: Final = 0.02
"""Relative difference up to which two measured gradient norms count as equal; servers may compute in bfloat16."""


class Reduction(StrEnum):
    """How a service puts the losses of a batch's tokens together before it takes the gradient."""

    SUM = "sum"
    """All are added up (what the documentation of the hosted service says)."""
    SEQUENCE_MEAN = "sequence_mean"
    """The mean over each sequence, then over sequences (SkyRL's JAX backend, measured)."""
    TOKEN_MEAN = "token_mean"
    """The mean over all tokens of the batch."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A prompt with one continuation.

    Attributes:
        prompt: its tokens, at least one.
        continuation: the tokens that are trained.
        logprobs: of the continuation's tokens under the weights that are to be trained.
        gradient: of the objective by each of these log-probabilities.
    """

    prompt: Tokens
    continuation: Tokens
    logprobs: NDArray[np.float64]
    gradient: NDArray[np.float64]


def training_data(rows: Sequence[Scored], reduction: Reduction) -> list[Any]:
    """The rows as the service takes them, weighted so that its gradient is that of the objective.

    Whatever the service divides by is multiplied in here, and nowhere else.
    """
    targets = [len(row.prompt) + len(row.continuation) - 1 for row in rows]
    data = []
    for row, count in zip(rows, targets, strict=True):
        scale = {
            Reduction.SUM: 1.0,
            Reduction.SEQUENCE_MEAN: float(count * len(rows)),
            Reduction.TOKEN_MEAN: float(sum(targets)),
        }[reduction]
        data.append(datum(row.prompt, row.continuation, row.logprobs, -scale * row.gradient))
    return data


def datum(prompt: Tokens, continuation: Tokens, logprobs: NDArray[np.float64], advantages: NDArray[np.float64]) -> Any:
    """One sequence for the ``importance_sampling`` loss; the prompt's own tokens have no advantage."""
    from tinker import types

    sequence = [*prompt, *continuation]
    before = np.zeros(len(prompt) - 1)
    return types.Datum(
        model_input=types.ModelInput.from_ints(sequence[:-1]),
        loss_fn_inputs={
            "target_tokens": np.array(sequence[1:], dtype=np.int64),
            "logprobs": np.concatenate([before, logprobs]).astype(np.float32),
            "advantages": np.concatenate([before, advantages]).astype(np.float32),
        },
    )


Take: TypeAlias = Callable[[list[Any]], tuple[list[NDArray[np.float64]], float | None]]
"""From a batch to the log-probabilities of its targets and the norm of its gradient, if the service says it."""


def measure_reduction(take: Take, token: int) -> Reduction:
    """Find out from gradient norms how a service puts losses together.

    One token that has an advantage is put among others that have none: alone, at the start of a longer sequence,
    and with a second sequence beside it. A sum does not see the company, a mean does.

    Args:
        take: the service's gradient.
        token: a token id to make sequences of; not one for padding, through which no gradient flows.

    Raises:
        EngineError: the service does not say norms, or does something else.
    """

    def batch(*lengths: int, logprob: float, advantage: float) -> list[Any]:
        return [
            datum((token,), (token,) * n, np.full(n, logprob), advantage * np.eye(1, n)[0] * (index == 0))
            for index, n in enumerate(lengths)
        ]

    ((logprob,), *_), _ = take(batch(1, logprob=0.0, advantage=0.0))
    norms = [take(batch(*n, logprob=float(logprob), advantage=1.0))[1] for n in ((1,), (4,), (1, 4))]
    known = [norm for norm in norms if norm is not None and math.isfinite(norm) and norm > 0]
    advice = "set engine.loss to what the service's documentation says"
    if len(known) < len(norms):
        raise EngineError(
            f"the service's loss cannot be measured, because it says {norms} for gradient norms; {advice}"
        )
    alone, longer, beside = known
    for reduction, expected in (
        (Reduction.SUM, (1.0, 1.0)),
        (Reduction.SEQUENCE_MEAN, (1 / 4, 1 / 2)),
        (Reduction.TOKEN_MEAN, (1 / 4, 1 / 5)),
    ):
        if np.allclose([longer / alone, beside / alone], expected, rtol=SAME):
            return reduction
    raise EngineError(
        f"the service's loss is neither a sum nor a mean over tokens or sequences (a token in longer company has "
        f"{longer / alone:.3f} and {beside / alone:.3f} of its gradient alone); {advice}"
    )
