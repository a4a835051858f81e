"""Every reward term by hand, and the rule that leaving something out never pays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from candor.means import Means
from candor.recipe.reward import PRESETS, TERMS, RewardConfig, Score
from candor.training.rewards import (
    LOG_CLIP,
    accuracy_term,
    add_reward_means,
    alignment_term,
    calibration_term,
    confidence_score,
    consistency_term,
    false_na_term,
    format_term,
    lying_pays_below,
    score,
    shaping_term,
    warmup,
)
from candor.types import NO_LABEL

PASS, FAIL, NA = 0, 1, 2
PAPER = RewardConfig.model_validate({"preset": "paper"})


def _score(config: RewardConfig, label: int, confidence: float, **changed: object) -> dict[str, float]:
    arguments = {
        "clean": label != NO_LABEL and not math.isnan(confidence),
        "gold": PASS,
        "has_evidence": True,
        "probs": [0.5, 0.3, 0.2],
        "step": 10_000,
        **changed,
    }
    rewards = score(config, label=label, confidence=confidence, **arguments)
    return {name: float(value) for name, value in rewards.terms.items()}


# -------------------------------------------------------------------------------------------------- term by term


def test_accuracy() -> None:
    assert accuracy_term([0, 1, 2, -1], [0, 0, 0, 0], correct=2.0, wrong=-1.0).tolist() == [2, -1, -1, -1]
    # No label is wrong where NA would have been right.
    assert accuracy_term([2, -1], [2, 2], correct=2.0, wrong=-1.0).tolist() == [2, -1]


def test_shaping() -> None:
    probs = [[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]]
    values = shaping_term([0, 0], probs, weight=0.1)
    assert values[0] == pytest.approx(0.1 * math.log(0.5))
    assert math.isfinite(values[1])
    assert values[1] < -50


def test_calibration() -> None:
    nan = np.nan
    labels, confidences = [0, 1, 1, 0, -1, -1], [0.9, 0.9, 0.0, nan, nan, 0.0]
    expected = [-0.25 * 0.01, -0.25 * 0.81, 0.0, -0.25, -0.25, -0.25]
    assert calibration_term(labels, confidences, 0, weight=0.25) == pytest.approx(expected)


def test_alignment() -> None:
    probs = [0.7, 0.2, 0.1]
    labels, confidences = [0, 1, 0, 1, -1], [0.9, 0.9, np.nan, np.nan, 0.5]
    # What is missing costs the most it could: p(label) or 1 - p(label); without a label the most over all labels.
    expected = np.array([0.2, 0.7, 0.7, 0.8, 0.9])
    assert alignment_term(labels, confidences, probs, weight=0.15, form="absolute") == pytest.approx(-0.15 * expected)
    assert alignment_term(labels, confidences, probs, weight=2.0, form="quadratic") == pytest.approx(-2 * expected**2)


def test_false_na() -> None:
    labels = [NA, NA, NA, PASS, NO_LABEL, NO_LABEL, NO_LABEL]
    gold = [PASS, PASS, NA, FAIL, PASS, PASS, NA]
    evidence = [True, False, True, True, True, False, True]
    assert false_na_term(labels, gold, evidence, weight=2.0).tolist() == [-2, 0, 0, 0, -2, 0, 0]


def test_consistency() -> None:
    probs = [[0.4, 0.4, 0.2]] * 3 + [[0.1, 0.2, 0.7]] * 2
    assert consistency_term([0, 1, 2, 2, -1], probs, weight=0.25).tolist() == [0, 0, -0.25, 0, -0.25]


def test_format() -> None:
    assert format_term([True, False], weight=0.25).tolist() == [0, -0.25]


def test_warmup_rises_from_nothing_and_stays() -> None:
    assert [warmup(step, 50) for step in (0, 1, 49, 50, 51)] == pytest.approx([0, 0.02, 0.98, 1, 1])
    assert warmup(0, 0) == 1.0
    assert [warmup(step, 1) for step in (0, 1)] == [0.0, 1.0]


# -------------------------------------------------------------------------------------------------- all together


def test_a_right_answer_of_the_study_by_hand() -> None:
    terms = _score(PAPER, PASS, 0.8)
    assert terms == pytest.approx(
        {
            "accuracy": 2.0,
            "shaping": 0.1 * math.log(0.5),
            "calibration": -0.25 * 0.04,
            "alignment": -0.15 * 0.3,
            "false_na": 0.0,
            "consistency": 0.0,
            "format": 0.0,
        }
    )
    assert tuple(terms) == TERMS


def test_a_false_na_of_the_study_by_hand() -> None:
    rewards = score(
        PAPER, label=NA, confidence=0.6, clean=False, gold=FAIL, has_evidence=True, probs=[0.5, 0.3, 0.2], step=25
    )
    label_part = -1.0 + 0.1 * math.log(0.3) - 2.0 - 0.25
    confidence_part = 0.5 * (-0.25 * 0.36 - 0.15 * 0.4)
    assert float(rewards.label_part) == pytest.approx(label_part)
    assert float(rewards.confidence_part) == pytest.approx(confidence_part)
    assert float(rewards.total) == pytest.approx(label_part + confidence_part - 0.25)


def test_warmup_touches_calibration_and_alignment_alone() -> None:
    first, half, full = (_score(PAPER, FAIL, 0.9, step=step) for step in (0, 25, 50))
    assert first["calibration"] == first["alignment"] == 0.0
    for name in TERMS:
        expected = 0.5 * full[name] if name in ("calibration", "alignment") else full[name]
        assert half[name] == pytest.approx(expected)


def test_parts_broadcast_to_one_shape() -> None:
    rewards = score(
        PAPER,
        label=np.arange(3)[:, None],
        confidence=np.linspace(0, 1, 5),
        clean=True,
        gold=np.zeros((2, 1, 1), dtype=int),
        has_evidence=True,
        probs=np.full((2, 1, 1, 3), 1 / 3),
        step=0,
    )
    assert {values.shape for values in rewards.terms.values()} == {(2, 3, 5)}
    assert rewards.total.shape == (2, 3, 5)
    assert rewards.total == pytest.approx(rewards.label_part + rewards.confidence_part + rewards.terms["format"])


# -------------------------------------------------------------------------------- leaving something out never pays

weights = st.floats(0, 10)
configs = st.builds(
    lambda wrong, gain, rest, form, ramp: RewardConfig(
        preset="paper", wrong=wrong, correct=wrong + gain, alignment_form=form, warmup_steps=ramp, **rest
    ),
    st.floats(-5, 5),
    weights,
    st.fixed_dictionaries(
        dict.fromkeys(("shaping", "calibration", "alignment", "false_na", "consistency", "format"), weights)
    ),
    st.sampled_from(["absolute", "quadratic"]),
    st.integers(0, 20),
)
simplex = arrays(float, 3, elements=st.floats(0.0, 1.0)).filter(lambda p: p.sum() > 1e-3).map(lambda p: p / p.sum())
situations = st.fixed_dictionaries(
    {"gold": st.integers(0, 2), "has_evidence": st.booleans(), "probs": simplex, "step": st.integers(0, 30)}
)
SLACK = 1e-9


@given(configs, situations, st.integers(0, 2), st.floats(0, 1), st.booleans(), st.floats(0, 1))
def test_no_label_never_earns_more_than_any_label(
    config: RewardConfig, situation: dict[str, object], label: int, confidence: float, clean: bool, left: float
) -> None:
    stated = _score(config, label, confidence, clean=clean, **situation)
    for missing in (np.nan, left):
        none = _score(config, NO_LABEL, missing, clean=False, **situation)
        assert all(none[name] <= stated[name] + SLACK for name in TERMS)


@given(configs, situations, st.integers(0, 2), st.floats(0, 1))
def test_no_confidence_never_earns_more_than_any_confidence(
    config: RewardConfig, situation: dict[str, object], label: int, confidence: float
) -> None:
    stated = _score(config, label, confidence, clean=True, **situation)
    none = _score(config, label, np.nan, clean=False, **situation)
    assert all(none[name] <= stated[name] + SLACK for name in TERMS)


PROPER: list[Score] = ["brier", "logarithmic", "spherical"]


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ("brier", -0.04, -0.64),
        ("logarithmic", math.log(0.8), math.log(0.2)),
        ("spherical", 0.8 / math.sqrt(0.68) - 1, 0.2 / math.sqrt(0.68) - 1),
        ("absolute", -0.2, -0.8),
    ],
)
def test_scores_of_a_confidence_by_hand(form: Score, right: float, wrong: float) -> None:
    found = [float(confidence_score(0.8, outcome, form)) for outcome in (1, 0)]
    assert found == pytest.approx([right, wrong])
    assert float(confidence_score(0.8, 0.25, form)) == pytest.approx(
        -0.55 if form == "absolute" else -(0.55**2) if form == "brier" else 0.25 * right + 0.75 * wrong
    )


def test_the_logarithmic_score_is_that_of_rewarding_doubts_own_code() -> None:
    """Their reward is ten times the score brought to [0, 1] of half its range, and a bonus of 2.5 for being right."""
    least, most = math.log(0.001) / 2, math.log(0.999)
    theirs = {(10, True): 12.5, (5, True): 10.496, (5, False): 7.996, (0, False): 10.0, (10, False): -10.0032}
    for (tenths, right), reward in theirs.items():
        ours = float(confidence_score(tenths / 10, right, "logarithmic"))
        assert 10 * (ours - least) / (most - least) + 2.5 * right == pytest.approx(reward, abs=2e-3)


@pytest.mark.parametrize("form", PROPER)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_proper_score_is_best_for_the_true_chance(form: Score, truth: float, stated: float) -> None:
    def expected(confidence: float) -> float:
        right, wrong = (float(confidence_score(confidence, outcome, form)) for outcome in (1, 0))
        return truth * right + (1 - truth) * wrong

    within = min(max(truth, LOG_CLIP), 1 - LOG_CLIP) if form == "logarithmic" else truth
    assert expected(stated) <= expected(within) + SLACK


@pytest.mark.parametrize("form", PROPER)
@pytest.mark.parametrize("preset", ["paper", "rlcr", "candor"])
def test_the_likeliest_label_with_its_true_chance_earns_most(form: Score, preset: str) -> None:
    """Label and confidence together: no other label pays, whatever is said behind it."""
    weight = {"brier": 1.0, "logarithmic": 1 / 7, "spherical": 1.0}[form]
    config = RewardConfig.model_validate(
        {"preset": preset, "calibration": weight, "calibration_score": form, "alignment": 0.0, "warmup_steps": 0}
        | {"shaping": 0.0, "false_na": 0.0, "consistency": 0.0}
    )
    assert lying_pays_below(config) == 0.0
    chance_K = np.array([0.5, 0.3, 0.2])
    confidence_C = np.linspace(0, 1, 101)
    expected_K_C = sum(
        chance_K[gold]
        * score(
            config,
            label=np.arange(3)[:, None],
            confidence=confidence_C,
            clean=True,
            gold=gold,
            has_evidence=True,
            probs=chance_K,
            step=0,
        ).total
        for gold in range(3)
    )
    assert np.unravel_index(expected_K_C.argmax(), expected_K_C.shape) == (0, 50)


@pytest.mark.parametrize("form", PROPER)
def test_a_score_too_heavy_for_its_label_rewards_being_wrong_on_purpose_and_is_told(form: Score) -> None:
    heavy = RewardConfig.model_validate({"preset": "rlcr", "calibration": 4.0, "calibration_score": form})
    below = lying_pays_below(heavy)
    assert below > 0.4
    for chance, honest_wins in ((below - 0.02, False), (min(1.0, below + 0.02), True)):
        spoken = max(
            chance * (1 + 4 * float(confidence_score(c, 1, form)))
            + (1 - chance) * 4 * float(confidence_score(c, 0, form))
            for c in np.linspace(0, 1, 101)
        )
        silent = 4 * float(confidence_score(0.0, 0.0, form))
        assert (spoken > silent) is honest_wins


def test_withholding_is_between_right_and_wrong_where_a_reward_says_so() -> None:
    config = RewardConfig.model_validate({"preset": "truthful"})
    earned = [_score(config, label, 0.5)["accuracy"] for label in (PASS, FAIL, NA, NO_LABEL)]
    assert earned == [1.0, -1.0, 0.0, -1.0]
    assert _score(config, NA, 0.5, gold=NA)["accuracy"] == 1.0
    # What costs more than another wrong label costs a missing one, too, or leaving it out would pay.
    costly = config.model_copy(update={"wrong_na": -3.0})
    assert _score(costly, NO_LABEL, math.nan)["accuracy"] == -3.0
    with pytest.raises(ValidationError, match="wrong_na: 2 is more than correct"):
        RewardConfig.model_validate({"preset": "truthful", "wrong_na": 2.0})


@given(st.floats(0, 1), st.floats(0, 1))
def test_brier_is_proper_and_the_absolute_pull_is_not(truth: float, stated: float) -> None:
    def expected(confidence: float) -> float:
        right, wrong = (_score(RewardConfig(preset="rlcr"), label, confidence)["calibration"] for label in (PASS, FAIL))
        return truth * right + (1 - truth) * wrong

    assert expected(stated) <= expected(truth) + SLACK


# ------------------------------------------------------------------------------------------------------- presets


def test_presets_hold_the_published_values() -> None:
    assert PAPER.model_dump() == {
        "preset": "paper",
        "correct": 2.0,
        "wrong": -1.0,
        "wrong_na": None,
        "shaping": 0.1,
        "calibration": 0.25,
        "calibration_score": "brier",
        "alignment": 0.15,
        "alignment_form": "absolute",
        "false_na": 2.0,
        "consistency": 0.25,
        "format": 0.25,
        "warmup_steps": 50,
        "own": [],
    }
    rlcr = RewardConfig.model_validate({"preset": "rlcr"})
    assert (rlcr.correct, rlcr.wrong, rlcr.calibration) == (1.0, 0.0, 1.0)
    assert rlcr.alignment == rlcr.shaping == rlcr.false_na == rlcr.consistency == 0.0


def test_preset_fills_in_and_values_win() -> None:
    config = RewardConfig.model_validate({"preset": "paper", "calibration": 1.5})
    assert config.calibration == 1.5
    assert config.alignment == PRESETS["paper"]["alignment"]
    assert RewardConfig.model_validate({}).preset == "candor"


def test_a_wrong_label_may_not_earn_more_than_a_right_one() -> None:
    with pytest.raises(ValidationError, match="wrong"):
        RewardConfig.model_validate({"correct": 0.0, "wrong": 1.0})


def test_means_by_gold_label() -> None:
    means = Means()
    terms = {"accuracy": np.array([2.0, -1.0, 2.0]), "format": np.array([0.0, -1.0, 0.0])}
    add_reward_means(means, terms, np.array([1.0, 0.0, 1.0]), np.array([PASS, PASS, FAIL]))
    means = means.values()
    assert means["reward"] == pytest.approx(2 / 3)
    assert means["reward_accuracy_PASS"] == 0.5
    assert means["reward_FAIL"] == 2.0
    assert means["accuracy"] == pytest.approx(2 / 3)
    assert means["reward_format_PASS"] == -0.5
    assert not any(name.endswith("_NA") and name != "reward_false_na" for name in means)
