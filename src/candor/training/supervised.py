"""One step on answers that are shown: cross-entropy on the tokens of an answer with the gold label.

Nothing is sampled and nothing rewarded. It teaches a model the answer's form and the labels where it has neither, which
no training on rewards can do from nothing, and it is what such a training is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import Batch, ObjectiveResult, TokenScores
from candor.errors import EngineError
from candor.means import Means
from candor.prompts.answers import CONFIDENCES
from candor.recipe.objective import SupervisedConfig, SupervisedConstant, SupervisedCrossFitted, SupervisedDrawn
from candor.seeding import derive_seed
from candor.training.batches import Prepared, PromptBatch, Step
from candor.types import Example


def supervised_step(run: Prepared, config: SupervisedConfig, batch: PromptBatch, step: int) -> Step:
    """Take the answer that each prompt is to be given, and its negative log-probability as the loss.

    Args:
        run: what every step needs.
        config: the recipe's objective.
        batch: the step's prompts, all labelled.
        step: counted from 0.

    Raises:
        EngineError: an example has no cross-fitted probability.
    """
    confidence_P = taught_confidences(config, batch, run.cross_fitted, derive_seed(run.seed, "taught", step))
    shown_P = batch.gold_P * len(CONFIDENCES) + confidence_P
    objective = SupervisedObjective(
        label_start_P=np.array([run.grammar.label_start[shown] for shown in shown_P]),
        label_end_P=np.array([run.grammar.label_end[shown] for shown in shown_P]),
    )
    answers_P_1 = [[run.grammar.answers[shown]] for shown in shown_P]
    return Step(Batch(batch.prompts_P, answers_P_1), objective, [], Means())


def taught_confidences(
    config: SupervisedConfig, batch: PromptBatch, cross_fitted: Mapping[tuple[str, str], float], seed: int
) -> NDArray[np.int64]:
    """Hundredths of the confidence that the answer to each prompt states, shape P, each of 0 to 100.

    Args:
        config: the recipe's objective.
        batch: the step's prompts.
        cross_fitted: from an example's key to the probability of its label; read where they are taught.
        seed: of what is drawn.

    Raises:
        EngineError: an example has no cross-fitted probability.
    """
    count = len(batch.examples_P)
    match config:
        case SupervisedConstant():
            return np.full(count, round(config.constant_confidence * 100))
        case SupervisedDrawn():
            return np.random.default_rng(seed).integers(len(CONFIDENCES), size=count)
        case SupervisedCrossFitted():
            missing = [example.id for example in batch.examples_P if key_of(example) not in cross_fitted]
            if missing:
                raise EngineError(f"no cross-fitted probability of {', '.join(missing[:5])}; make those of all folds")
            return np.array([round(cross_fitted[key_of(example)] * 100) for example in batch.examples_P])
        case _:
            assert_never(config)


def key_of(example: Example) -> tuple[str, str]:
    """What tells an example from all others: its dataset and its id."""
    return example.dataset, example.id


@dataclass(frozen=True, slots=True)
class SupervisedObjective:
    """Cross-entropy on one answer behind each of the batch's P prompts, at temperature 1.

    Attributes:
        label_start_P: index of the first token of each answer that tells its label.
        label_end_P: index of the first token behind it.
    """

    label_start_P: NDArray[np.int64]
    label_end_P: NDArray[np.int64]

    def __call__(self, scores: TokenScores, part: slice) -> ObjectiveResult:
        """Loss of the prompts ``part``: the sum over an answer's tokens, as a mean over the batch's prompts."""
        logprobs_P_T = scores.raw_logprobs_P_C_T[:, 0]
        place_T = torch.arange(logprobs_P_T.shape[-1], device=logprobs_P_T.device)
        start_P, end_P = (
            torch.as_tensor(places[part], device=logprobs_P_T.device)[:, None]
            for places in (self.label_start_P, self.label_end_P)
        )
        is_label_P_T = (place_T >= start_P) & (place_T < end_P)
        label_P = (logprobs_P_T * is_label_P_T).sum(-1)
        answer_P = logprobs_P_T.sum(-1)
        means = Means()
        means.add("loss_label", -label_P.detach().cpu())
        means.add("loss_form", (label_P - answer_P).detach().cpu())
        return ObjectiveResult(-answer_P.sum() / len(self.label_start_P), means)
