"""The engine of a run is loaded where other weights are needed, and is the model that the run was begun with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from toy import save_toy_model, toy_recipe

from candor.errors import RunError
from candor.files import read_json, write_json
from candor.progress import Reporter
from candor.run_folder import RunFolder
from candor.runs import run_engine
from candor.runs.run_engine import RunEngine


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was loaded, time by time: the adapter that was asked for."""
    found: list[Any] = []
    load = run_engine.load_engine

    def counted(*args: Any, **options: Any) -> Any:
        found.append(options["adapter"])
        return load(*args, **options)

    monkeypatch.setattr(run_engine, "load_engine", counted)
    return found


def engine_of(model: Path, out: Path) -> RunEngine:
    recipe = toy_recipe(model)
    return RunEngine(RunFolder(out), recipe, 0, recipe.prompt.rendered(), Reporter(quiet=True))


def test_it_is_loaded_anew_only_where_other_weights_are_needed(model: Path, tmp_path: Path, loads: list[Any]) -> None:
    engine = engine_of(model, tmp_path)
    first = engine.holding("base")
    assert engine.holding("base") is first
    first.save_adapter(RunFolder(tmp_path).adapter)
    assert engine.holding("trained") is not first
    assert loads == [True, RunFolder(tmp_path).adapter]


def test_what_a_training_may_have_changed_is_not_used_again(model: Path, tmp_path: Path, loads: list[Any]) -> None:
    engine = engine_of(model, tmp_path)
    trained = engine.to_train("base")
    assert len(loads) == 1
    assert engine.holding("base") is not trained
    trained = engine.to_train("base")
    engine.is_now("trained")
    assert engine.holding("trained") is trained
    assert len(loads) == 2


@pytest.mark.parametrize(
    ("noted", "refused"),
    [
        ({"base": "another"}, "was begun with the base model another"),
        ({"rendered_sha256": "0" * 64}, r"was begun with prompts of another form: .* has changed since"),
        ({"dtype": "torch.bfloat16"}, r"was begun in torch\.bfloat16, and on this machine model\.dtype: .*float32"),
    ],
)
def test_another_model_than_the_run_was_begun_with_is_refused(
    model: Path, tmp_path: Path, noted: dict[str, str], refused: str
) -> None:
    """Another base model of the same name, a chat template that has changed, a processor that chooses another dtype."""
    engine_of(model, tmp_path).holding("base")
    path = RunFolder(tmp_path).engine
    write_json(path, read_json(path) | noted)
    with pytest.raises(RunError, match=refused):
        engine_of(model, tmp_path).holding("base")
    assert read_json(path)[next(iter(noted))] == noted[next(iter(noted))]


def test_one_byte_of_the_base_model_is_another_base_model(model: Path, tmp_path: Path) -> None:
    own = tmp_path / "model"
    shutil.copytree(model, own)
    engine_of(own, tmp_path / "run").holding("base")
    engine_of(own, tmp_path / "run").holding("base")
    weights = bytearray((own / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (own / "model.safetensors").write_bytes(weights)
    with pytest.raises(RunError, match=r"was begun with the base model .*SHA-256.*, and here it is .*SHA-256"):
        engine_of(own, tmp_path / "run").holding("base")
    noted = RunFolder(tmp_path / "run").engine
    write_json(noted, read_json(noted) | {"base": f"{own}@None"})  # a run of before
    engine_of(own, tmp_path / "run").holding("base")


def test_a_warm_start_that_is_not_there_says_which_stage_makes_it(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no warm start to go on from; run the stage warm first"):
        engine_of(model, tmp_path).holding("warm")
