"""One step on answers that are shown: cross-entropy on their tokens. They have the gold label, or are the model's own.

Nothing is rewarded. It teaches a model the answer's form and the labels where it has neither, which no training on
rewards can do from nothing, and it is what such a training is compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import Batch, ObjectiveResult, Sampling, TokenScores
from candor.errors import EngineError
from candor.means import Means
from candor.prompts.answers import CONFIDENCES, parse
from candor.prompts.grammar import AnswerGrammar
from candor.prompts.probe import LABEL_PROBE
from candor.prompts.templates import Template
from candor.recipe.objective import (
    SupervisedAgreement,
    SupervisedConfig,
    SupervisedConstant,
    SupervisedCrossFitted,
    SupervisedDrawn,
    SupervisedProbe,
)
from candor.seeding import derive_seed
from candor.training.batches import Key, Prepared, PromptBatch, Shown, Step, key_of
from candor.types import LABELS, Rollout


def supervised_step(run: Prepared, config: SupervisedConfig, batch: PromptBatch, step: int) -> Step:
    """Take the answers that each prompt is to be given, and their negative log-probability as the loss.

    Args:
        run: what every step needs.
        config: the recipe's objective.
        batch: the step's prompts, all labelled.
        step: counted from 0.

    Raises:
        EngineError: what an example is to be taught was not found out.
    """
    rollouts_P_G: list[list[Rollout]] = []
    if isinstance(config, SupervisedAgreement):
        sampling = Sampling(
            run.recipe.sampling.temperature, run.recipe.sampling.max_new_tokens, derive_seed(run.seed, "step", step)
        )
        rollouts_P_G = run.engine.rollout(batch.prompts_P, config.samples, sampling, LABEL_PROBE)
        shown_P = [agreeing_answers(run.template, group) for group in rollouts_P_G]
    else:
        answers_P = taught_answers(config, batch, run.taught, derive_seed(run.seed, "taught", step))
        shown_P = [[shown] for shown in answers_P]
    label_weight = None if isinstance(config, SupervisedAgreement | SupervisedProbe) else config.label_weight
    objective = SupervisedObjective.of(shown_P, run.grammar, label_weight=label_weight)
    answers_P_C = [[run.grammar.answers[each.answer] for each in shown] for shown in shown_P]
    return Step(Batch(batch.prompts_P, answers_P_C), objective, rollouts_P_G, Means())


def agreeing_answers(template: Template, group: Sequence[Rollout]) -> list[Shown]:
    """A model's own labels of one prompt, each with the share of its samples that agree, and counted as often.

    Args:
        template: tells how an answer is read.
        group: samples; those without a label agree with none, and are not shown. Where all are, one is that counts
            nothing.
    """
    labels = [parse(rollout.text, template).label for rollout in group]
    counts = Counter(LABELS.index(label) for label in labels if label is not None)
    shown = [Shown(k, round(100 * count / len(group)), count / len(group)) for k, count in sorted(counts.items())]
    return shown or [Shown(0, 0, 0.0)]


def taught_answers(
    config: SupervisedConstant | SupervisedDrawn | SupervisedCrossFitted | SupervisedProbe,
    batch: PromptBatch,
    taught: Mapping[Key, Shown],
    seed: int,
) -> list[Shown]:
    """The answer that each of P prompts is to be given.

    Args:
        config: the recipe's objective.
        batch: the step's prompts.
        taught: what was found out before training; read where the objective has that done.
        seed: of what is drawn.

    Raises:
        EngineError: for an example nothing was found out.
    """
    gold = batch.gold_P.tolist()
    match config:
        case SupervisedConstant():
            return [Shown(k, round(config.constant_confidence * 100)) for k in gold]
        case SupervisedDrawn():
            drawn_P = np.random.default_rng(seed).integers(len(CONFIDENCES), size=len(gold))
            return [Shown(k, hundredths) for k, hundredths in zip(gold, drawn_P.tolist(), strict=True)]
        case SupervisedCrossFitted() | SupervisedProbe():
            missing = [example.id for example in batch.examples_P if key_of(example) not in taught]
            if missing:
                raise EngineError(
                    f"no answer to teach was found out for {', '.join(missing[:5])}; do so for all examples"
                )
            return [taught[key_of(example)] for example in batch.examples_P]
        case _:
            assert_never(config)


@dataclass(frozen=True, slots=True)
class SupervisedObjective:
    """Cross-entropy on the answers shown behind each of the batch's P prompts, at temperature 1.

    Attributes:
        label_start_P_C: index of the first token of each answer that tells its label.
        label_end_P_C: index of the first token behind it.
        weight_P_C: how much each answer counts; 0 where a prompt has fewer than others.
        label_weight: how much the tokens that tell the label count, where all others count 1; ``None``: only those
            behind the label count.
    """

    label_start_P_C: NDArray[np.int64]
    label_end_P_C: NDArray[np.int64]
    weight_P_C: NDArray[np.float64]
    label_weight: float | None

    @classmethod
    def of(
        cls, shown_P: Sequence[Sequence[Shown]], grammar: AnswerGrammar, *, label_weight: float | None
    ) -> SupervisedObjective:
        """From the answers that are shown."""
        most = max(map(len, shown_P))
        start_P_C, end_P_C = (np.zeros((len(shown_P), most), dtype=np.int64) for _ in range(2))
        weight_P_C = np.zeros((len(shown_P), most))
        for p, shown in enumerate(shown_P):
            for c, each in enumerate(shown):
                start_P_C[p, c] = grammar.label_start[each.answer]
                end_P_C[p, c] = grammar.label_end[each.answer]
                weight_P_C[p, c] = each.weight
        return cls(start_P_C, end_P_C, weight_P_C, label_weight)

    def __call__(self, scores: TokenScores, part: slice) -> ObjectiveResult:
        """Loss of the prompts ``part``: the sum over an answer's tokens, as a mean over the batch's prompts."""
        logprobs_P_C_T = scores.raw_logprobs_P_C_T
        device, answers = logprobs_P_C_T.device, logprobs_P_C_T.shape[1]
        place_T = torch.arange(logprobs_P_C_T.shape[-1], device=device)
        start_P_C, end_P_C, weight_P_C = (
            torch.as_tensor(values[part, :answers], device=device)
            for values in (self.label_start_P_C, self.label_end_P_C, self.weight_P_C)
        )
        is_label_P_C_T = (place_T >= start_P_C[..., None]) & (place_T < end_P_C[..., None])
        is_behind_P_C_T = place_T >= end_P_C[..., None]
        label_P_C = (logprobs_P_C_T * is_label_P_C_T).sum(-1)
        answer_P_C = logprobs_P_C_T.sum(-1)
        if self.label_weight is None:
            learnt_P_C = (logprobs_P_C_T * is_behind_P_C_T).sum(-1)
        else:
            learnt_P_C = answer_P_C + (self.label_weight - 1.0) * label_P_C
        weight = weight_P_C.to(learnt_P_C)
        means = Means()
        counted = weight_P_C.cpu().numpy()
        means.add("loss_label", -label_P_C.detach().cpu(), counted)
        means.add("loss_form", (label_P_C - answer_P_C).detach().cpu(), counted)
        return ObjectiveResult(-(learnt_P_C * weight).sum() / len(self.weight_P_C), means)
