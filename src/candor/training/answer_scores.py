"""Log-probabilities of whole answers from those of their tokens, with the ends of a few standing for all.

Running the last digit of every answer only to see whether the answer ends there is most of the cost of the answers'
tree. So a step may score the ends of a few answers behind each label, drawn anew each time; the others are taken to
end like those on average.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from candor.prompts.answers import CONFIDENCES
from candor.types import LABELS

K = len(LABELS)
C = len(CONFIDENCES)


def draw_ended(ends: int | str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which answers' ends are scored, shape K C: all, or ``ends`` drawn behind each label."""
    if ends == "all":
        return np.ones((K, C), dtype=bool)
    return np.stack([rng.permutation(C) < int(ends) for _ in range(K)])


def open_answers(answers: Iterable[tuple[int, ...]], ended: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The answers, those that are not ``ended`` without their end token."""
    return [a if is_ended else a[:-1] for a, is_ended in zip(answers, ended.ravel(), strict=True)]


def answer_logprobs(
    token_scores: torch.Tensor, begin: torch.Tensor, last: torch.Tensor, ended: torch.Tensor
) -> torch.Tensor:
    """Sum token scores to answers.

    Args:
        token_scores: of each answer's tokens, shape ``[..., C, T]``, 0 where masked.
        begin: index of the first token that counts, of a shape that broadcasts to ``[..., C]``.
        last: index of the end token, likewise.
        ended: whether the end token was scored, likewise; some of every C are.

    Returns:
        Shape ``[..., C]``.
    """
    position_T = torch.arange(token_scores.shape[-1], device=token_scores.device)
    is_body = (position_T >= begin[..., None]) & (position_T < last[..., None])
    body = (token_scores * is_body).sum(-1)
    own_end = (token_scores * (position_T == last[..., None])).sum(-1)
    mean_end = (own_end * ended).sum(-1, keepdim=True) / ended.sum(-1, keepdim=True)
    return body + torch.where(ended, own_end, mean_end)
