"""Watching training for collapse: it is named as it begins, not found in the report afterwards."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from candor.means import Means
from candor.types import LABELS

WINDOW: Final = 10
"""Steps over which a figure is averaged; a single batch may look collapsed by chance."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A figure that tells a kind of collapse when its mean over the window passes a bound.

    Of an ``estimate``, which varies from step to step by what is drawn, the mean must pass it by two standard errors.
    """

    name: str
    figure: str
    bound: float
    above: bool
    words: str
    estimate: bool = False


SIGNS: Final = (
    *(
        Sign(f"one label: {label.value}", f"share_{label.value}", 0.97, True, "nearly every answer has this label")
        for label in LABELS
    ),
    Sign("one confidence", "prompt_variance", 1e-4, False, "nearly every prompt gets the same confidence", True),
    Sign("invalid answers", "invalid", 0.05, True, "answers are not in the form that was asked for"),
    Sign("zero-variance groups", "zero_variance", 0.8, True, "most groups have equal rewards and teach nothing"),
)
"""The bounds are ours: outside what healthy runs of the sandbox show. Of zero-variance groups the study's own run at
temperature 0.2 has about as many. The bound of the confidence is the square of a step of its grid."""


def add_expected_confidences(means: Means, stated_P: Iterable[ArrayLike]) -> None:
    """Put each prompt's expected confidence into the means, for :func:`prompt_variance`.

    Args:
        means: of the step.
        stated_P: for each prompt the confidences of its completions, or what each of its reasonings leads one to
            expect; a prompt with one alone has no variance of its own.
    """
    for stated in map(np.asarray, stated_P):
        if stated.size:
            # The mean of a few draws varies even where all prompts have one distribution: that part is taken off.
            of_the_mean = stated.var(ddof=1) / stated.size if stated.size > 1 else 0.0
            means.add("prompt_confidence", stated.mean())
            means.add("prompt_confidence_squared", stated.mean() ** 2 - of_the_mean)


def prompt_variance(means: Mapping[str, float]) -> float | None:
    """Variance of the expected confidence over prompts, or ``None`` if there is none.

    It is 0 where the confidence has nothing to do with the prompt, however widely each prompt's is spread. As an
    estimate it may be below 0, and is left so: a mean over steps is then right.
    """
    squared = means.get("prompt_confidence_squared")
    return None if squared is None else squared - means["prompt_confidence"] ** 2


FIRST_STEPS: Final = 20
"""How long the first steps are watched for a learning rate that is too high."""
_AT_ONCE: Final = 3
"""Steps whose mean is compared with that of the very first ones."""
GROWN: Final = 10.0
"""So many times the first gradient norms is no noise of small batches. The bound is ours."""


class FirstSteps:
    """Tells once, within the first steps, that the gradient or the loss goes the wrong way."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._norms: list[float] = []
        self._losses: list[float] = []
        self._told = False

    def look(self, row: Mapping[str, Any]) -> list[str]:
        """Take a step's figures; return what goes wrong, in words."""
        if self._told or row.get("step", 0) >= FIRST_STEPS or "loss" not in row:
            return []
        self._losses.append(float(row["loss"]))
        self._norms += [float(row["grad_norm"])] if row.get("grad_norm") is not None else []
        words = self._norm_grew() or self._loss_rose()
        self._told = words is not None
        rate = f" (now {row['learning_rate']:.1e})" if "learning_rate" in row else ""
        return [] if words is None else [f"{words}; try a lower train.optimiser.learning_rate{rate}"]

    def _norm_grew(self) -> str | None:
        if len(self._norms) < 2 * _AT_ONCE:
            return None
        first, last = float(np.mean(self._norms[:_AT_ONCE])), float(np.mean(self._norms[-_AT_ONCE:]))
        return f"first steps: the gradient norm grew from {first:.3g} to {last:.3g}" if last > GROWN * first else None

    def _loss_rose(self) -> str | None:
        half = len(self._losses) // 2
        if len(self._losses) < FIRST_STEPS:
            return None
        first, last = np.array(self._losses[:half]), np.array(self._losses[half:])
        # Batches differ; five standard errors of the difference are no chance.
        error = math.sqrt(first.var(ddof=1) / first.size + last.var(ddof=1) / last.size)
        if last.mean() - first.mean() <= 5.0 * error:
            return None
        return f"first steps: the loss rose from {first.mean():.3g} to {last.mean():.3g}"


class CollapseWatch:
    """Remembers the last steps and names a collapse once, when it begins, and again after it has been over."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._recent: dict[str, deque[float]] = {}
        self._active: set[str] = set()

    def look(self, row: Mapping[str, Any]) -> list[str]:
        """Take a step's figures; return what has begun, in words."""
        begun = []
        for sign in SIGNS:
            if sign.figure not in row:
                continue
            recent = self._recent.setdefault(sign.name, deque(maxlen=WINDOW))
            recent.append(float(row[sign.figure]))
            mean = sum(recent) / len(recent)
            margin = 2.0 * float(np.std(recent)) / math.sqrt(WINDOW - 1) if sign.estimate else 0.0
            beyond = mean - margin > sign.bound if sign.above else mean + margin < sign.bound
            passed = len(recent) == WINDOW and beyond
            if passed and sign.name not in self._active:
                shown = f"{mean:.3f}" if round(mean, 3) or not mean else f"{mean:.1e}"
                begun.append(f"{sign.name}: {sign.words} ({sign.figure} {shown} over {WINDOW} steps)")
            if passed:
                self._active.add(sign.name)
            else:
                self._active.discard(sign.name)
        return begun
