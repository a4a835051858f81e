"""GRPO as pure tensor functions: advantages within a group, and the clipped objective on sampled tokens.

What departs from the published formulation (arXiv 2402.03300), all of it a recipe's choice: the division by the
group's standard deviation can be left out; label and confidence tokens can earn separate advantages, the latter in
expectation; log p(gold) can be added as a differentiable term. The loss of a completion is the sum over its tokens,
not their mean: a verdict is one decision, and a mean would make its weight depend on how many tokens spell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import ObjectiveResult, TokenScores
from candor.means import Means
from candor.prompts.probe import ProbeSite
from candor.training.expected_confidence import ExpectedConfidence
from candor.types import LABELS

ZERO_SPREAD = 1e-6
"""A group whose rewards differ by less has nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Advantages:
    """Advantages of the completions of P groups.

    Attributes:
        values_P_G: advantage of each completion; 0 where it could not be scored.
        constant_P: groups with fewer than two scorable completions or without spread; all their advantages are 0.
        unscorable: number of completions without a reward.
    """

    values_P_G: NDArray[np.float64]
    constant_P: NDArray[np.bool_]
    unscorable: int


def group_advantages(rewards_P_G: NDArray[np.float64], *, divide_by_std: bool, eps: float = 1e-4) -> Advantages:
    """Reward minus the group's mean, divided by the group's standard deviation or not.

    NaN marks a completion that cannot be scored: it has no part in its group's mean and gets no advantage. A group of
    one, or with equal rewards, has no advantages. The standard deviation divides by the number of completions.

    >>> group_advantages(np.array([[1.0, 3.0], [2.0, 2.0]]), divide_by_std=False).values_P_G.tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    scored = ~np.isnan(rewards_P_G)
    counts = np.maximum(scored.sum(1, keepdims=True), 1)
    filled = np.where(scored, rewards_P_G, 0.0)
    centred = np.where(scored, rewards_P_G - filled.sum(1, keepdims=True) / counts, 0.0)
    std = np.sqrt((centred**2).sum(1, keepdims=True) / counts)
    constant = (std[:, 0] < ZERO_SPREAD) | (scored.sum(1) < 2)
    values = np.where(constant[:, None], 0.0, centred / (std + eps) if divide_by_std else centred)
    return Advantages(values, constant, int((~scored).sum()))


def label_advantages(rewards_P_G: NDArray[np.float64], labels_P_G: NDArray[np.int64]) -> NDArray[np.float64]:
    """Reward minus the mean over the group's completions with the same label: what the confidence alone decides.

    >>> label_advantages(np.array([[1.0, 3.0, 9.0]]), np.array([[0, 0, 1]])).tolist()
    [[-1.0, 1.0, 0.0]]
    """
    same = (labels_P_G[:, :, None] == labels_P_G[:, None, :]) & ~np.isnan(rewards_P_G)[:, None, :]
    filled = np.nan_to_num(rewards_P_G, nan=0.0)
    baseline = (same * filled[:, None, :]).sum(2) / np.maximum(same.sum(2), 1)
    advantages: NDArray[np.float64] = np.nan_to_num(rewards_P_G - baseline, nan=0.0)
    return advantages


def clipped_surrogate(
    logprobs: torch.Tensor, old_logprobs: torch.Tensor, advantages: torch.Tensor, *, clip: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's clipped objective per token (arXiv 1707.06347, equation 7), to be maximised.

    Returns:
        ``min(ratio * A, clamp(ratio, 1 - clip, 1 + clip) * A)`` and the ratio, of the arguments' shape.
    """
    ratio = (logprobs - old_logprobs).exp()
    surrogate = torch.minimum(ratio * advantages, ratio.clamp(1.0 - clip, 1.0 + clip) * advantages)
    return surrogate, ratio


@dataclass(frozen=True, slots=True)
class LabelSite:
    """Where some completions of a group emit their label.

    Attributes:
        site: the completions up to there, followed by each label.
        share: of the group's completions that emit it there, above 0 and at most 1.
    """

    site: ProbeSite
    share: float


