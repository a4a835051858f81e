from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import save_toy_model, toy_recipe
from typer.testing import CliRunner

from candor.cli.main import app
from candor.engines.microbatch import SHARE_OF_MEMORY, Footprint, split_by_size
from candor.runs.gpu_plan import GPUS, Gpu, gpu_table, gpu_text, tokens_at_once
from candor.runs.local_plan import REACHED, ModelSize
from candor.runs.plan import Decoding, RunPlan, make_plan

FOOTPRINT = Footprint(stored=10**5, passing=10**6, drawing=10**7)
SIZE = ModelSize(20 * 10**9, 4 * 10**9, 10**7, 2, (3 * 10**6, 10**6), FOOTPRINT, "cuda", torch.bfloat16)
GPU = Gpu("one", memory=80, teraflops=1000, bandwidth=4.0)


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> list[RunPlan]:
    return make_plan(toy_recipe(save_toy_model(tmp_path_factory.mktemp("model")), "seeds=[0, 1]"))


def test_hours_are_products_and_weights_read_for_each_place(plans: list[RunPlan]) -> None:
    (plan,) = plans
    few = Decoding(batches=8, prompts=2, prompt_tokens=10, group_size=1, places=100)
    counted = replace(
        plan,
        seeds=2,
        models=3,
        trained_tokens=5e6,
        answered_tokens=1e6,
        validated_tokens=2e6,
        decoded=(few, replace(few, batches=1)),
        answered=replace(few, batches=16),
    )
    products = 4e9 * (6 * 5e6 * 2 + 2 * (1e6 * 3 + 2e6 * 2)) / 1e15
    read = 4e10 / 4e12
    passes = 2 * (800 + 100) + 3 * 1600
    assert GPU.hours([counted], SIZE, together=1) * 3600 == pytest.approx(products + passes * read)
    assert GPU.hours([counted], SIZE, together=8) * 3600 == pytest.approx(products / 8 + passes * read)


def test_what_does_not_fit_at_once_is_decoded_in_parts_as_the_engine_does() -> None:
    work = Decoding(batches=10, prompts=32, prompt_tokens=300, group_size=8, places=512)
    each = FOOTPRINT.decoding(300, 8, 512)
    for memory, together in ((80, 1), (48, 1), (48, 8)):
        gpu = replace(GPU, memory=memory)
        own = 32 // together
        parts = split_by_size([each] * own, slice(0, own), int(gpu.room(SIZE)))
        assert gpu.passes(work, SIZE, together=together) == 10 * len(parts) * 512
    assert replace(GPU, memory=48).passes(work, SIZE, together=1) > GPU.passes(work, SIZE, together=1)
    assert replace(GPU, memory=24).passes(work, SIZE, together=1) == 10 * 32 * 512  # a prompt at a time


def test_what_is_decoded_follows_from_the_recipe(tmp_path: Path) -> None:
    folder = save_toy_model(tmp_path)
    more = ("data.validation={toy: 5}", "data.test={toy: 7}", "train.validate_every=2")
    recipe = toy_recipe(folder, *more)
    sampled = make_plan(toy_recipe(folder, "objective.preset=paper", "reward.preset=paper", *more))[0]
    enumerated = make_plan(recipe)[0]
    step = sampled.decoded[0]
    assert (step.batches, step.prompts, step.group_size, step.places) == (6, 4, 3, 10)
    assert 20 < step.prompt_tokens < 160
    assert enumerated.decoded[0].places == 0
    for plan in (sampled, enumerated):
        watched, answered = plan.decoded[1], plan.answered
        assert (watched.batches, watched.prompts, watched.group_size, watched.places) == (3 * 2, 4, 1, 10)
        assert (answered.batches, answered.places) == (3, 10)  # twelve answers, four at a time
        assert plan.validated_tokens > 3 * 5 * 10
    none = make_plan(toy_recipe(folder))[0]
    assert (none.validated_tokens, none.decoded[1].batches) == (0, 0)


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
    assert rows["RTX 4090"][2:] == ["does not fit", *["-"] * 4]
    h100 = next(gpu for gpu in GPUS if gpu.name == "H100")
    hours = h100.hours(plans, SIZE, together=8) / REACHED[0]
    assert float(rows["H100"][-1].split("-")[-1]) == pytest.approx(8 * 3 * hours, rel=0.01)
    assert {len(row) for row in gpu_table(plans, SIZE)} == {5}
    lines = gpu_text(plans, SIZE).splitlines()
    assert "40.2 GB of weights and optimiser" in lines[0]
    assert len(lines) == 3 + len(GPUS)
    assert max(map(len, lines[2:])) < 80
    assert len({line.index("GB") for line in lines[3:] if "does not fit" in line}) == 1


def test_on_the_command_line() -> None:
    shown = CliRunner().invoke(app, ["run", "demo", "--plan", "--gpu-hour", "2.5"])
    assert shown.exit_code == 0, shown.output
    assert "at 5% to 40% of the data sheets' speed" in shown.stdout
    assert "cost on 8" in shown.stdout
    for words, told in (
        (["demo", "--gpu-hour", "2.5"], "no effect without --plan"),
        (["paper-fever-service", "--plan", "--gpu-hour", "2.5"], "a service has prices of its own"),
    ):
        wrong = CliRunner().invoke(app, ["run", *words])
        assert wrong.exit_code == 2
        assert told in wrong.output
    if not torch.cuda.is_available():
        elsewhere = CliRunner().invoke(app, ["run", "demo", "--plan", "-o", "model.device=cuda"])
        assert elsewhere.exit_code == 0
        assert "hours and memory here are not known" in elsewhere.stdout
        assert "hours on 8" in elsewhere.stdout
