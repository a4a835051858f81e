"""One training step up to its update: what is scored, and the objective on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import Batch, Engine, Objective, Sampling, Tokens, TokenScores
from candor.means import Means
from candor.prompts import templates
from candor.prompts.encoding import EncodedPrompt, common_prefix_length, encode_continuation
from candor.prompts.grammar import AnswerGrammar
from candor.prompts.probe import LABEL_PROBE, probe_site, split_before
from candor.recipe.recipe import Recipe
from candor.seeding import derive_seed
from candor.training.advantages import LabelSite, SampledObjective
from candor.training.answer_scores import draw_ended, open_answers
from candor.training.enumerated import EnumeratedObjective, answer_probs
from candor.training.expected_confidence import ExpectedConfidence, sampled_labels, written_as_asked
from candor.training.rewards import NO_LABEL
from candor.training.scoring import (
    ScoredRollouts,
    gold_indices,
    label_ends,
    padded_logprobs,
    rollout_means,
    score_rollouts,
    token_advantages,
)
from candor.types import Example, Rollout


@dataclass(frozen=True, slots=True)
class Prepared:
    """What every step needs, computed once. ``labelled`` examples come first; the labels of others are not used."""

    recipe: Recipe
    engine: Engine
    template: templates.Template
    grammar: AnswerGrammar
    examples: Sequence[Example]
    encoded: Sequence[EncodedPrompt]
    labelled: int
    seed: int


@dataclass(slots=True)
class StepBatch:
    """Some examples, the first of them ``labelled``, their prompts, and what a step found out about them."""

    examples_P: list[Example]
    prompts_P: list[Tokens]
    has_evidence_P: NDArray[np.bool_]
    labelled: int
    means: Means = field(default_factory=Means)
    rollouts_P_G: list[list[Rollout]] = field(default_factory=list)


def sampled_step(run: Prepared, batch: StepBatch, step: int) -> tuple[Batch, Objective]:
    """Sample completions, score them, and put their advantages on their tokens."""
    recipe, engine = run.recipe, run.engine
    sampling = Sampling(
        recipe.sampling.temperature, recipe.sampling.max_new_tokens, derive_seed(run.seed, "step", step)
    )
    batch.rollouts_P_G = engine.rollout(
        batch.prompts_P, recipe.sampling.group_size, sampling, LABEL_PROBE, for_update=True
    )
    scored = score_rollouts(
        batch.rollouts_P_G,
        batch.examples_P,
        batch.has_evidence_P,
        template=run.template,
        reward=recipe.reward,
        step=step,
    )
    advantages_P_G_T, constant_P = token_advantages(scored, batch.rollouts_P_G, recipe.objective, engine.tokenizer)
    batch.means.merge(rollout_means(scored, batch.rollouts_P_G, constant_P))
    completions = [[rollout.tokens for rollout in group] for group in batch.rollouts_P_G]
    confidence = expected_confidence(run, batch, scored, step) if recipe.objective.confidence == "enumerated" else None
    sites_P: list[list[LabelSite]] = [[] for _ in completions]
    if recipe.objective.log_gold:
        sites_P = [label_sites(engine.tokenizer, group) for group in completions]
    objective = SampledObjective(
        old_logprobs_P_G_T=padded_logprobs(batch.rollouts_P_G),
        reference_P_G_T=reference_logprobs(run, batch.prompts_P, completions, step),
        advantages_P_G_T=advantages_P_G_T,
        gold_P=torch.from_numpy(scored.gold_P),
        sites_P=sites_P,
        clip=recipe.objective.clip,
        log_gold=recipe.objective.log_gold,
        kl=recipe.objective.kl,
        confidence=confidence,
        confidence_weight=recipe.objective.confidence_weight,
    )
    continuations = [
        group + [choice for each in sites for choice in each.site.choices]
        for group, sites in zip(completions, sites_P, strict=True)
    ]
    if confidence is not None:
        continuations = [group + all_ for group, all_ in zip(continuations, confidence.continuations(), strict=True)]
    return Batch(batch.prompts_P, continuations, sampling.temperature), objective


def label_sites(tokenizer: Any, completions: Sequence[Tokens]) -> list[LabelSite]:
    """The different places where a group's completions emit their labels, in the order of their first."""
    sites = [probe_site(tokenizer, tokens, LABEL_PROBE.anchor, LABEL_PROBE.choices) for tokens in completions]
    return [LabelSite(site, count / len(sites)) for site, count in Counter(sites).items()]


