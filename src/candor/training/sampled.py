"""One step on sampled completions: rollouts, their rewards, their advantages, and the policy gradient on them.

What departs from the published formulation of GRPO (arXiv 2402.03300), all of it a recipe's choice: the division by the
group's standard deviation can be left out; label and confidence tokens can earn separate advantages, the latter in
expectation; log p(gold) can be added as a differentiable term. The loss of a completion is the sum over its tokens,
not their mean: a verdict is one decision, and a mean would make its weight depend on how many tokens spell it. Every
batch of completions is updated on once, by the weights that sampled it. So the importance ratio is 1, and there is
nothing to clip: what a sampler's rounding makes of the ratio, in bfloat16 a good deal, must not weigh or cut anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from candor.engines.answer_scores import draw_ended
from candor.engines.base import Batch, ObjectiveResult, Sampling, Tokens, TokenScores
from candor.engines.ragged import padded
from candor.means import Means
from candor.prompts.probe import LABEL_PROBE, ProbeSite, probe_site
from candor.recipe.objective import SampledConfig, SampledExpected
from candor.seeding import derive_seed
from candor.training.batches import Prepared, PromptBatch, Step
from candor.training.expected_confidence import ExpectedConfidence, sampled_labels, written_as_asked
from candor.training.reference import reference_logprobs
from candor.training.scoring import ScoredRollouts, label_ends, rollout_means, score_rollouts, token_advantages
from candor.training.sections import Sections, lay_out
from candor.types import LABELS, NO_LABEL, Rollout


def sampled_step(run: Prepared, config: SampledConfig, batch: PromptBatch, step: int) -> Step:
    """Sample completions, reward them, and weigh their tokens by what they earned more than the others of their group.

    Args:
        run: what every step needs.
        config: the recipe's objective.
        batch: the step's prompts, all labelled.
        step: counted from 0.
    """
    recipe, engine = run.recipe, run.engine
    sampling = Sampling(
        recipe.sampling.temperature, recipe.sampling.max_new_tokens, derive_seed(run.seed, "step", step)
    )
    rollouts_P_G = engine.rollout(batch.prompts_P, recipe.sampling.group_size, sampling, LABEL_PROBE)
    scored = score_rollouts(
        rollouts_P_G, batch.gold_P, batch.has_evidence_P, template=run.template, reward=recipe.reward, step=step
    )
    advantages_P_G_T, constant_P = token_advantages(scored, rollouts_P_G, config, engine.tokenizer)
    means = rollout_means(scored, rollouts_P_G, constant_P)

    completions_P_G = [[rollout.tokens for rollout in group] for group in rollouts_P_G]
    sites_P: list[list[LabelSite]] = [[] for _ in completions_P_G]
    if config.log_gold:
        sites_P = [label_sites(engine.tokenizer, group) for group in completions_P_G]
    confidence, weight = None, 0.0
    if isinstance(config, SampledExpected):
        confidence, left_out = expected_confidence(run, config, batch, scored, rollouts_P_G, step)
        weight = config.confidence_weight
        means.merge(left_out)
    rollout_logprobs_P_G_T = padded([[rollout.logprobs for rollout in group] for group in rollouts_P_G])
    sections, continuations_P_C = lay_out(
        completions=completions_P_G,
        label_choices=[[choice for each in sites for choice in each.site.choices] for sites in sites_P],
        confidences=[[] for _ in sites_P] if confidence is None else confidence.continuations(),
    )
    objective = SampledObjective(
        sections=sections,
        rollout_logprobs_P_G_T=torch.from_numpy(rollout_logprobs_P_G_T),
        reference_P_G_T=reference_logprobs(run, config, batch.prompts_P, completions_P_G, step),
        advantages_P_G_T=advantages_P_G_T,
        gold_P=torch.from_numpy(batch.gold_P),
        sites_P=sites_P,
        log_gold=config.log_gold,
        kl=config.kl,
        confidence=confidence,
        confidence_weight=weight,
    )
    return Step(Batch(batch.prompts_P, continuations_P_C, sampling.temperature), objective, rollouts_P_G, means)


@dataclass(frozen=True, slots=True)
class LabelSite:
    """Where some completions of a group emit their label.

    Attributes:
        site: the completions up to there, followed by each label.
        share: of the group's completions that emit it there, above 0 and at most 1.
    """

    site: ProbeSite
    share: float


def label_sites(tokenizer: Any, completions: Sequence[Tokens]) -> list[LabelSite]:
    """The different places where a group's completions emit their labels, in the order of their first."""
    sites = [probe_site(tokenizer, tokens, LABEL_PROBE.anchor, LABEL_PROBE.choices) for tokens in completions]
    return [LabelSite(site, count / len(sites)) for site, count in Counter(sites).items()]


