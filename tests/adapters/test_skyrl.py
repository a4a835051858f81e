"""The environment as SkyRL makes and steps it."""

from __future__ import annotations

import pytest
import skyrl_gym
from toy import EXAMPLES, toy_tokenizer

from candor.adapters.skyrl import NAME, VerdictEnv, register_verdicts, rows
from candor.adapters.verdict_reward import VerdictReward
from candor.errors import DataError, RecipeError


def test_skyrl_makes_and_steps_it() -> None:
    """As SkyRL's generator does: by the name in the row, with the row's other columns as extras."""
    register_verdicts()
    register_verdicts()
    for row, example in zip(rows(EXAMPLES, toy_tokenizer()), EXAMPLES, strict=True):
        extras = {key: row[key] for key in row if key not in ("env_class", "prompt")}
        env = skyrl_gym.make(row["env_class"], env_config={"preset": "rlcr"}, extras=extras)
        prompt, _ = env.init(row["prompt"])
        assert prompt == row["prompt"]
        answer = f"LABEL={example.label.value}\nCONF=0.90"
        made = env.step(answer)
        expected = VerdictReward("rlcr").score(answer, example.label.value, example.evidence)
        assert made["done"] is True
        assert made["observations"] == []
        assert made["reward"] == expected["score"]
        assert env.get_metrics() == {name: value for name, value in expected.items() if name != "score"}
        env.close()
    averaged = VerdictEnv.aggregate_metrics([{"acc": 1.0, "in_form": 1.0}, {"acc": 0.0, "in_form": 1.0}])
    assert averaged["acc"] == pytest.approx(0.5)


def test_rows_that_lack_something_are_refused() -> None:
    with pytest.raises(DataError, match="the row has no 'reward_spec'"):
        VerdictEnv(extras={"extra_info": {"evidence": []}})
    with pytest.raises(DataError, match="the row has no 'evidence'"):
        VerdictEnv(extras={"reward_spec": {"ground_truth": "NA"}, "extra_info": {}})
    with pytest.raises(RecipeError, match="no such part of a reward: weights"):
        VerdictEnv({"weights": 1}, {"reward_spec": {"ground_truth": "NA"}, "extra_info": {"evidence": []}})
    assert NAME == "candor_verdict"
