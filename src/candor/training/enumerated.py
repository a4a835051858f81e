"""One step on every answer of the grammar: their exact probabilities, rewards, what each part earns, and the loss.

The 3 x 101 answers share almost all of their tokens, so one forward pass over their prefix tree gives the probability
of each. A policy gradient then needs no rollouts, and has no sampling noise: the advantage of an answer is its reward
less the expected one, weighed by its probability. What has no place in the grammar counts as an invalid answer. Where
a model reasons before it answers, the reasoning is sampled and the verdict behind it enumerated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.answer_scores import K, answer_probs, draw_ended, grammar_logprobs, scored_answers
from candor.engines.base import Batch, ObjectiveResult, Sampling, Tokens, TokenScores
from candor.means import Means
from candor.prompts.answers import CONFIDENCES
from candor.prompts.chat import NO_FRAME, Frame, frame_of
from candor.prompts.encoding import common_prefix_length, encode_continuation
from candor.prompts.grammar import AnswerGrammar
from candor.prompts.probe import LABEL_PROBE, split_before
from candor.recipe.objective import EnumeratedConfig, EnumeratedSplit, EnumeratedWhole
from candor.recipe.reward import RewardConfig
from candor.seeding import derive_seed
from candor.training.advantages import ZERO_SPREAD, group_advantages
from candor.training.batches import NO_GOLD, Prepared, PromptBatch, Step
from candor.training.collapse import add_expected_confidences
from candor.training.reference import reference_logprobs
from candor.training.rewards import Rewards, add_reward_means, score
from candor.types import LABELS, NO_LABEL, Rollout


def enumerated_step(run: Prepared, config: EnumeratedConfig, batch: PromptBatch, step: int) -> Step:
    """Take every answer behind every prompt, after sampled reasoning where the recipe asks for some.

    Args:
        run: what every step needs.
        config: the recipe's objective.
        batch: the step's prompts.
        step: counted from 0.
    """
    recipe = run.recipe
    rollouts_P_R: list[list[Rollout]] = []
    prefixes_P_R: list[list[Tokens]] = [[()] for _ in batch.prompts_P]
    sampled_lengths_P_R = None
    if recipe.sampling.reasoning_tokens:
        seed = derive_seed(run.seed, "step", step)
        sampling = Sampling(recipe.sampling.temperature, recipe.sampling.reasoning_tokens, seed)
        rollouts_P_R = run.engine.rollout(batch.prompts_P, recipe.sampling.group_size, sampling, LABEL_PROBE)
        frame = frame_of(run.template.chat, run.engine.tokenizer)
        prefixes_P_R = [
            [reasoning_of(run.engine.tokenizer, rollout, frame) for rollout in group] for group in rollouts_P_R
        ]
        sampled_lengths_P_R = np.array(
            [
                [common_prefix_length([prefix, rollout.tokens]) for prefix, rollout in zip(*both, strict=True)]
                for both in zip(prefixes_P_R, rollouts_P_R, strict=True)
            ]
        )
    ended_K_C = draw_ended(config.ends, np.random.default_rng(derive_seed(run.seed, "ends", step)))
    grammar_answers = scored_answers(run.grammar, ended_K_C)
    answers = [
        grammar_answers if group == [()] else [prefix + answer for prefix in group for answer in grammar_answers]
        for group in prefixes_P_R
    ]
    prefix_lengths_P_R = np.array([[len(prefix) for prefix in group] for group in prefixes_P_R])
    reference = reference_logprobs(run, config, batch.prompts_P, answers, step)
    if reference is not None:
        reference = grammar_logprobs(reference, run.grammar, prefix_lengths_P_R, ended_K_C)
    objective = EnumeratedObjective(
        config=config,
        reward=recipe.reward,
        grammar=run.grammar,
        gold_P=batch.gold_P,
        has_evidence_P=batch.has_evidence_P,
        prefix_lengths_P_R=prefix_lengths_P_R,
        ended_K_C=ended_K_C,
        reference_P_R_K_C=None if reference is None else reference.numpy(),
        step=step,
        sampled_lengths_P_R=sampled_lengths_P_R,
    )
    return Step(Batch(batch.prompts_P, answers, recipe.sampling.temperature), objective, rollouts_P_R, Means())


def reasoning_of(tokenizer: Any, rollout: Rollout, frame: Frame = NO_FRAME) -> Tokens:
    """A completion's own tokens before its label; all but the end token if it never comes to one.

    A space that shares a token with the label is encoded on its own, so that the verdict behind it reads as it was. A
    thought that is not over there is closed, since a verdict within it would be none.
    """
    position = rollout.text.rfind(LABEL_PROBE.anchor)
    if position < 0:
        reasoning = rollout.tokens[:-1] if rollout.stopped else rollout.tokens
    else:
        kept, lead = split_before(tokenizer, rollout.tokens, position)
        reasoning = (*kept, *encode_continuation(tokenizer, lead))
    if not frame.thinks:
        return reasoning
    thought_end = frame.thought_end(str(tokenizer.decode(list(reasoning), skip_special_tokens=False)))
    return (*reasoning, *tokenizer(thought_end, add_special_tokens=False)["input_ids"]) if thought_end else reasoning


@dataclass(frozen=True, slots=True)
class GivenLabel:
    """The policy's answers by label, of what is in the form.

    Attributes:
        label: share of each label, shape P R K.
        confidence: probability of each confidence given its label, shape P R K C.
        entropy_K: entropy of that, shape P R K.
    """

    label: torch.Tensor
    confidence: torch.Tensor
    entropy_K: torch.Tensor

    @classmethod
    def of(cls, log_answers: torch.Tensor, answers: torch.Tensor, mass: torch.Tensor) -> GivenLabel:
        """From the (log-)probabilities of all answers, shape P R K C, and their sum."""
        log_confidence = log_answers.log_softmax(-1)
        confidence = log_confidence.exp()
        entropy_K = -(confidence * log_confidence).sum(-1)
        return cls(answers.sum(-1) / mass[..., None], confidence, entropy_K)


def _confidence_share(config: EnumeratedSplit, label_P_R_K: torch.Tensor) -> torch.Tensor:
    """How much the confidence behind each label counts."""
    match config.confidence_labels:
        case "emitted":
            return label_P_R_K
        case "likeliest":
            return torch.nn.functional.one_hot(label_P_R_K.argmax(-1), K).to(label_P_R_K)
        case "all":
            return torch.full_like(label_P_R_K, 1 / K)
        case _:
            assert_never(config.confidence_labels)


@dataclass(frozen=True, slots=True)
class EnumeratedObjective:
    """Expected reward over all answers; see ``docs/objective.md`` for the formulas.

    Attributes:
        config: terms and weights.
        reward: the reward's terms.
        grammar: all answers.
        gold_P: gold label indices. For a prompt with :data:`NO_GOLD` the reward's alignment, the form, the entropy and
            the KL count, and nothing that needs a label.
        has_evidence_P: whether the prompt shows evidence.
        prefix_lengths_P_R: tokens of each reasoning prefix.
        ended_K_C: answers whose end is scored.
        reference_P_R_K_C: the base model's raw log-probabilities of all answers, or ``None``.
        step: training step, for the reward's warm-up.
        sampled_lengths_P_R: tokens of each prefix, from its first, that stand in it as they were sampled and so earn
            what the verdict behind them can expect; ``None`` for all of them.
    """

    config: EnumeratedConfig
    reward: RewardConfig
    grammar: AnswerGrammar
    gold_P: NDArray[np.int64]
    has_evidence_P: NDArray[np.bool_]
    prefix_lengths_P_R: NDArray[np.int64]
    ended_K_C: NDArray[np.bool_]
    reference_P_R_K_C: NDArray[np.float64] | None
    step: int
    sampled_lengths_P_R: NDArray[np.int64] | None = None

    def __call__(self, scores: TokenScores, part: slice) -> ObjectiveResult:
        """Loss of the prompts ``part``: a mean over the batch's labelled prompts and their reasoning prefixes.

        Unlabelled prompts add up to it with the same weight each.
        """
        labelled_P = self.gold_P[part] != NO_GOLD
        gold_P = np.where(labelled_P, self.gold_P[part], 0)  # what depends on it must not count where there is none
        probs = answer_probs(scores, self.grammar, self.prefix_lengths_P_R[part], self.ended_K_C)
        log_answers = probs.log_answers_P_R_K_C.double()
        answers = log_answers.exp()
        mass = answers.sum((2, 3))
        invalid = (1.0 - mass).clamp(min=0.0)
        log_probe = probs.log_labels_P_R_K.double().log_softmax(-1)

        rewards, invalid_rewards = self._rewards(log_probe.detach().exp().cpu().numpy(), gold_P, part)

        def tensor(values: NDArray[np.float64]) -> torch.Tensor:
            return torch.as_tensor(values, dtype=log_answers.dtype, device=log_answers.device)

        labelled = tensor(labelled_P[:, None].astype(np.float64))
        total, invalid_total = tensor(rewards.total), tensor(invalid_rewards.total)

        # What answers earn beyond the expected reward, weighed by their probability, is the gradient of that reward.
        expected = (answers * total).sum((2, 3)) + invalid * invalid_total
        spread = (answers * (total - expected[..., None, None]) ** 2).sum((2, 3)) + invalid * (
            invalid_total - expected
        ) ** 2
        given = GivenLabel.of(log_answers, answers, mass)
        if isinstance(self.config, EnumeratedWhole):
            loss = -expected / self._scale(spread)
        else:
            confidence_rewards = np.where(
                labelled_P[:, None, None, None], rewards.confidence_part, rewards.terms["alignment"]
            )
            loss = self._split_loss(
                self.config, given, invalid, tensor(rewards.label_part[..., 0]), tensor(confidence_rewards), labelled
            )
        if self.config.log_gold:
            gold = torch.as_tensor(gold_P, device=log_answers.device)[:, None, None].expand(-1, loss.shape[1], -1)
            loss = loss - self.config.log_gold * (log_probe.gather(2, gold)[..., 0] * labelled)
        if self.config.log_valid:
            loss = loss - self.config.log_valid * mass.clamp(min=torch.finfo(mass.dtype).tiny).log()
        kl = self._kl(probs.raw_log_answers_P_R_K_C.double(), part)
        if kl is not None and self.config.kl:
            loss = loss + self.config.kl * kl
        constant_P = None
        if self.prefix_lengths_P_R.shape[1] > 1:
            reasoning_loss, constant_P = self._reasoning_loss(probs.log_reasoning_P_R_T, expected, part)
            loss = loss + reasoning_loss

        known = torch.from_numpy(labelled_P)
        means = self._means(answers.detach(), invalid.detach(), rewards, invalid_rewards, gold_P, labelled_P)
        without_variance = (
            spread.detach().cpu() < ZERO_SPREAD**2 if constant_P is None else torch.from_numpy(constant_P)
        )
        means.add("zero_variance", without_variance[known].double())
        means.add("entropy", -(answers * log_answers).sum((2, 3)).detach().cpu()[known])
        means.add("entropy_confidence", (given.label * given.entropy_K).sum(-1).detach().cpu()[known])
        alignment = (answers.detach() * tensor(rewards.terms["alignment"])).sum((2, 3)) / mass.detach()
        means.add("reward_alignment_unlabelled", alignment.cpu()[~known])
        if kl is not None:
            means.add("kl", kl.detach().cpu()[known])
        labels_in_batch = int((self.gold_P != NO_GOLD).sum())
        return ObjectiveResult(loss.sum() / (labels_in_batch * self.prefix_lengths_P_R.shape[1]), means)

    def _split_loss(
        self,
        config: EnumeratedSplit,
        given: GivenLabel,
        invalid: torch.Tensor,
        label_reward: torch.Tensor,
        confidence_reward: torch.Tensor,
        labelled: torch.Tensor,
    ) -> torch.Tensor:
        """Labels earn what the label decides, confidences what they decide given their label; shape P R."""
        mean = (given.label * label_reward).sum(-1)
        label_spread = (given.label * (label_reward - mean[..., None]) ** 2).sum(-1)
        loss = -config.label_weight * labelled * mean / self._scale(label_spread) + self.reward.format * invalid
        weight = _confidence_share(config, given.label.detach())
        earned = (given.confidence * confidence_reward).sum(-1) + config.confidence_entropy * given.entropy_K
        return loss - config.confidence_weight * (weight * earned).sum(-1)

    def _scale(self, variance: torch.Tensor) -> torch.Tensor | float:
        return variance.detach().sqrt() + 1e-4 if self.config.divide_by_std else 1.0

    def _rewards(
        self, probe_P_R_K: NDArray[np.float64], gold_P: NDArray[np.int64], part: slice
    ) -> tuple[Rewards, Rewards]:
        """Rewards of all answers, shape P R K C, and of an invalid one, shape P R."""
        gold, evidence = gold_P[:, None], self.has_evidence_P[part, None]
        answers = score(
            self.reward,
            label=np.arange(K)[:, None],
            confidence=np.array(CONFIDENCES),
            clean=True,
            gold=gold[..., None, None],
            has_evidence=evidence[..., None, None],
            probs=probe_P_R_K[:, :, None, None],
            step=self.step,
        )
        invalid = score(
            self.reward,
            label=NO_LABEL,
            confidence=np.nan,
            clean=False,
            gold=gold,
            has_evidence=evidence,
            probs=probe_P_R_K,
            step=self.step,
        )
        return answers, invalid

    def _kl(self, raw_log_answers: torch.Tensor, part: slice) -> torch.Tensor | None:
        """Exact KL(policy || base) over the answers and the rest, at temperature 1."""
        if self.reference_P_R_K_C is None:
            return None
        reference = torch.as_tensor(self.reference_P_R_K_C[part]).to(raw_log_answers)
        answers = raw_log_answers.exp()
        tiny = 1e-12  # the rest is a difference of numbers near 1, known to about that
        rest = (1.0 - answers.sum((2, 3))).clamp(min=tiny)
        reference_rest = (1.0 - reference.exp().sum((2, 3))).clamp(min=tiny)
        return (answers * (raw_log_answers - reference)).sum((2, 3)) + rest * (rest / reference_rest).log()

    def _reasoning_loss(
        self, log_reasoning_P_R_T: torch.Tensor, expected: torch.Tensor, part: slice
    ) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        """Policy gradient on the sampled reasoning, whose reward is what its verdict can expect; constant groups."""
        if self.sampled_lengths_P_R is not None:
            position_T = torch.arange(log_reasoning_P_R_T.shape[-1], device=log_reasoning_P_R_T.device)
            lengths = torch.as_tensor(self.sampled_lengths_P_R[part], device=position_T.device)
            log_reasoning_P_R_T = log_reasoning_P_R_T * (position_T < lengths[..., None])
        advantages = group_advantages(expected.detach().cpu().numpy(), divide_by_std=self.config.divide_by_std)
        advantages_P_R_T = torch.as_tensor(advantages.values_P_G).to(log_reasoning_P_R_T)[..., None]
        # The ratio to the policy that sampled is 1, since what is enumerated is exact for one update only.
        surrogate = (log_reasoning_P_R_T - log_reasoning_P_R_T.detach()).exp() * advantages_P_R_T
        return -surrogate.sum(-1), advantages.constant_P

    def _means(
        self,
        answers: torch.Tensor,
        invalid: torch.Tensor,
        rewards: Rewards,
        invalid_rewards: Rewards,
        gold_P: NDArray[np.int64],
        known: NDArray[np.bool_],
    ) -> Means:
        means = Means()
        answers_P_R_K_C, invalid_P_R = answers.cpu().numpy()[known], invalid.cpu().numpy()[known]
        gold_P_R = np.broadcast_to(gold_P[known, None], invalid_P_R.shape)
        terms = {
            name: (answers_P_R_K_C * values[known]).sum((2, 3)) + invalid_P_R * invalid_rewards.terms[name][known]
            for name, values in rewards.terms.items()
        }
        labels_P_R_K = answers_P_R_K_C.sum(-1)
        correct_P_R = np.take_along_axis(labels_P_R_K, gold_P_R[..., None], axis=-1)[..., 0]
        add_reward_means(means, terms, correct_P_R, gold_P_R)
        means.add("invalid", invalid_P_R)
        stated = answers_P_R_K_C.sum(2)
        means.add("confidence", np.broadcast_to(CONFIDENCES, stated.shape), stated)
        means.add("confidence_squared", np.broadcast_to(np.square(CONFIDENCES), stated.shape), stated)
        mass_P_R = stated.sum(-1)
        expected = zip(stated @ np.array(CONFIDENCES), mass_P_R, strict=True)
        add_expected_confidences(means, (sums[mass > 0] / mass[mass > 0] for sums, mass in expected))
        for k, name in enumerate(LABELS):
            means.add(f"share_{name.value}", labels_P_R_K[..., k])
        return means