@dataclass(frozen=True, slots=True)
class SampledObjective:
    """Clipped objective on sampled completions, with optional differentiable terms.

    The batch's continuations are, for each prompt, its G completions, behind them the three of each of its
    ``sites_P`` (``LABEL=PASS`` and so on), and behind them those of ``confidence`` if there is one.

    Attributes:
        old_logprobs_P_G_T: log-probabilities under the sampling policy, padded with 0.
        reference_P_G_T: raw log-probabilities under the base model, padded with 0, or ``None``.
        advantages_P_G_T: advantage of each token.
        gold_P: gold label indices.
        sites_P: where each prompt's completions emit their labels; none where ``log_gold`` is 0.
        clip: clip range of the ratio.
        log_gold: weight of log p(gold), a mean over the completions.
        kl: weight of the KL to the base model (k3 estimator, http://joschu.net/blog/kl-approx.html).
        confidence: the confidence part in expectation, or ``None`` where it is in the advantages.
        confidence_weight: weight of ``confidence``.
    """

    old_logprobs_P_G_T: torch.Tensor
    reference_P_G_T: torch.Tensor | None
    advantages_P_G_T: torch.Tensor
    gold_P: torch.Tensor
    sites_P: Sequence[Sequence[LabelSite]]
    clip: float
    log_gold: float
    kl: float
    confidence: ExpectedConfidence | None = None
    confidence_weight: float = 0.0

    def __call__(self, scores: TokenScores, part: slice) -> ObjectiveResult:
        """Loss of the prompts ``part``: mean over all completions of the batch of the sum over their tokens."""
        prompts, group_size, longest = self.advantages_P_G_T.shape
        # Scores are padded to the longest continuation of their part, which may be shorter or longer than the batch's
        # longest completion.
        length = min(longest, scores.mask_P_C_T.shape[-1])
        logprobs = scores.logprobs_P_C_T[:, :group_size, :length]
        raw = scores.raw_logprobs_P_C_T[:, :group_size, :length]
        mask = scores.mask_P_C_T[:, :group_size, :length]
        advantages = self.advantages_P_G_T[part, :, :length].to(logprobs)
        old = self.old_logprobs_P_G_T[part, :, :length].to(logprobs)
        surrogate, ratio = clipped_surrogate(logprobs, old, advantages, clip=self.clip)
        loss = -(surrogate * mask).sum() / (prompts * group_size)
        means = Means()
        if self.reference_P_G_T is not None:
            difference = self.reference_P_G_T[part, :, :length].to(raw) - raw
            kl_P_G = ((difference.exp() - 1.0 - difference) * mask).sum(-1)
            means.add("kl", kl_P_G.detach().cpu())
            if self.kl:
                loss = loss + self.kl * kl_P_G.sum() / (prompts * group_size)
        sites_P = self.sites_P[part]
        if self.log_gold:
            labels = scores.raw_logprobs_P_C_T[:, group_size:]
            loss = loss - self.log_gold * self._log_gold(labels, sites_P, part) / prompts
        if self.confidence is not None:
            behind = [group_size + len(LABELS) * len(sites) for sites in sites_P]
            confidence_loss, entropy_P = self.confidence.loss(_rows_from(scores.logprobs_P_C_T, behind), part)
            loss = loss + self.confidence_weight * confidence_loss
            means.add("entropy_confidence", entropy_P.cpu())
        taken = ratio.detach()[mask].cpu()
        means.add("ratio_mean", taken)
        means.add("ratio_clipped", ((taken - 1.0).abs() > self.clip).double())
        means.add("entropy", -raw.detach().sum(-1).cpu())
        return ObjectiveResult(loss, means)

    def _log_gold(
        self, scores_P_R_T: torch.Tensor, sites_P: Sequence[Sequence[LabelSite]], part: slice
    ) -> torch.Tensor:
        """Sum over the prompts ``part`` of log p(gold), a mean over the places where a label is emitted."""
        most, length = max(map(len, sites_P)), scores_P_R_T.shape[-1]
        # A prompt with fewer places than another has other continuations in their rows, which count with a share of 0.
        start_P_S = np.zeros((len(sites_P), most), dtype=np.int64)
        share_P_S = np.zeros((len(sites_P), most))
        for p, sites in enumerate(sites_P):
            start_P_S[p, : len(sites)] = [each.site.start for each in sites]
            share_P_S[p, : len(sites)] = [each.share for each in sites]
        start, share = (torch.from_numpy(values).to(scores_P_R_T.device) for values in (start_P_S, share_P_S))
        rows = scores_P_R_T[:, : most * len(LABELS)].reshape(len(sites_P), most, len(LABELS), length)
        probed = torch.arange(length, device=start.device) >= start[..., None, None]
        labels = torch.where(probed, rows, torch.zeros_like(rows)).sum(-1).log_softmax(-1)
        gold = self.gold_P[part].to(labels.device)[:, None, None].expand(-1, most, -1)
        return (share.to(labels) * labels.gather(2, gold)[..., 0]).sum()


def _rows_from(values_P_C_T: torch.Tensor, first_P: Sequence[int]) -> torch.Tensor:
    """Every prompt's rows from its own first one on, filled up with zeros at the end."""
    fewest = min(first_P)
    if max(first_P) == fewest:
        return values_P_C_T[:, fewest:]
    kept = [values[first:] for values, first in zip(values_P_C_T, first_P, strict=True)]
    longest = max(map(len, kept))
    return torch.stack([torch.nn.functional.pad(rows, (0, 0, 0, longest - len(rows))) for rows in kept])
