"""Which examples a step is taken on, and what it hands to the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.engines.base import Batch, Engine, Objective, Tokens
from candor.errors import EngineError
from candor.means import Means
from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import EncodedPrompt, encode
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.recipe.recipe import Recipe
from candor.seeding import derive_seed
from candor.types import LABELS, Example, Rollout

NO_GOLD: Final = -1
"""In place of a gold label's index: the prompt is unlabelled."""

Key: TypeAlias = tuple[str, str]
"""What tells an example from all others: its dataset and its id."""


def key_of(example: Example) -> Key:
    """The key of an example."""
    return example.dataset, example.id


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer that a prompt is to be given.

    Attributes:
        label: index of its label.
        hundredths: its confidence, 0 to 100.
        weight: how much it counts.
    """

    label: int
    hundredths: int
    weight: float = 1.0

    @property
    def answer(self) -> int:
        """Index in the grammar."""
        return self.label * len(CONFIDENCES) + self.hundredths


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Examples with their prompts.

    Attributes:
        examples: N examples.
        encoded: their prompts.
    """

    examples: Sequence[Example]
    encoded: Sequence[EncodedPrompt]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.examples)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What every step needs, computed once. Of ``unlabelled`` prompts the labels are not looked at.

    ``taught`` holds the answer that each example is to be given, where that was found out before training.
    """

    recipe: Recipe
    engine: Engine
    template: templates.Template
    grammar: AnswerGrammar
    labelled: PromptSet
    unlabelled: PromptSet
    seed: int
    taught: Mapping[Key, Shown] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """The prompts of one step.

    Attributes:
        examples_P: what they were made from.
        prompts_P: their tokens.
        gold_P: gold label indices, :data:`NO_GOLD` where the prompt is unlabelled.
        has_evidence_P: whether each shows evidence (after cutting).
    """

    examples_P: Sequence[Example]
    prompts_P: Sequence[Tokens]
    gold_P: NDArray[np.int64]
    has_evidence_P: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step found out before its update.

    Attributes:
        batch: prompts and continuations to take the update on.
        objective: what to take it for.
        rollouts_P_G: what was sampled: completions, or reasoning before enumerated answers; empty where nothing was.
        means: figures to log.
    """

    batch: Batch
    objective: Objective
    rollouts_P_G: Sequence[Sequence[Rollout]]
    means: Means


def prepare(
    recipe: Recipe,
    engine: Engine,
    examples: Sequence[Example],
    seed: int,
    *,
    unlabelled: Sequence[Example] = (),
    taught: Mapping[Key, Shown] | None = None,
) -> Prepared:
    """Tokenise the training set once.

    Raises:
        EngineError: there is nothing to train on, or nothing to take unlabelled prompts from.
    """
    if not examples or bool(unlabelled) != bool(recipe.train.unlabelled):
        missing = "examples to train on" if not examples else "examples for train.unlabelled"
        raise EngineError(f"no {missing}; give counts under data.train")
    template = recipe.prompt.rendered()
    grammar = answer_grammar(template, engine.tokenizer, engine.stop_token_ids)
    room = engine.max_length - recipe.answer_room(grammar)

    def encoded(some: Sequence[Example]) -> PromptSet:
        return PromptSet(some, [encode(template, example, engine.tokenizer, max_tokens=room) for example in some])

    sets = encoded(examples), encoded(unlabelled)
    return Prepared(recipe, engine, template, grammar, *sets, seed, taught or {})


def draw_batch(run: Prepared, step: int) -> PromptBatch:
    """The step's examples: each set in a fresh order every time it has been gone through."""
    labelled = in_turn(step, run.recipe.train.prompts_per_step, len(run.labelled), run.seed)
    drawn = [(run.labelled.examples[i], run.labelled.encoded[i]) for i in labelled]
    gold = [LABELS.index(example.label) for example, _ in drawn]
    if run.recipe.train.unlabelled:
        size = run.recipe.train.unlabelled.prompts_per_step
        others = in_turn(step, size, len(run.unlabelled), derive_seed(run.seed, "unlabelled"))
        drawn += [(run.unlabelled.examples[i], run.unlabelled.encoded[i]) for i in others]
        gold += [NO_GOLD] * size
    return PromptBatch(
        examples_P=[example for example, _ in drawn],
        prompts_P=[prompt.tokens for _, prompt in drawn],
        gold_P=np.array(gold, dtype=np.int64),
        has_evidence_P=np.array([len(example.evidence) > prompt.evidence_dropped for example, prompt in drawn]),
    )


def in_turn(step: int, size: int, count: int, seed: int) -> list[int]:
    """The ``size`` of ``count`` examples whose turn it is in a step."""
    indices = []
    for position in range(step * size, (step + 1) * size):
        epoch, place = divmod(position, count)
        indices.append(epoch_order(seed, epoch, count)[place])
    return indices


def epoch_order(seed: int, epoch: int, count: int) -> list[int]:
    """Order of ``count`` examples in the n-th epoch."""
    order: list[int] = np.random.default_rng(derive_seed(seed, "epoch", epoch)).permutation(count).tolist()
    return order