def expected_confidence(
    run: Prepared,
    config: SampledExpected,
    batch: PromptBatch,
    scored: ScoredRollouts,
    rollouts_P_G: Sequence[Sequence[Rollout]],
    step: int,
) -> tuple[ExpectedConfidence, Means]:
    """Every confidence behind every sampled label that is written as in the grammar, and how many are not."""
    left_out = Means()
    labels_P = []
    ends_P_G = label_ends(rollouts_P_G, run.engine.tokenizer)
    for group, labels, ends, probs in zip(rollouts_P_G, scored.label_P_G, ends_P_G, scored.probs_P_G_K, strict=True):
        fitting = written_as_asked(run.engine.tokenizer, run.grammar, group, labels, ends)
        left_out.add("confidence_left_out", ~fitting[labels != NO_LABEL])
        labels_P.append(sampled_labels(group, np.where(fitting, labels, NO_LABEL), ends, probs))
    expected = ExpectedConfidence.of(
        labels_P,
        run.grammar,
        draw_ended(config.ends, np.random.default_rng(derive_seed(run.seed, "ends", step))),
        reward=run.recipe.reward,
        gold_P=batch.gold_P,
        has_evidence_P=batch.has_evidence_P,
        entropy=config.confidence_entropy,
        step=step,
    )
    return expected, left_out


@dataclass(frozen=True, slots=True)
class SampledObjective:
    """Policy gradient on sampled completions, with optional differentiable terms.

    Attributes:
        sections: the batch's continuations: ``completions``, G for each prompt; ``label_choices``, the three of each of
            its ``sites_P`` (``LABEL=PASS`` and so on); ``confidences``, those of ``confidence`` if there is one.
        rollout_logprobs_P_G_T: log-probabilities as the sampler had them, padded with 0; for the log alone.
        reference_P_G_T: raw log-probabilities under the base model, padded with 0, or ``None``.
        advantages_P_G_T: advantage of each token.
        gold_P: gold label indices.
        sites_P: where each prompt's completions emit their labels; none where ``log_gold`` is 0.
        log_gold: weight of log p(gold), a mean over the completions.
        kl: weight of the KL to the base model (k3 estimator, http://joschu.net/blog/kl-approx.html).
        confidence: the confidence part in expectation, or ``None`` where it is in the advantages.
        confidence_weight: weight of ``confidence``.
    """

    sections: Sections
    rollout_logprobs_P_G_T: torch.Tensor
    reference_P_G_T: torch.Tensor | None
    advantages_P_G_T: torch.Tensor
    gold_P: torch.Tensor
    sites_P: Sequence[Sequence[LabelSite]]
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
        logprobs, raw, mask = (
            self.sections.rows("completions", values, part)[..., :length]
            for values in (scores.logprobs_P_C_T, scores.raw_logprobs_P_C_T, scores.mask_P_C_T)
        )
        advantages = self.advantages_P_G_T[part, :, :length].to(logprobs)
        # The ratio to the policy that sampled is 1, and its gradient that of the log-probability.
        ratio = (logprobs - logprobs.detach()).exp()
        loss = -(ratio * advantages * mask).sum() / (prompts * group_size)
        means = Means()
        if self.reference_P_G_T is not None:
            difference = self.reference_P_G_T[part, :, :length].to(raw) - raw
            kl_P_G = ((difference.exp() - 1.0 - difference) * mask).sum(-1)
            means.add("kl", kl_P_G.detach().cpu())
            if self.kl:
                loss = loss + self.kl * kl_P_G.sum() / (prompts * group_size)
        if self.log_gold:
            choices = self.sections.rows("label_choices", scores.raw_logprobs_P_C_T, part)
            loss = loss - self.log_gold * self._log_gold(choices, part) / prompts
        if self.confidence is not None:
            confidences = self.sections.rows("confidences", scores.logprobs_P_C_T, part)
            confidence_loss, entropy_P = self.confidence.loss(confidences, part)
            loss = loss + self.confidence_weight * confidence_loss
            means.add("entropy_confidence", entropy_P.cpu())
        sampled = self.rollout_logprobs_P_G_T[part, :, :length].to(logprobs)
        means.add("sampler_gap", (logprobs.detach() - sampled)[mask].abs().cpu())
        means.add("entropy", -raw.detach().sum(-1).cpu())
        return ObjectiveResult(loss, means)

    def _log_gold(self, choices_P_R_T: torch.Tensor, part: slice) -> torch.Tensor:
        """Sum over the prompts ``part`` of log p(gold), a mean over the places where a label is emitted."""
        sites_P = self.sites_P[part]
        most, length = max(map(len, sites_P)), choices_P_R_T.shape[-1]
        # A prompt with fewer places than another has zeros in their rows, which count with a share of 0.
        start_P_S = np.zeros((len(sites_P), most), dtype=np.int64)
        share_P_S = np.zeros((len(sites_P), most))
        for p, sites in enumerate(sites_P):
            start_P_S[p, : len(sites)] = [each.site.start for each in sites]
            share_P_S[p, : len(sites)] = [each.share for each in sites]
        start, share = (torch.from_numpy(values).to(choices_P_R_T.device) for values in (start_P_S, share_P_S))
        rows = choices_P_R_T.reshape(len(sites_P), most, len(LABELS), length)
        probed = torch.arange(length, device=start.device) >= start[..., None, None]
        labels = torch.where(probed, rows, torch.zeros_like(rows)).sum(-1).log_softmax(-1)
        gold = self.gold_P[part].to(labels.device)[:, None, None].expand(-1, most, -1)
        return (share.to(labels) * labels.gather(2, gold)[..., 0]).sum()
