"""How often the abstention threshold breaks its word, by simulation: python benchmarks/threshold.py [--draws 4000]

Each draw makes answers to choose a threshold on, chooses it, and looks up the true error rate of what it accepts. The
threshold breaks its word where that is above the risk asked for; its promise is to do so in at most a share
1 - confidence of the draws. Rows called "naive" do what must not be done, to show what the others mend.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.metrics.familiarity import density_ratio
from candor.metrics.threshold import choose_threshold
from candor.metrics.views import View

Floats: TypeAlias = NDArray[np.float64]

RISK: Final = 0.1
CONFIDENCE: Final = 0.9
ANSWERS: Final = 600
CHECKPOINTS: Final = 5
LEVELS: Final = np.linspace(0.5, 1.0, 11)
"""Confidences where many answers state the same."""

GRID: Final = np.linspace(0.5, 1.0, 20_001)
"""Confidences over which true error rates are summed."""

ROLES: Final = ("naive", "mended")


@dataclass(frozen=True, slots=True)
class Draw:
    """Whether a draw gave a threshold, and whether that broke its word."""

    chosen: bool
    broken: bool


def view(confidence_N: Floats, wrong_N: NDArray[np.bool_], group_N: NDArray[np.int64] | None = None) -> View:
    """Answers with a gold label of 0."""
    groups = np.arange(confidence_N.size) if group_N is None else group_N
    return View(np.zeros(confidence_N.size, dtype=np.int64), wrong_N.astype(np.int64), confidence_N, groups)


def judged(threshold: float | None, confidence: Floats, error: Floats) -> Draw:
    """Judge a threshold by the true error at confidences that are equally likely."""
    if threshold is None:
        return Draw(False, False)
    accepted = confidence >= threshold - 1e-9
    return Draw(True, bool(accepted.any()) and float(error[accepted].mean()) > RISK + 1e-9)


def step(confidence: Floats) -> Floats:
    """True error rate by confidence: the worst case, just above the risk for whatever is accepted."""
    return np.full_like(confidence, RISK + 1e-6)


def falling(confidence: Floats) -> Floats:
    """True error rate by confidence: it crosses the risk where about half is accepted."""
    return 0.2 * (1.0 - confidence) / 0.5 + 0.05


def misordered(confidence: Floats) -> Floats:
    """True error rate by confidence: the surest answers are the worst."""
    return np.where(confidence > 0.9, 0.16, 0.06)


def independent(rng: np.random.Generator, levels: Floats | None, error: Callable[[Floats], Floats]) -> Draw:
    """Answers that have nothing in common; with ``levels`` many state the same confidence."""
    confidence = rng.uniform(0.5, 1.0, ANSWERS) if levels is None else rng.choice(levels, ANSWERS)
    wrong = rng.random(ANSWERS) < error(confidence)
    choice = choose_threshold(view(confidence, wrong), risk=RISK, confidence=CONFIDENCE)
    grid = GRID if levels is None else levels
    return judged(choice.threshold, grid, error(grid))


def grouped(rng: np.random.Generator, size: int, *, told: bool) -> Draw:
    """Groups of equal answers; whether the threshold is ``told`` of them."""
    groups = ANSWERS // size
    group_N = np.repeat(np.arange(groups), size)
    confidence = rng.choice(LEVELS, groups)
    wrong = rng.random(groups) < step(confidence)
    answers = view(confidence[group_N], wrong[group_N], group_N if told else None)
    choice = choose_threshold(answers, risk=RISK, confidence=CONFIDENCE)
    return judged(choice.threshold, LEVELS, step(LEVELS))


def of_checkpoints(rng: np.random.Generator, *, apart: bool) -> Draw:
    """The checkpoint of which a threshold accepts most; the threshold is chosen ``apart`` or on the same answers."""
    confidence = rng.choice(LEVELS, ANSWERS)
    choices = []
    for _ in range(CHECKPOINTS):
        wrong = rng.random(ANSWERS) < step(confidence)
        choices.append(choose_threshold(view(confidence, wrong), risk=RISK, confidence=CONFIDENCE))
    choice = max(choices, key=lambda one: one.accepted)
    if apart:  # all checkpoints err alike here, so any stands for the chosen one
        wrong = rng.random(ANSWERS) < step(confidence)
        choice = choose_threshold(view(confidence, wrong), risk=RISK, confidence=CONFIDENCE)
    return judged(choice.threshold, LEVELS, step(LEVELS))


def shifted(rng: np.random.Generator, *, weights: str) -> Draw:
    """New claims have a trait more often with which answers err; ``weights``: none, the true ones, or estimated."""
    trait = rng.normal(0.0, 1.0, 4 * ANSWERS)
    confidence = np.round(rng.uniform(0.5, 1.0, trait.size), 2)
    wrong = rng.random(trait.size) < _shifted_error(confidence, trait)
    weight_N = None
    if weights == "true":
        weight_N = np.minimum(np.exp(SHIFT * trait - SHIFT**2 / 2), 10.0)
    elif weights == "estimated":
        weight_N = density_ratio(trait[:, None], rng.normal(SHIFT, 1.0, 1000)[:, None])
    choice = choose_threshold(view(confidence, wrong), risk=RISK, confidence=CONFIDENCE, weight_N=weight_N)
    if choice.threshold is None:
        return Draw(False, False)
    accepted = choice.threshold - 1e-9 <= SHIFTED_CONFIDENCE
    return Draw(True, float(SHIFTED_ERROR[accepted].mean()) > RISK)


def _shifted_error(confidence: Floats, trait: Floats) -> Floats:
    return np.clip(0.25 * (1.0 - confidence) + 0.02 * np.exp(0.8 * trait), 0.0, 1.0)


SHIFT: Final = 0.7
"""Difference of the trait's mean, in standard deviations."""

