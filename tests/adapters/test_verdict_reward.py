"""The reward of single answers: by hand, and that of TRL's reward functions."""

from __future__ import annotations

import numpy as np
import pytest

from candor.adapters.trl import reward_funcs, weighted_reward
from candor.adapters.verdict_reward import NEED_PROBE, VerdictReward, reward_config, sentences
from candor.errors import DataError, PromptError, RecipeError
from candor.recipe.reward import TERMS

ANSWERS = ["LABEL=PASS\nCONF=0.80", "FINAL_LABEL=NA\nCONF=1.00", "I think so", "CONF=0.50", "FINAL_LABEL=FAIL"]


def test_correctness_plus_brier_by_hand() -> None:
    reward = VerdictReward("rlcr", correct=1.0, wrong=0.0, calibration=1.0, format=0.0)
    right = reward.score(ANSWERS[0], "PASS", ["x"])
    wrong = reward.score(ANSWERS[0], "FAIL", ["x"])
    assert (right["acc"], wrong["acc"], right["in_form"]) == (1.0, 0.0, 1.0)
    assert right["accuracy"] - wrong["accuracy"] == pytest.approx(1.0)
    assert right["calibration"] - wrong["calibration"] == pytest.approx(0.8**2 - 0.2**2)
    assert right["score"] == pytest.approx(right["accuracy"] + right["calibration"])


@pytest.mark.parametrize("preset", ["paper", "rlcr", "candor"])
@pytest.mark.parametrize("gold", ["PASS", "FAIL", "NA"])
@pytest.mark.parametrize("evidence", [[], ["x is 1"]])
def test_it_is_the_reward_of_the_functions_for_trl(preset: str, gold: str, evidence: list[str]) -> None:
    one = VerdictReward(preset, warmup_steps=0)
    scored = [one.score(text, gold, evidence) for text in ANSWERS]
    columns = {"label": [gold] * len(ANSWERS), "evidence": [evidence] * len(ANSWERS)}
    columns |= {"trainer_state": type("State", (), {"global_step": 10_000})}  # type: ignore[dict-item]
    assert weighted_reward(preset)(ANSWERS, ANSWERS, None, **columns) == pytest.approx([row["score"] for row in scored])
    for function in reward_funcs(preset):
        term = function.__name__.removeprefix("candor_")
        assert function(ANSWERS, ANSWERS, None, **columns) == pytest.approx([row[term] for row in scored])
    assert not NEED_PROBE & scored[0].keys()
    assert len({tuple(row) for row in scored}) == 1  # the same numbers for every answer
    assert set(scored[0]) <= {"score", "acc", "in_form", *TERMS}


def test_an_answer_that_was_cut_is_not_in_the_form() -> None:
    reward = VerdictReward("candor")
    assert reward.score(ANSWERS[0], "PASS", [])["in_form"] == 1.0
    assert reward.score(ANSWERS[0], "PASS", [], ended=False)["in_form"] == 0.0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(RecipeError, match="no reward preset 'best'"):
        VerdictReward("best")
    with pytest.raises(RecipeError, match="no such part of a reward: weight"):
        VerdictReward("candor", weight=2)
    for preset in ("candor", reward_config("candor")):
        with pytest.raises(RecipeError, match="no such part of a reward: calibraton"):
            VerdictReward(preset, calibraton=5)
        with pytest.raises(RecipeError, match="reward: calibration: "):
            VerdictReward(preset, calibration=-5)
    with pytest.raises(RecipeError, match="set warmup_steps to 0"):
        VerdictReward("paper")
    with pytest.raises(PromptError, match="no prompt template 'none'"):
        VerdictReward(template="none")
    with pytest.raises(DataError, match="gold label 'SUPPORTS'; it must be one of PASS, FAIL, NA"):
        VerdictReward().score(ANSWERS[0], "SUPPORTS", [])


def test_evidence_is_a_list_of_sentences() -> None:
    assert sentences(("a", "b")) == sentences(np.array(["a", "b"], dtype=object)) == ["a", "b"]
    assert sentences([]) == []
    for wrong in ("a text", None, [1], 3):
        with pytest.raises(DataError, match="evidence must be a list of sentences"):
            sentences(wrong)
