"""Log-probabilities of whole answers from those of their tokens, with the ends of a few standing for all.

Running the last digit of every answer only to see whether the answer ends there is most of the cost of the answers'
tree, and more where words of the template follow it. So the ends of a few answers behind each label are scored: in
training drawn anew each step, in a verdict always the same. The others are taken to end like those on average. An
answer's end is all that closes it: what stands behind its confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import TokenScores
from candor.prompts.answers import CONFIDENCES
from candor.prompts.grammar import AnswerGrammar
from candor.types import LABELS

K = len(LABELS)
C = len(CONFIDENCES)


def draw_ended(ends: int | str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which answers' ends are scored, shape K C: all, or ``ends`` drawn behind each label."""
    if ends == "all":
        return np.ones((K, C), dtype=bool)
    return np.stack([rng.permutation(C) < int(ends) for _ in range(K)])


def spread_ended(ends: int | str) -> NDArray[np.bool_]:
    """The same as :func:`draw_ended` without chance: ``ends`` confidences behind each label, as far apart as they go.

    >>> np.flatnonzero(spread_ended(4)[0]).tolist()
    [12, 37, 63, 88]
    """
    count = C if ends == "all" else int(ends)
    ended_K_C = np.zeros((K, C), dtype=bool)
    ended_K_C[:, ((np.arange(count) + 0.5) * C / count).astype(int)] = True
    return ended_K_C


