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
from candor.recipe.objective import objective_config
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.seals import Seal
from candor.seeding import derive_seed
from candor.training.asking import label_probabilities
from candor.training.batches import Key, Shown, key_of
from candor.training.loop import train
from candor.types import LABELS, Example


def cross_fitted_answers(
    recipe: Recipe,
    examples: Sequence[Example],
    folder: RunFolder,
    *,
    folds: int,
    seed: int,
    fresh: Callable[[], Engine],
    **options: Any,
) -> dict[Key, Shown]:
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
        For each example the answer with its own label, and that label's probability as the confidence.

    Raises:
        EngineError: there are fewer groups than folds.
        DamagedError, RunError: what a killed process left is not what was written.
        Stopped: ``should_stop`` said so; the same call goes on from there.
    """
    fold_of = deal(examples, folds, seed)
    shown = objective_config({"preset": "sft", "taught_confidence": "drawn"})
    train_config = recipe.train.model_copy(update={"validate_every": 0, "patience": 0})
    of_a_fold = recipe.model_copy(update={"objective": shown, "train": train_config})
    found: dict[Key, float] = {}
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
    return {
        key_of(example): Shown(LABELS.index(example.label), round(100 * found[key_of(example)])) for example in examples
    }


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
    gold = [LABELS.index(example.label) for example in examples]
    probs: NDArray[np.float64] = label_probabilities(recipe, engine, examples)[np.arange(len(gold)), gold]
    return probs
