"""The reward of an answer: seven terms, pure functions on arrays.

Every function broadcasts: ``label`` holds indices into :data:`candor.types.LABELS` (-1: no label could be read),
``confidence`` numbers in [0, 1] (NaN: none could be read), ``gold`` label indices, ``probs`` the probed p(label)
with the label axis last. What the study left open is settled by one rule, so that leaving something out never pays: on
every term an answer without a label earns the least that any label could earn there, and an answer without a
confidence the least that any confidence could earn with its label.

The terms are those of the study (see ``recipes/README.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candor.errors import RecipeError
from candor.extensions import load_extension
from candor.means import Means
from candor.recipe.objective import EnumeratedWhole, ObjectiveConfig, SampledWhole
from candor.recipe.reward import OwnTerm, RewardConfig, Score
from candor.types import LABELS, NO_LABEL, Label

Array: TypeAlias = NDArray[np.float64]

_NA: Final = LABELS.index(Label.NA)

LOG_CLIP: Final = 0.001
"""Confidences are kept this far from 0 and 1 where their logarithm is taken, as in Rewarding Doubt's own code."""

_HUNDREDTHS: Final = np.linspace(0.0, 1.0, 101)


def warmup(step: int, warmup_steps: int) -> float:
    """Factor of the calibration and alignment terms at a step counted from 0, in [0, 1].

    >>> [warmup(step, 50) for step in (0, 25, 50, 80)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return 1.0 if warmup_steps == 0 else min(1.0, step / warmup_steps)


def accuracy_term(
    label: ArrayLike, gold: ArrayLike, *, correct: float, wrong: float, wrong_na: float | None = None
) -> Array:
    """``correct`` where the label is the gold one, ``wrong`` elsewhere; no label is wrong, or less where NA may be.

    Args:
        label: emitted.
        gold: right.
        correct: earned by the right label.
        wrong: by another.
        wrong_na: by NA where it is not right; ``None``: as ``wrong``.

    >>> accuracy_term([0, 1, -1], [0, 0, 2], correct=2.0, wrong=-1.0).tolist()
    [2.0, -1.0, -1.0]
    >>> accuracy_term([0, 2, 1, -1], [0, 0, 0, 0], correct=1.0, wrong=-1.0, wrong_na=0.0).tolist()
    [1.0, 0.0, -1.0, -1.0]
    """
    label = np.asarray(label)
    instead = wrong if wrong_na is None else wrong_na
    missed = np.select([label == _NA, label == NO_LABEL], [instead, min(wrong, instead)], wrong)
    return _floats(np.where(label == np.asarray(gold), correct, missed))


def shaping_term(gold: ArrayLike, probs: ArrayLike, *, weight: float) -> Array:
    """``weight * log p(gold)``, p at least the smallest normal float. The same for all answers that share a probe.

    >>> shaping_term([1], [[0.5, 0.25, 0.25]], weight=0.1).round(4).tolist()
    [-0.1386]
    """
    return _floats(weight * np.log(np.maximum(_pick(probs, gold), np.finfo(np.float64).tiny)))


def confidence_score(confidence: ArrayLike, outcome: ArrayLike, form: Score) -> Array:
    """Score of stated confidences, 0 at best; its expectation is highest for the true chance, but for ``absolute``.

    ``brier``: ``-(c - y)^2``, at worst -1. ``logarithmic``: the logarithm of what c gave to y, at worst -6.9
    (:data:`LOG_CLIP`). ``spherical``: what c gave to y over the norm of (c, 1 - c), less 1; at worst -1. ``absolute``:
    ``-|c - y|``, at worst -1; best where it says 0 or 1. At a chance of one half their curvatures are 2, 4, 2.8 and
    0: with the same weight the logarithmic score pulls twice as hard as the Brier score. For the first three see
    Gneiting and Raftery, Strictly Proper Scoring Rules (JASA 2007).

    Args:
        confidence: c, in [0, 1].
        outcome: y, 1 where the answer is right, 0 where it is wrong; or a share of answers that are.
        form: which score.

    >>> [round(float(confidence_score(0.8, 1, form)), 4) for form in ("brier", "logarithmic", "spherical", "absolute")]
    [-0.04, -0.2231, -0.0299, -0.2]
    """
    c, y = np.asarray(confidence, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    match form:
        case "brier":
            return _floats(-((c - y) ** 2))
        case "logarithmic":
            c = np.clip(c, LOG_CLIP, 1.0 - LOG_CLIP)
            return _floats(y * np.log(c) + (1.0 - y) * np.log1p(-c))
        case "spherical":
            return _floats((y * c + (1.0 - y) * (1.0 - c)) / np.hypot(c, 1.0 - c) - 1.0)
        case "absolute":
            return _floats(-np.abs(c - y))
        case _:
            assert_never(form)


def calibration_term(
    label: ArrayLike, confidence: ArrayLike, gold: ArrayLike, *, weight: float, form: Score = "brier"
) -> Array:
    """``weight`` times :func:`confidence_score` of ``[label = gold]``; without a label or a confidence the least.

    >>> calibration_term([0, 0, -1], [0.5, np.nan, 0.0], [0, 0, 0], weight=0.25).tolist()
    [-0.0625, -0.25, -0.25]
    """
    return calibration_against(label, confidence, np.asarray(label) == np.asarray(gold), weight=weight, form=form)


def calibration_against(
    label: ArrayLike, confidence: ArrayLike, outcome: ArrayLike, *, weight: float, form: Score
) -> Array:
    """The same where what a confidence is scored against is given: 1, 0 or a share of answers that are right."""
    label, confidence = np.asarray(label), np.asarray(confidence, dtype=np.float64)
    missing = (label == NO_LABEL) | np.isnan(confidence)
    scores = confidence_score(np.where(missing, 0.0, confidence), outcome, form)
    return _floats(weight * np.where(missing, confidence_score(0.0, 1.0, form), scores))


def lying_pays_below(config: RewardConfig) -> float:
    """Chance of being right below which a whole reward is higher for a label that is surely wrong, with confidence 0.

    A proper score is best for the true chance, whatever label it stands behind, and it is 0 for the certainty of being
    wrong: so it can pay to be wrong on purpose (arXiv 2607.04332). It does not where being right earns at least
    ``calibration`` times what a surely wrong answer saves. 0: it never pays. Where credit is split the label does not
    earn what its confidence does, and nothing can be won so.

    >>> rlcr = RewardConfig.model_validate({"preset": "rlcr"})
    >>> lying_pays_below(rlcr)
    0.0
    >>> round(lying_pays_below(rlcr.model_copy(update={"calibration": 2.0})), 2)
    0.5
    """
    chance_N = np.linspace(0.0, 1.0, 1001)
    scores_N_C = chance_N[:, None] * confidence_score(_HUNDREDTHS, 1.0, config.calibration_score) + (
        1.0 - chance_N[:, None]
    ) * confidence_score(_HUNDREDTHS, 0.0, config.calibration_score)
    total_N = (config.correct - config.wrong) * chance_N + config.calibration * scores_N_C.max(-1)
    pays_N = total_N < total_N[0] - 1e-9
    return float(chance_N[pays_N].max()) if pays_N.any() else 0.0


def lying_pays(reward: RewardConfig, objective: ObjectiveConfig) -> str | None:
    """Words for a recipe under which being wrong on purpose can pay; ``None`` where it cannot."""
    below = lying_pays_below(reward) if isinstance(objective, SampledWhole | EnumeratedWhole) else 0.0
    if not below:
        return None
    return (
        f"reward: below a chance of {below:.2f} of being right, a wrong label with confidence 0 earns more than the "
        "likeliest one; make calibration smaller or correct larger, or take objective.credit: split"
    )


def alignment_term(
    label: ArrayLike,
    confidence: ArrayLike,
    probs: ArrayLike,
    *,
    weight: float,
    form: Literal["absolute", "quadratic"],
) -> Array:
    """``-weight * |confidence - p(label)|`` or its square; what is missing costs the most it could.

    >>> alignment_term([0, 0], [0.5, np.nan], [[0.8, 0.1, 0.1]] * 2, weight=1.0, form="absolute").round(3).tolist()
    [-0.3, -0.8]
    """
    label, confidence = np.asarray(label), np.asarray(confidence, dtype=np.float64)
    probs = np.asarray(probs, dtype=np.float64)
    emitted = _pick(probs, np.maximum(label, 0))
    farthest = np.maximum(emitted, 1.0 - emitted)
    farthest_of_all = np.maximum(probs.max(-1), 1.0 - probs.min(-1))
    distance = np.where(np.isnan(confidence), farthest, np.abs(confidence - emitted))
    distance = np.where(label == NO_LABEL, farthest_of_all, distance)
    return _floats(-weight * (distance if form == "absolute" else distance**2))


def false_na_term(label: ArrayLike, gold: ArrayLike, has_evidence: ArrayLike, *, weight: float) -> Array:
    """``-weight`` for NA where gold is not NA and the prompt shows evidence; no label costs the same there.

    >>> false_na_term([2, 2, 2, -1], [0, 0, 2, 0], [True, False, True, True], weight=2.0).tolist()
    [-2.0, -0.0, -0.0, -2.0]
    """
    label = np.asarray(label)
    withheld = (label == _NA) | (label == NO_LABEL)
    return _floats(-weight * (withheld & (np.asarray(gold) != _NA) & np.asarray(has_evidence)))


def consistency_term(label: ArrayLike, probs: ArrayLike, *, weight: float) -> Array:
    """``-weight`` for a label less likely by the probe than another, or for none; ties are consistent.

    >>> consistency_term([0, 1, -1], [[0.4, 0.4, 0.2], [0.6, 0.3, 0.1], [1.0, 0.0, 0.0]], weight=0.25).tolist()
    [-0.0, -0.25, -0.25]
    """
    label, probs = np.asarray(label), np.asarray(probs, dtype=np.float64)
    below = _pick(probs, np.maximum(label, 0)) < probs.max(-1)
    return _floats(-weight * (below | (label == NO_LABEL)))


def format_term(clean: ArrayLike, *, weight: float) -> Array:
    """``-weight`` for an answer that is not exactly in the asked form.

    >>> format_term([True, False], weight=0.25).tolist()
    [-0.0, -0.25]
    """
    return _floats(-weight * ~np.asarray(clean, dtype=bool))


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _pick(probs: ArrayLike, index: ArrayLike) -> Array:
    """``probs[..., index]`` with broadcasting over the leading axes."""
    probs, index = np.asarray(probs, dtype=np.float64), np.asarray(index)
    shape = np.broadcast_shapes(probs.shape[:-1], index.shape)
    probs = np.broadcast_to(probs, (*shape, probs.shape[-1]))
    picked: Array = np.take_along_axis(probs, np.broadcast_to(index, shape)[..., None], axis=-1)[..., 0]
    return picked


@dataclass(frozen=True, slots=True)
class Rewards:
    """Terms of some answers, each with the broadcast shape of the arguments of :func:`score`.

    Attributes:
        terms: from the term's name to its values, in the order of :data:`~candor.recipe.reward.TERMS`, then those of
            the recipe's own.
        own_label: names of own terms that the label decides.
        own_confidence: names of own terms that the confidence decides.
    """

    terms: dict[str, Array]
    own_label: tuple[str, ...] = ()
    own_confidence: tuple[str, ...] = ()

    @property
    def total(self) -> Array:
        """Sum of all terms."""
        return self._sum(*self.terms)

    @property
    def label_part(self) -> Array:
        """What the label decides: accuracy, shaping, false NA, consistency, and own terms of that part."""
        return self._sum("accuracy", "shaping", "false_na", "consistency", *self.own_label)

    @property
    def confidence_part(self) -> Array:
        """What the confidence decides, given the label: calibration, alignment, and own terms of that part."""
        return self._sum("calibration", "alignment", *self.own_confidence)

    def _sum(self, *names: str) -> Array:
        return _floats(np.sum([self.terms[name] for name in names], axis=0))


def score(
    config: RewardConfig,
    *,
    label: ArrayLike,
    confidence: ArrayLike,
    clean: ArrayLike,
    gold: ArrayLike,
    has_evidence: ArrayLike,
    probs: ArrayLike,
    step: int,
) -> Rewards:
    """Score answers.

    Args:
        config: weights of the terms.
        label: emitted label indices, -1 for none.
        confidence: stated confidences, NaN for none.
        clean: whether the answer is exactly in the asked form.
        gold: gold label indices.
        has_evidence: whether the prompt shows evidence.
        probs: probed p(label), label axis last, rows summing to 1.
        step: training step from 0, for the warm-up.

    Returns:
        All terms, broadcast to one shape.

    Raises:
        RecipeError: an own term cannot be found, fails, or returns anything but one finite number for each answer.
    """
    ramp = warmup(step, config.warmup_steps)
    terms = {
        "accuracy": accuracy_term(label, gold, correct=config.correct, wrong=config.wrong, wrong_na=config.wrong_na),
        "shaping": shaping_term(gold, probs, weight=config.shaping),
        "calibration": calibration_term(
            label, confidence, gold, weight=ramp * config.calibration, form=config.calibration_score
        ),
        "alignment": alignment_term(
            label, confidence, probs, weight=ramp * config.alignment, form=config.alignment_form
        ),
        "false_na": false_na_term(label, gold, has_evidence, weight=config.false_na),
        "consistency": consistency_term(label, probs, weight=config.consistency),
        "format": format_term(clean, weight=config.format),
    }
    answers = {
        "label": label,
        "confidence": confidence,
        "clean": clean,
        "gold": gold,
        "has_evidence": has_evidence,
    }
    for own in config.own:
        terms[own.name] = own.weight * own_term(own, answers, probs)
    broadcast = np.broadcast_arrays(*terms.values())
    return Rewards(
        {name: np.array(values) for name, values in zip(terms, broadcast, strict=True)},
        own_label=tuple(own.name for own in config.own if own.part == "label"),
        own_confidence=tuple(own.name for own in config.own if own.part == "confidence"),
    )


def own_term(own: OwnTerm, answers: Mapping[str, ArrayLike], probs: ArrayLike) -> Array:
    """What a function from outside says of answers, which it is given as N of them, whatever their shape here.

    Args:
        own: names the function.
        answers: ``label``, ``confidence``, ``clean``, ``gold``, ``has_evidence``, as for :func:`score`.
        probs: probed p(label), label axis last.

    Raises:
        RecipeError: it cannot be found, fails, or returns anything but one finite number for each answer.
    """
    found = load_extension("reward", own.term)
    if own.part == "label" and "confidence" in found.takes:
        # With split credit the label's tokens earn it before a confidence is stated.
        raise RecipeError(f"reward.own: {own.term} takes the confidence, so that decides it; set part: confidence")
    probs = np.asarray(probs, dtype=np.float64)
    shape = np.broadcast_shapes(*(np.shape(values) for values in answers.values()), probs.shape[:-1])
    flat: dict[str, NDArray[np.generic]] = {
        name: np.broadcast_to(np.asarray(values), shape).reshape(-1) for name, values in answers.items()
    }
    flat["probs"] = np.broadcast_to(probs, (*shape, probs.shape[-1])).reshape(-1, probs.shape[-1])
    try:
        values = _floats(found.call(**flat))
    except Exception as error:  # whatever somebody else's function raises
        raise RecipeError(f"reward.own: {own.term} failed: {error!r}; try it with `candor check {own.term}`") from error
    count = flat["label"].size
    if values.shape != (count,) or not np.isfinite(values).all():
        raise RecipeError(
            f"reward.own: {own.term} must return one finite number for each of {count} answers; it returned shape "
            f"{values.shape}, {int((~np.isfinite(values)).sum())} of them not finite; see `candor check {own.term}`"
        )
    return values.reshape(shape)


def add_reward_means(means: Means, terms: Mapping[str, Array], correct: Array, gold: NDArray[np.int64]) -> None:
    """Note every term's mean, the total's and the accuracy, overall and by gold label.

    Args:
        means: takes the means ``reward``, ``reward_<term>``, ``accuracy``, and each with ``_<LABEL>`` behind it.
        terms: from a term's name to the values of some answers.
        correct: whether (or how probably) each answer's label is right.
        gold: gold label index of each.
    """
    figures = {"accuracy": correct, "reward": np.sum(list(terms.values()), axis=0)}
    figures.update({f"reward_{name}": values for name, values in terms.items()})
    for name, values in figures.items():
        means.add(name, values)
        for index, label in enumerate(LABELS):
            means.add(f"{name}_{label.value}", values[gold == index])