_NEW = np.random.default_rng(99)
SHIFTED_CONFIDENCE: Final = np.round(_NEW.uniform(0.5, 1.0, 400_000), 2)
SHIFTED_ERROR: Final = _shifted_error(SHIFTED_CONFIDENCE, _NEW.normal(SHIFT, 1.0, SHIFTED_CONFIDENCE.size))
"""What the new claims are like; a sample so large that its error rates are true to a tenth of a point."""

SETTINGS: Final[dict[str, tuple[str, Callable[[np.random.Generator], Draw]]]] = {
    "ties, the worst case": ("mended", lambda rng: independent(rng, LEVELS, step)),
    "continuous, the worst case": ("mended", lambda rng: independent(rng, None, step)),
    "continuous, error falls": ("mended", lambda rng: independent(rng, None, falling)),
    "continuous, surest are worst": ("mended", lambda rng: independent(rng, None, misordered)),
    "groups of 2 as if independent": ("naive", lambda rng: grouped(rng, 2, told=False)),
    "groups of 5 as if independent": ("naive", lambda rng: grouped(rng, 5, told=False)),
    "groups of 10 as if independent": ("naive", lambda rng: grouped(rng, 10, told=False)),
    "groups of 2": ("mended", lambda rng: grouped(rng, 2, told=True)),
    "groups of 5": ("mended", lambda rng: grouped(rng, 5, told=True)),
    "groups of 10": ("mended", lambda rng: grouped(rng, 10, told=True)),
    "5 checkpoints, same answers": ("naive", lambda rng: of_checkpoints(rng, apart=False)),
    "5 checkpoints, answers apart": ("mended", lambda rng: of_checkpoints(rng, apart=True)),
    "shift, no weights": ("naive", lambda rng: shifted(rng, weights="none")),
    "shift, true weights": ("mended", lambda rng: shifted(rng, weights="true")),
    "shift, estimated weights": ("mended", lambda rng: shifted(rng, weights="estimated")),
}
"""By name: whether it does what candor does, and one draw."""


def simulate(name: str, draws: int, seed: int = 0) -> tuple[float, float]:
    """Share of draws that gave a threshold, and share of all draws in which it broke its word."""
    found = [SETTINGS[name][1](np.random.default_rng([seed, number])) for number in range(draws)]
    return sum(draw.chosen for draw in found) / draws, sum(draw.broken for draw in found) / draws


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    draws = parser.parse_args().draws
    print(f"risk {RISK}, promised in {CONFIDENCE:.0%} of the draws; {ANSWERS} answers, {draws} draws each\n")
    print("| answers | | a threshold | broken |\n| --- | --- | --- | --- |")
    for name, (role, _) in SETTINGS.items():
        chosen, broken = simulate(name, draws)
        print(f"| {name} | {role} | {chosen:.2f} | {broken:.3f} |", flush=True)


if __name__ == "__main__":
    main()
