"""A linear probe of hidden states for whether a model's own label is right, and the answers that it would teach.

The probe is fitted before training on validation examples, behind the label that the model itself finds likeliest; its
strength of regularisation is the one that tells apart best in folds of whole groups. What it says of a training example
is the confidence that the model is then shown behind its own label (as in PT-CSFT, Zenodo 20436841).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from candor.engines import parallel
from candor.engines.base import Engine
from candor.errors import DataError
from candor.files import read_json, write_json
from candor.recipe.recipe import Recipe
from candor.training.asking import label_probabilities, states_behind_labels
from candor.training.batches import Key, Shown
from candor.types import LABELS, Example

STRENGTHS: Final = tuple(10.0**power for power in range(-5, 2))
"""Inverse strengths of regularisation that are tried."""

FOLDS: Final = 5


@dataclass(frozen=True, slots=True)
class HiddenProbe:
    """A fitted probe.

    Attributes:
        pipeline: scaling and logistic regression, of scikit-learn.
        log_loss: per example in held-out folds, at the strength that was taken.
        strength: inverse strength of regularisation.
    """

    pipeline: Any
    log_loss: float
    strength: float

    @classmethod
    def fit(cls, states_N_H: NDArray[np.float64], right_N: NDArray[np.bool_], groups: Sequence[str]) -> HiddenProbe:
        """Fit it to N hidden states and whether the label before each was right.

        Raises:
            DataError: right or wrong ones stand in too few groups to be held out in turn.
        """
        of_group = np.array(groups)
        folds = min(FOLDS, *(len(set(of_group[right_N == value])) for value in (True, False)))
        if folds < 2:
            raise DataError(
                f"{int(right_N.sum())} of {len(right_N)} labels on validation examples are right, and a probe needs "
                "right and wrong ones in two groups at least; ask for more under data.validation"
            )
        search = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            {"logisticregression__C": STRENGTHS},
            scoring="neg_log_loss",
            cv=StratifiedGroupKFold(folds),
        )
        search.fit(states_N_H, right_N, groups=of_group)
        return cls(search.best_estimator_, -float(search.best_score_), search.best_params_["logisticregression__C"])

    def probabilities(self, states_N_H: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability, in (0, 1), that the label before each of N hidden states is right."""
        probs: NDArray[np.float64] = self.pipeline.predict_proba(states_N_H)[:, 1]
        return probs


def probed_answers(
    recipe: Recipe, engine: Engine, validation: Sequence[Example], examples: Sequence[Example], path: Path
) -> dict[Key, Shown]:
    """The model's own label for each example, with the probe's probability that it is right as the confidence.

    Args:
        recipe: prompt and the like.
        engine: the model as it is before training.
        validation: what the probe is fitted on; no group of theirs is among ``examples``.
        examples: training set, whose labels are not looked at.
        path: file that keeps what was found, and gives it back where it is there.

    Raises:
        DataError: a probe cannot be fitted on these validation examples.
        EngineError: the engine shows no hidden states.
    """
    if not path.is_file():
        own_N = label_probabilities(recipe, engine, validation).argmax(1)
        states_N_H = states_behind_labels(recipe, engine, validation, own_N)
        right_N = own_N == np.array([LABELS.index(example.label) for example in validation])
        probe = HiddenProbe.fit(states_N_H, right_N, [example.group for example in validation])
        own_N = label_probabilities(recipe, engine, examples).argmax(1)
        probs_N = probe.probabilities(states_behind_labels(recipe, engine, examples, own_N))
        found = zip(examples, own_N.tolist(), probs_N.tolist(), strict=True)
        kept = {
            "fitted_on": len(right_N),
            "right": float(right_N.mean()),
            "strength": probe.strength,
            "log_loss": probe.log_loss,
            "answers": [[e.dataset, e.id, LABELS[k].value, probability] for e, k, probability in found],
        }
        if parallel.is_main():
            write_json(path, kept)
        parallel.barrier()
    rows = read_json(path)["answers"]
    values = [label.value for label in LABELS]
    return {(dataset, name): Shown(values.index(k), round(100 * p)) for dataset, name, k, p in rows}
