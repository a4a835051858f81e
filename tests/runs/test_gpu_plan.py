from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import save_toy_model, toy_recipe
from typer.testing import CliRunner

from candor.cli.main import app
from candor.engines.microbatch import SHARE_OF_MEMORY
from candor.runs.gpu_plan import GPUS, Gpu, gpu_table, gpu_text, tokens_at_once
from candor.runs.local_plan import REACHED, ModelSize
from candor.runs.plan import RunPlan, make_plan

SIZE = ModelSize(20 * 10**9, 4 * 10**9, 10**7, 2, (3 * 10**6, 10**6), "cuda", torch.bfloat16)
GPU = Gpu("one", memory=80, teraflops=1000, bandwidth=4.0)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[RunPlan]:
    return make_plan(toy_recipe(save_toy_model(tmp_path_factory.mktemp("model")), "seeds=[0, 1]"))


def test_hours_are_products_and_weights_read_for_each_place(plans: list[RunPlan]) -> None:
    (plan,) = plans
    counted = replace(
        plan, seeds=2, models=3, trained_tokens=5e6, answered_tokens=1e6, trained_places=800, answered_places=1600
    )
    products = 4e9 * (6 * 5e6 * 2 + 2 * 1e6 * 3) / 1e15
    read = 4e10 / 4e12
    assert GPU.hours([counted], SIZE, together=1) * 3600 == pytest.approx(products + (1600 + 4800) * read)
    assert GPU.hours([counted], SIZE, together=8) * 3600 == pytest.approx(products / 8 + (1600 + 4800) * read)


def test_what_is_decoded_follows_from_the_recipe(tmp_path: Path) -> None:
    folder = save_toy_model(tmp_path)
    sampled = make_plan(toy_recipe(folder, "objective.preset=paper", "reward.preset=paper"))[0]
    recipe = toy_recipe(folder)
    enumerated = make_plan(recipe)[0]
    assert sampled.trained_places == recipe.train.steps * recipe.sampling.max_new_tokens > 0
    assert enumerated.trained_places == 0
    assert enumerated.answered_places % recipe.evaluation.max_new_tokens == 0
    assert enumerated.answered_places >= recipe.evaluation.max_new_tokens


def test_what_fits_is_what_the_engine_would_hold() -> None:
    left = 80e9 - (4e10 + 1e7 * 16)
    assert tokens_at_once(GPU, SIZE, checkpointing=False) == int(SHARE_OF_MEMORY * left / 3e6)
    assert tokens_at_once(GPU, SIZE, checkpointing=True) == int(SHARE_OF_MEMORY * left / 1e6)
    assert tokens_at_once(replace(GPU, memory=24), SIZE, checkpointing=True) == 0


def test_the_table_says_what_does_not_fit_and_what_the_rest_costs(plans: list[RunPlan]) -> None:
    table = gpu_table(plans, SIZE, price=3.0)
    assert {len(row) for row in table} == {7}
    rows = {row[0]: row for row in table[1:]}
    assert list(rows) == [gpu.name for gpu in GPUS]
    assert rows["RTX 4090"][2:] == ["does not fit (40 GB of weights)", *["-"] * 4]
    h100 = next(gpu for gpu in GPUS if gpu.name == "H100")
    hours = h100.hours(plans, SIZE, together=8) / REACHED[0]
    assert rows["H100"][-1].endswith(f" to {8 * 3 * hours:,.2f}")
    assert {len(row) for row in gpu_table(plans, SIZE)} == {5}
    lines = gpu_text(plans, SIZE).splitlines()
    assert len(lines) == 2 + len(GPUS)
    assert len({line.index("GB") for line in lines[2:] if "does not fit" in line}) == 1


def test_on_the_command_line() -> None:
    shown = CliRunner().invoke(app, ["run", "demo", "--plan", "--gpu-hour", "2.5"])
    assert shown.exit_code == 0, shown.output
    assert "on GPUs (at 5% to 40% of the data sheets' speed" in shown.stdout
    assert "cost on 8" in shown.stdout
    wrong = CliRunner().invoke(app, ["run", "demo", "--gpu-hour", "2.5"])
    assert wrong.exit_code == 2
    assert "no effect without --plan" in wrong.output
