"""A score of the current weights on validation examples, to choose between checkpoints without opening the test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from candor.engines.base import Engine
from candor.predictions.local import predict
from candor.recipe.recipe import Recipe
from candor.types import Example


def validation_score(engine: Engine, examples: Mapping[str, Sequence[Example]], recipe: Recipe) -> float:
    """Accuracy minus the Brier score of the stated confidence, mean over datasets; higher is better.

    A proper score rewards both parts honestly: being right, and saying how sure one is. An answer without a label is
    wrong; one without a confidence costs the whole square.
    """
    scores = []
    for group in examples.values():
        predictions = predict(
            engine,
            group,
            recipe.prompt.rendered(),
            max_new_tokens=recipe.evaluation.max_new_tokens,
            batch_size=recipe.evaluation.batch_size,
        )
        correct = np.array([p.label is p.gold for p in predictions], dtype=float)
        confidence = np.array(
            [np.nan if p.label is None or p.confidence is None else p.confidence for p in predictions]
        )
        square = np.where(np.isnan(confidence), 1.0, (confidence - correct) ** 2)
        scores.append(float((correct - square).mean()))
    return float(np.mean(scores))
