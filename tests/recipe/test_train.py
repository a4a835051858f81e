"""The training's part of a recipe."""

from __future__ import annotations

from candor.recipe.train import TrainConfig


def test_a_step_counts_its_prompts_without_labels_too() -> None:
    assert TrainConfig(prompts_per_step=3).prompts_in_step == 3
    unlabelled = {"sources": ["climate"], "prompts_per_step": 2}
    assert TrainConfig.model_validate({"prompts_per_step": 3, "unlabelled": unlabelled}).prompts_in_step == 5
