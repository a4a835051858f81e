"""What a supervised training is to show, where that has to be found out before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from candor.engines import parallel
from candor.engines.base import Engine
from candor.progress import Bar, Reporter
from candor.recipe.objective import SupervisedCrossFitted, SupervisedProbe
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.training.batches import Key, Shown
from candor.training.cross_fitting import cross_fitted_answers
from candor.training.hidden_probe import probed_answers
from candor.types import Example


def found_out(
    recipe: Recipe,
    folder: RunFolder,
    seed: int,
    *,
    examples: Sequence[Example],
    validation: Sequence[Example],
    fresh: Callable[[], Engine],
    reporter: Reporter,
    show: Callable[[Bar, int, dict[str, Any]], None],
    **options: Any,
) -> dict[Key, Shown]:
    """The answer that each training example is to be given; nothing where the objective needs none found out.

    Args:
        recipe: the run's.
        folder: the run's.
        seed: the run's.
        examples: training set.
        validation: of the sources that are trained on.
        fresh: makes an engine with the weights that training starts from.
        reporter: told of progress.
        show: shows a step on a bar.
        options: of a fold's :func:`~candor.training.loop.train`.

    Raises:
        DataError: a probe cannot be fitted on the validation examples.
        EngineError: the engine shows no hidden states, or there are fewer groups than folds.
        Stopped: as :func:`~candor.training.cross_fitting.cross_fitted_answers`.
    """
    objective = recipe.objective
    if isinstance(objective, SupervisedProbe):
        path = folder.hidden_probe
        reporter.say("fitting a probe of hidden states on validation answers")
        taught = probed_answers(recipe, fresh(), validation, examples, path)
        if parallel.is_main() and folder.seal.expected(path) is None:
            folder.seal.add([path])
        return taught
    if not isinstance(objective, SupervisedCrossFitted):
        return {}
    with reporter.bar("cross-fitting", objective.folds * recipe.train.steps) as bar:
        return cross_fitted_answers(
            recipe,
            examples,
            folder,
            folds=objective.folds,
            seed=seed,
            fresh=fresh,
            on_step=lambda done, row: show(bar, 1, row),
            **options,
        )
