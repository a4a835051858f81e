"""What training goes on from: its own recipe, adapters by path and name, and what they have seen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from places import ROOT
from safetensors.torch import load_file
from toy import example, toy_engine
from toy_run import make_run

from candor.data.examples import read_examples
from candor.data.splits import traces
from candor.engines.local.warm_start import continue_from
from candor.engines.named import NAMED
from candor.errors import RunError
from candor.files import read_json, write_json
from candor.recipe.recipe import Recipe, load_recipe, load_run_recipe, recipe_from
from candor.recipe.warm_start import ReadyWarmStart, TrainedWarmStart
from candor.run_folder import RunFolder
from candor.runs import warm_start
from candor.runs.warm_start import (
    TRAINED_ON,
    copy_adapter,
    find_adapter,
    note_trained_on,
    pack,
    seen_before,
    training_recipe,
)
from candor.seals import Seal


def recipe(*overrides: str) -> Recipe:
    values = {
        "name": "r",
        "model": {"name": "sandbox"},
        "data": {
            "sources": {"toy": {"kind": "sandbox", "domain": "wiki"}, "climate": {"kind": "climatefever"}},
            "train": {"toy": 8},
            "test": {"climate": 3},
            "warm_start": {"toy": 5},
        },
        "warm_start": {"train": {"steps": 7}, "objective": {"preset": "sft", "constant_confidence": 0.6}},
        "arms": {"paper": {"reward": {"preset": "paper"}}},
    }
    return recipe_from(values, overrides)


def adapter(folder: Path) -> Path:
    folder.mkdir()
    write_json(folder / "adapter_config.json", {})
    return folder


def test_its_training_is_the_runs_but_for_objective_and_schedule() -> None:
    run = recipe()
    assert isinstance(run.warm_start, TrainedWarmStart)
    own = training_recipe(run, run.warm_start)
    assert own.train == run.warm_start.train
    assert own.objective == run.warm_start.objective
    assert (own.model, own.prompt, own.data.sources) == (run.model, run.prompt, run.data.sources)
    assert own.warm_start is None
    assert own.data.warm_start == {}


def test_an_adapter_is_found_by_its_path_and_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_path = adapter(tmp_path / "mine")
    assert find_adapter(ReadyWarmStart(adapter=str(by_path))) == by_path
    monkeypatch.setattr(warm_start, "PACKAGED", tmp_path)
    assert find_adapter(ReadyWarmStart(adapter="mine")) == by_path
    with pytest.raises(RunError, match="no PEFT folder 'yours'; by name there are: mine"):
        find_adapter(ReadyWarmStart(adapter="yours"))


def test_what_an_adapter_was_trained_on_is_noted_beside_it_without_its_words(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    assert seen_before(recipe(), folder) is None
    examples = [example(index) for index in range(4)]
    note_trained_on(folder, recipe(), examples)
    assert seen_before(recipe(), folder) == frozenset(traces(examples))
    noted = read_json(folder / TRAINED_ON)
    assert (noted["kinds"], noted["examples"]) == (["sandbox"], 4)
    assert examples[0].claim not in (folder / TRAINED_ON).read_text()


def test_an_adapter_that_has_seen_a_domain_which_is_to_be_unseen_is_refused(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    note_trained_on(folder, recipe(), [dataclasses.replace(example(1), dataset="climate")])
    with pytest.raises(RunError, match="was trained on climatefever, which this recipe does not train on"):
        seen_before(recipe(), folder)


def test_a_copy_has_every_file(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "weights").write_text("w")
    copy_adapter(folder, tmp_path / "b" / "adapter")
    assert sorted(path.name for path in (tmp_path / "b" / "adapter").iterdir()) == ["adapter_config.json", "weights"]


def test_a_packed_adapter_is_half_as_large_says_what_it_has_seen_and_can_be_gone_on_from(tmp_path: Path) -> None:
    run = RunFolder(make_run(tmp_path))
    packed = pack(run.path, tmp_path / "packed", "mine")
    made, small = (load_file(path / "adapter_model.safetensors") for path in (run.adapter, packed))
    assert all(torch.equal(small[name], values.bfloat16()) for name, values in made.items())
    assert find_adapter(ReadyWarmStart(adapter=str(packed))) == packed
    seen = [e for split in ("train", "validation") for e in read_examples(run.examples(split))]
    assert read_json(packed / TRAINED_ON)["traces"] == sorted(traces(seen))
    assert (packed / "recipe.yaml").read_bytes() == run.recipe.read_bytes()
    engine = toy_engine(tmp_path / "model", trained=False)
    continue_from(engine._model, packed)
    with pytest.raises(RunError, match="its training is not at its end"):
        pack(tmp_path / "none", tmp_path / "packed", "none")


RECIPES = sorted(path for path in (ROOT / "recipes/real").glob("*.yaml") if "warm_start: {adapter:" in path.read_text())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_ask_as_the_packed_adapter_that_they_go_on_from_was_asked(path: Path) -> None:
    recipe = load_recipe(path)
    assert isinstance(recipe.warm_start, ReadyWarmStart)
    packed = find_adapter(recipe.warm_start)
    Seal(packed).check()
    maker = load_run_recipe(packed / "recipe.yaml")
    assert (recipe.prompt, recipe.model.name) == (maker.prompt, maker.model.name)
    assert (recipe.model.lora.rank, recipe.model.lora.alpha) == (maker.model.lora.rank, maker.model.lora.alpha)
    assert maker.model_copy(update={"name": ""}) == load_recipe(ROOT / "recipes/real/warm-start.yaml").model_copy(
        update={"name": ""}
    )
    assert sum(file.stat().st_size for file in packed.iterdir()) < 6e6
    assert read_json(packed / "adapter_config.json")["base_model_name_or_path"] == NAMED[maker.model.name].hub
