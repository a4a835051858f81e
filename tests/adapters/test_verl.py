"""The reward function as verl's managers call it, and rows of its datasets."""

from __future__ import annotations

import numpy as np
import pytest
from toy import EXAMPLES, toy_tokenizer

from candor.adapters.verdict_reward import VerdictReward
from candor.adapters.verl import compute_score, rows
from candor.errors import DataError, RecipeError
from candor.prompts import templates

ANSWER = "LABEL=PASS\nCONF=0.80"


def test_it_takes_what_the_reward_manager_hands_over() -> None:
    """As verl 0.9.1 does: by keyword, evidence from a Parquet file as an array, with keys of its own beside it."""
    extra = {"evidence": np.array(["x is 1"], dtype=object), "num_turns": None, "rollout_reward_scores": {}}
    scored = compute_score(data_source="fever", solution_str=ANSWER, ground_truth="PASS", extra_info=extra)
    assert scored == VerdictReward("candor").score(ANSWER, "PASS", ["x is 1"])
    arguments = {"preset": "paper", "warmup_steps": 0, "reward_router_address": "127.0.0.1:1"}
    paper = compute_score("fever", ANSWER, "PASS", {"evidence": []}, **arguments)  # type: ignore[arg-type]
    assert paper == VerdictReward("paper", warmup_steps=0).score(ANSWER, "PASS", [])
    assert all(isinstance(value, float) for value in scored.values())


def test_rows_hold_what_the_reward_needs() -> None:
    made = rows(EXAMPLES, toy_tokenizer(), template="verdict")
    assert len(made) == len(EXAMPLES)
    for row, example in zip(made, EXAMPLES, strict=True):
        (message,) = row["prompt"]
        assert message == {"role": "user", "content": templates.get("verdict").render(example)}
        gold = row["reward_model"]["ground_truth"]
        assert gold == example.label.value
        answer = f"LABEL={gold}\nCONF=1.00"
        assert compute_score(row["data_source"], answer, gold, row["extra_info"])["acc"] == 1.0


def test_what_is_missing_is_named() -> None:
    for extra in (None, {}, {"evidence": None}):
        with pytest.raises(DataError, match="extra_info holds no 'evidence'"):
            compute_score("d", ANSWER, "PASS", extra)
    with pytest.raises(RecipeError, match="set warmup_steps to 0"):
        compute_score("d", ANSWER, "PASS", {"evidence": []}, preset="paper")