def expected_confidence(run: Prepared, batch: StepBatch, scored: ScoredRollouts, step: int) -> ExpectedConfidence:
    """Every confidence behind every sampled label of the step that is written as in the grammar."""
    labels_P = []
    ends_P_G = label_ends(batch.rollouts_P_G, run.engine.tokenizer)
    for group, labels, ends, probs in zip(
        batch.rollouts_P_G, scored.label_P_G, ends_P_G, scored.probs_P_G_K, strict=True
    ):
        fitting = written_as_asked(run.engine.tokenizer, run.grammar, group, labels, ends)
        batch.means.add("confidence_left_out", ~fitting[labels != NO_LABEL])
        labels_P.append(sampled_labels(group, np.where(fitting, labels, NO_LABEL), ends, probs))
    return ExpectedConfidence.of(
        labels_P,
        run.grammar,
        draw_ended(run.recipe.objective.ends, np.random.default_rng(derive_seed(run.seed, "ends", step))),
        reward=run.recipe.reward,
        gold_P=scored.gold_P,
        has_evidence_P=batch.has_evidence_P,
        entropy=run.recipe.objective.confidence_entropy,
        step=step,
    )


def enumerated_step(run: Prepared, batch: StepBatch, step: int) -> tuple[Batch, Objective]:
    """Take every answer behind every prompt, after sampled reasoning where the recipe asks for some."""
    recipe = run.recipe
    prefixes_P_R: list[list[Tokens]] = [[()] for _ in batch.prompts_P]
    if recipe.sampling.reasoning_tokens:
        seed = derive_seed(run.seed, "step", step)
        sampling = Sampling(recipe.sampling.temperature, recipe.sampling.reasoning_tokens, seed)
        batch.rollouts_P_G = run.engine.rollout(
            batch.prompts_P, recipe.sampling.group_size, sampling, LABEL_PROBE, for_update=True
        )
        prefixes_P_R = [[reasoning_of(run.engine, rollout) for rollout in group] for group in batch.rollouts_P_G]
    ended_K_C = draw_ended(recipe.objective.ends, np.random.default_rng(derive_seed(run.seed, "ends", step)))
    grammar_answers = open_answers(run.grammar.answers, ended_K_C)
    answers = [
        grammar_answers if group == [()] else [prefix + answer for prefix in group for answer in grammar_answers]
        for group in prefixes_P_R
    ]
    reference = reference_logprobs(run, batch.prompts_P, answers, step)
    prefix_lengths_P_R = np.array([[len(prefix) for prefix in group] for group in prefixes_P_R])
    sampled_lengths_P_R = None
    if batch.rollouts_P_G:
        sampled_lengths_P_R = np.array(
            [
                [common_prefix_length([prefix, rollout.tokens]) for prefix, rollout in zip(*both, strict=True)]
                for both in zip(prefixes_P_R, batch.rollouts_P_G, strict=True)
            ]
        )
    if reference is not None:
        scores = TokenScores(reference, reference, torch.ones_like(reference, dtype=torch.bool))
        reference = answer_probs(scores, run.grammar, prefix_lengths_P_R, ended_K_C).raw_log_answers_P_R_K_C
    objective = EnumeratedObjective(
        config=recipe.objective,
        reward=recipe.reward,
        grammar=run.grammar,
        gold_P=gold_indices(batch.examples_P[: batch.labelled]),
        has_evidence_P=batch.has_evidence_P,
        prefix_lengths_P_R=prefix_lengths_P_R,
        ended_K_C=ended_K_C,
        reference_P_R_K_C=None if reference is None else reference.numpy(),
        step=step,
        sampled_lengths_P_R=sampled_lengths_P_R,
    )
    return Batch(batch.prompts_P, answers, recipe.sampling.temperature), objective


def reasoning_of(engine: Engine, rollout: Rollout) -> Tokens:
    """A completion's own tokens before its label; all but the end token if it never comes to one.

    A space that shares a token with the label is encoded on its own, so that the verdict behind it reads as it was.
    """
    position = rollout.text.rfind(LABEL_PROBE.anchor)
    if position < 0:
        return rollout.tokens[:-1] if rollout.stopped else rollout.tokens
    kept, lead = split_before(engine.tokenizer, rollout.tokens, position)
    return (*kept, *encode_continuation(engine.tokenizer, lead))


def reference_logprobs(
    run: Prepared, prompts_P: Sequence[Tokens], continuations: Sequence[Sequence[Tokens]], step: int
) -> torch.Tensor | None:
    """The base model's log-probabilities, padded with 0, where the step needs or measures the KL; else ``None``."""
    every = run.recipe.train.kl_every
    if not run.recipe.objective.kl and not (every and step % every == 0):
        return None
    scored = run.engine.logprobs(prompts_P, continuations, reference=True)
    padded = torch.zeros(len(scored), max(map(len, scored)), max(len(row) for group in scored for row in group))
    padded = padded.double()
    for p, group in enumerate(scored):
        for c, row in enumerate(group):
            padded[p, c, : len(row)] = torch.from_numpy(row)
    return padded
