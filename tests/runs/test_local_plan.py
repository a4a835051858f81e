from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from toy import save_toy_model, toy_recipe
from transformers import AutoModelForCausalLM, GptOssConfig

from candor.engines.microbatch import Footprint
from candor.runs.local_plan import REACHED, ModelSize, local_text, matrix_speed, model_size
from candor.runs.plan import make_plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def test_a_model_is_counted_without_its_weights(folder: Path) -> None:
    recipe = toy_recipe(folder)
    size = model_size(recipe)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert size.parameters == sum(parameter.numel() for parameter in loaded.parameters())
    linear = [m for n, m in loaded.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"]
    assert size.adapter == recipe.model.lora.rank * sum(m.in_features + m.out_features for m in linear)
    assert size.active == size.parameters
    assert size.token_bytes[1] < size.token_bytes[0]
    assert matrix_speed(size) > 0
    on_gpu = model_size(recipe, on_gpu=True)
    assert (on_gpu.device, on_gpu.dtype, on_gpu.bytes_each) == ("cuda", torch.bfloat16, 2)
    assert on_gpu.parameters == size.parameters


def test_experts_that_a_token_is_not_sent_to_are_not_counted_as_work(tmp_path: Path) -> None:
    config = GptOssConfig(
        num_hidden_layers=2, hidden_size=32, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, vocab_size=64, num_local_experts=8, num_experts_per_tok=2,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    size = model_size(toy_recipe(tmp_path))
    expert = 32 * 2 * 48 + 2 * 48 + 48 * 32 + 32  # both projections and their biases
    assert size.parameters - size.active == 2 * 6 * expert


def test_hours_memory_and_disk_follow_from_the_counts(folder: Path) -> None:
    recipe = toy_recipe(folder, "data.test={toy: 5}", "seeds=[0, 1]")
    plans = make_plan(recipe)
    (plan,) = plans
    size = ModelSize(10**9, 4 * 10**8, 10**7, 2, (4 * 10**5, 10**5), Footprint(1, 1, 1), "cpu", torch.bfloat16)
    words = local_text(recipe, plans, size, speed=1e9)
    operations = 4e8 * (
        6 * plan.trained_tokens * 2 + 2 * plan.answered_tokens * plan.models + 2 * plan.validated_tokens * 2
    )
    found = re.search(
        r"parameters \(400,000,000 of them for a token\): ([\d.,]+) (minutes|hours) to ([\d.,]+) (minutes|hours)", words
    )
    assert found is not None
    units = {"minutes": 60.0, "hours": 3600.0}
    for text, unit, part in ((found[1], found[2], REACHED[1]), (found[3], found[4], REACHED[0])):
        assert float(text.replace(",", "")) * units[unit] == pytest.approx(operations / 1e9 / part, rel=0.05)
    memory = (2e9 + 16e7 + plan.longest_prompt * 4e5) / 1e9
    assert f"at least {memory:,.1f} GB memory" in words
    assert f"{2 * 4e7 * 7 / 1e9:,.2f} GB of disk for 2 runs, and 2.0 GB for the model if new" in words


def test_more_steps_take_more_tokens(folder: Path) -> None:
    few, many = (make_plan(toy_recipe(folder, f"train.steps={steps}"))[0] for steps in (2, 4))
    assert many.trained_tokens == 2 * few.trained_tokens
    assert many.answered_tokens == few.answered_tokens
