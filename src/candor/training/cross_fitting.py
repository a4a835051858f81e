"""What models that have not seen an example's group say for the probability of its label.

The groups are dealt into folds; for each fold a model is trained on the others, as the recipe says but with drawn
confidences, and asked about the fold. So the probability that an answer is then taught to state is one that the model
could have had for a claim that it does not know yet. Each fold's training lies in a folder of its own and goes on where
it was, like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candor.engines import parallel
from candor.engines.base import Engine
from candor.errors import EngineError, RunError
from candor.files import read_jsonl, remove, write_jsonl
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import encode
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import label_probs
from candor.recipe.objective import objective_config
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.seals import Seal
from candor.seeding import derive_seed
from candor.training.loop import train
from candor.types import LABELS, Example


def cross_fitted_probabilities(
    recipe: Recipe,
    examples: Sequence[Example],
    folder: RunFolder,
    *,
    folds: int,
    seed: int,
    fresh: Callable[[], Engine],
    **options: Any,
) -> dict[tuple[str, str], float]:
    """Train a model for each fold that is not done yet, and ask it about the examples it has not seen.

    Args:
        recipe: the run's own, with a supervised objective.
        examples: training set.
        folder: the run's; files go below its ``cross_fitting``.
        folds: how many.
        seed: decides which groups are in which fold, and each fold's training.
        fresh: makes an engine with the adapter that training starts from.
        options: of each fold's :func:`~candor.training.loop.train`: what is told of steps, asked to stop, noted.

    Returns:
        By dataset and id, the probability of each example's own label, in [0, 1].

    Raises:
        EngineError: there are fewer groups than folds.
        DamagedError, RunError: what a killed process left is not what was written.
        Stopped: ``should_stop`` said so; the same call goes on from there.
    """
    fold_of = deal(examples, folds, seed)
    shown = objective_config({"preset": "sft", "taught_confidence": "drawn"})
    train_config = recipe.train.model_copy(update={"validate_every": 0, "patience": 0})
    of_a_fold = recipe.model_copy(update={"objective": shown, "train": train_config})
    found: dict[tuple[str, str], float] = {}
    for fold in range(folds):
        place = RunFolder(folder.cross_fitting / f"fold-{fold}")
        told = place.path / "label_probs.jsonl"
        if not told.is_file():
            engine = fresh()
            others = [example for example in examples if fold_of[example.group] != fold]
            own = [example for example in examples if fold_of[example.group] == fold]
            if place.is_trained:
                _load_last(engine, place)
            else:
                train(of_a_fold, engine, others, place.path, seed=derive_seed(seed, "fold", fold), **options)
            probs = gold_probabilities(recipe, engine, own)
            rows = zip(own, probs.tolist(), strict=True)
            if parallel.is_main():
                write_jsonl(told, [{"dataset": e.dataset, "id": e.id, "probability": p} for e, p in rows])
        if parallel.is_main():
            remove(place.checkpoints)
            if folder.seal.expected(told) is None:
                folder.seal.add(path for path in place.path.rglob("*") if path.is_file())
        parallel.barrier()
        found.update({(row["dataset"], row["id"]): row["probability"] for row in read_jsonl(told)})
    return found


def _load_last(engine: Engine, place: RunFolder) -> None:
    """Load the end of a training whose model was not asked before the process was killed.

    Raises:
        DamagedError: the checkpoint is not what was written.
        RunError: it is gone.
    """
    steps = place.saved_steps()
    if not steps:
        raise RunError(f"{place}: its last checkpoint is gone, and its model was not asked yet; remove this folder")
    Seal(place.checkpoint(steps[-1])).check()
    engine.load(place.checkpoint(steps[-1]))


def deal(examples: Sequence[Example], folds: int, seed: int) -> dict[str, int]:
    """Which fold each group is in, folds as even as whole groups allow.

    Raises:
        EngineError: there are fewer groups than folds.
    """
    groups = sorted({example.group for example in examples})
    if len(groups) < folds:
        raise EngineError(f"objective.folds: {folds} folds of {len(groups)} groups; set at most {len(groups)}")
    order = np.random.default_rng(derive_seed(seed, "folds")).permutation(len(groups))
    return {groups[index]: place % folds for place, index in enumerate(order)}


def gold_probabilities(recipe: Recipe, engine: Engine, examples: Sequence[Example]) -> NDArray[np.float64]:
    """Probability of each example's own label among the three, where an answer would emit it."""
    template = recipe.prompt.rendered()
    grammar = answer_grammar(template, engine.tokenizer)
    room = engine.max_length - recipe.answer_room(grammar)
    firsts = [k * len(CONFIDENCES) for k in range(len(LABELS))]
    choices = [grammar.answers[first][: grammar.label_end[first]] for first in firsts]
    starts = [grammar.label_start[first] for first in firsts]
    prompts = [encode(template, example, engine.tokenizer, max_tokens=room).tokens for example in examples]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    gold = np.empty(len(prompts))
    size = recipe.evaluation.batch_size
    for at in range(0, len(order), size):
        part = order[at : at + size]
        scored = engine.logprobs([prompts[index] for index in part], [choices] * len(part))
        for index, rows in zip(part, scored, strict=True):
            sums = np.array([row[start:].sum() for row, start in zip(rows, starts, strict=True)])
            gold[index] = label_probs(sums)[LABELS.index(examples[index].label)]
    return gold
