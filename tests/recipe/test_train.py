"""The training's part of a recipe."""

from __future__ import annotations

from candor.recipe.train import RATES, ScheduleConfig, TrainConfig, rate_for


def test_a_step_counts_its_prompts_without_labels_too() -> None:
    assert TrainConfig(prompts_per_step=3).prompts_in_step == 3
    unlabelled = {"sources": ["climate"], "prompts_per_step": 2}
    assert TrainConfig.model_validate({"prompts_per_step": 3, "unlabelled": unlabelled}).prompts_in_step == 5


def test_larger_models_get_lower_rates_and_a_rate_that_is_given_stays() -> None:
    rates = [rate for _, rate in RATES]
    assert rates == sorted(rates, reverse=True)
    assert rate_for(20_000_000_000) == 2e-5
    assert ScheduleConfig().settled(600_000_000).learning_rate == 2e-4
    assert ScheduleConfig(learning_rate=3e-3).settled(600_000_000).learning_rate == 3e-3