def open_answers(grammar: AnswerGrammar, ended: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """The answers, those that are not ``ended`` without what closes them."""
    both = zip(grammar.answers, grammar.closing, ended.ravel(), strict=True)
    return [answer if is_ended else answer[:closing] for answer, closing, is_ended in both]


def scored_answers(grammar: AnswerGrammar, ended: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """What is run to score all answers: the open ones, then those that are ``ended``, each with every other end."""
    closed = [answer for answer, is_ended in zip(grammar.answers, ended.ravel(), strict=True) if is_ended]
    return [
        *open_answers(grammar, ended),
        *((*answer[:-1], end) for answer in closed for end in grammar.other_ends),
    ]


def _folded(
    logprobs_P_R_A_T: torch.Tensor, grammar: AnswerGrammar, begin_P_R: torch.Tensor, ended: NDArray[np.bool_]
) -> torch.Tensor:
    """Scores of the open answers, the end of each that is scored being any that the model may end with."""
    if not grammar.other_ends:
        return logprobs_P_R_A_T
    first, others = logprobs_P_R_A_T[:, :, : K * C], logprobs_P_R_A_T[:, :, K * C :]
    closed = np.flatnonzero(ended)
    lengths = torch.tensor([len(grammar.answers[answer]) for answer in closed], device=begin_P_R.device)
    last = (begin_P_R[..., None] + lengths - 1)[..., None]
    own = first[:, :, closed]
    others = others.reshape(*own.shape[:3], len(grammar.other_ends), own.shape[-1])
    at_end = [own.gather(-1, last), *(others[:, :, :, e].gather(-1, last) for e in range(others.shape[3]))]
    folded = first.clone()
    folded[:, :, closed] = own.scatter(-1, last, torch.cat(at_end, -1).logsumexp(-1, keepdim=True))
    return folded


def answer_logprobs(
    token_scores: torch.Tensor, begin: torch.Tensor, closing: torch.Tensor, ended: torch.Tensor
) -> torch.Tensor:
    """Sum token scores to answers.

    Args:
        token_scores: of each answer's tokens, shape ``[..., C, T]``, 0 where masked.
        begin: index of the first token that counts, of a shape that broadcasts to ``[..., C]``.
        closing: index of the first token that closes the answer, likewise; the row's last tokens do.
        ended: whether what closes it was scored, likewise; some of every C are.

    Returns:
        Shape ``[..., C]``.
    """
    position_T = torch.arange(token_scores.shape[-1], device=token_scores.device)
    is_body = (position_T >= begin[..., None]) & (position_T < closing[..., None])
    body = (token_scores * is_body).sum(-1)
    own_end = (token_scores * (position_T >= closing[..., None])).sum(-1)
    mean_end = (own_end * ended).sum(-1, keepdim=True) / ended.sum(-1, keepdim=True)
    return body + torch.where(ended, own_end, mean_end)


@dataclass(frozen=True, slots=True)
class AnswerProbs:
    """Exact probabilities of all answers behind P prompts with R reasoning prefixes each.

    Attributes:
        log_answers_P_R_K_C: log-probability of every answer, end token included, at the batch's temperature.
        raw_log_answers_P_R_K_C: the same at temperature 1.
        log_labels_P_R_K: raw log-probability of each label where it is emitted (not normalised over the three).
        log_reasoning_P_R_T: per-token log-probabilities of the reasoning at the batch's temperature, padded with 0.
    """

    log_answers_P_R_K_C: torch.Tensor
    raw_log_answers_P_R_K_C: torch.Tensor
    log_labels_P_R_K: torch.Tensor
    log_reasoning_P_R_T: torch.Tensor


def answer_probs(
    scores: TokenScores, grammar: AnswerGrammar, prefix_lengths_P_R: NDArray[np.int64], ended_K_C: NDArray[np.bool_]
) -> AnswerProbs:
    """Sum token scores to answers.

    Args:
        scores: of the continuations ``reasoning + answer``, for each prompt R times what :func:`scored_answers` gives.
        grammar: the answers.
        prefix_lengths_P_R: tokens of each reasoning prefix; 0 where there is none.
        ended_K_C: answers that carry what closes them. The end of the others has the mean log-probability of those
            that do behind the same label.
    """
    log_answers = grammar_logprobs(scores.logprobs_P_C_T, grammar, prefix_lengths_P_R, ended_K_C)
    raw_answers = log_answers
    if scores.raw_logprobs_P_C_T is not scores.logprobs_P_C_T:
        raw_answers = grammar_logprobs(scores.raw_logprobs_P_C_T, grammar, prefix_lengths_P_R, ended_K_C)
    device, length = scores.mask_P_C_T.device, scores.mask_P_C_T.shape[-1]
    shape = (*prefix_lengths_P_R.shape, -1, length)  # answers with other ends stand behind all others
    position_T = torch.arange(length, device=device)
    offset_P_R = torch.as_tensor(prefix_lengths_P_R, device=device)
    start_K = torch.tensor(grammar.label_start[::C], device=device)
    end_K = torch.tensor(grammar.label_end[::C], device=device)
    place_P_R_K_T = position_T - offset_P_R[:, :, None, None]
    is_label = (place_P_R_K_T >= start_K[:, None]) & (place_P_R_K_T < end_K[:, None])
    labels = (scores.raw_logprobs_P_C_T.view(shape)[:, :, : K * C : C] * is_label).sum(-1)
    reasoning = scores.logprobs_P_C_T.view(shape)[:, :, 0] * (position_T < offset_P_R[..., None])
    return AnswerProbs(log_answers, raw_answers, labels, reasoning)


def grammar_logprobs(
    logprobs_P_C_T: torch.Tensor,
    grammar: AnswerGrammar,
    prefix_lengths_P_R: NDArray[np.int64],
    ended_K_C: NDArray[np.bool_],
) -> torch.Tensor:
    """Log-probabilities of all answers behind every reasoning prefix, shape P R K C; arguments as above."""
    device, length = logprobs_P_C_T.device, logprobs_P_C_T.shape[-1]
    begin_P_R = torch.as_tensor(prefix_lengths_P_R, device=device)
    begin = begin_P_R[:, :, None, None]
    closing = torch.tensor(grammar.closing, device=device).view(K, C) + begin
    ended = torch.as_tensor(ended_K_C, device=device)
    shape = prefix_lengths_P_R.shape
    folded = _folded(logprobs_P_C_T.view(*shape, -1, length), grammar, begin_P_R, ended_K_C)
    return answer_logprobs(folded.view(*shape, K, C, length), begin, closing, ended)


def greedy_answer(tokens_A_T: NDArray[np.int64], scores_A_T: NDArray[np.float64]) -> int:
    """Index of the answer that greedy decoding arrives at if it may not leave the answers.

    That is what the model says when asked greedily and what a run's predictions hold, as long as it keeps to the form;
    the likeliest answer as a whole can be another one.

    Args:
        tokens_A_T: the answers' tokens, padded with -1; none is the beginning of another.
        scores_A_T: log-probability of each token given those before it.

    >>> tokens = np.array([[1, 3], [1, 4], [2, 5]])
    >>> greedy_answer(tokens, np.log([[0.6, 0.5], [0.6, 0.5], [0.4, 1.0]]))
    0
    """
    left_A = np.ones(len(tokens_A_T), dtype=bool)
    best = 0
    for position in range(tokens_A_T.shape[1]):
        best = int(np.where(left_A, scores_A_T[:, position], -np.inf).argmax())
        left_A &= tokens_A_T[:, position] == tokens_A_T[best, position]
        if left_A.sum() == 1:
            break
    return int(left_A.argmax())
