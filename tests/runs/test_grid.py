"""Which folder each arm and seed has, and that no other recipe's run is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.errors import RunError
from candor.files import write_json
from candor.recipe.recipe import Recipe, load_recipe, recipe_from
from candor.run_folder import RunFolder
from candor.runs.grid import claim_folder, members

MINIMAL = {"name": "mine", "model": {"name": "m"}, "data": {"sources": {"wiki": {"kind": "sandbox"}}}}


def recipe(**changes: object) -> Recipe:
    return recipe_from({**MINIMAL, **changes})


def test_a_single_run_has_the_folder_itself_and_its_own_report(tmp_path: Path) -> None:
    (alone,) = members(recipe(), tmp_path)
    assert (alone.folder, alone.arm, alone.seed) == (RunFolder(tmp_path), "", 0)
    assert "report" in alone.recipe.stages


def test_every_arm_at_every_seed_has_a_folder_below(tmp_path: Path) -> None:
    arms = {"one": {"train": {"steps": 1}}, "two": {"train": {"steps": 2}}}
    found = members(recipe(seeds=[3, 4], arms=arms), tmp_path)
    assert [member.folder.path.name for member in found] == ["one-seed3", "one-seed4", "two-seed3", "two-seed4"]
    assert [(member.recipe.train.steps, member.recipe.seeds) for member in found] == [
        (1, [3]),
        (1, [4]),
        (2, [3]),
        (2, [4]),
    ]
    assert not any("report" in member.recipe.stages for member in found)  # the group has one page together
    assert [m.folder.path.name for m in members(recipe(seeds=[1, 2]), tmp_path)] == ["seed1", "seed2"]
    assert [m.folder.path.name for m in members(recipe(arms={"one": {}}), tmp_path)] == ["one-seed0"]


def test_a_start_before_any_stage_was_finished_does_not_block_the_corrected_run(tmp_path: Path) -> None:
    (first,) = members(recipe(), tmp_path / "run")
    claim_folder(first)
    first.folder.data.mkdir()
    (first.folder.data / "calibration.jsonl").write_text("left over")
    write_json(first.folder.engine, {"base": "another model"})
    (corrected,) = members(recipe(train={"steps": 7}), tmp_path / "run")
    claim_folder(corrected)
    assert load_recipe(corrected.folder.recipe) == corrected.recipe
    assert not corrected.folder.data.exists()
    assert not corrected.folder.engine.exists()
    claim_folder(corrected)


def test_a_folder_belongs_to_one_recipe(tmp_path: Path) -> None:
    (first,) = members(recipe(), tmp_path / "run")
    claim_folder(first)
    assert load_recipe(first.folder.recipe) == first.recipe
    claim_folder(first)
    (described,) = members(recipe(description="other words", stages=["data"]), tmp_path / "run")
    claim_folder(described)
    assert load_recipe(first.folder.recipe) == described.recipe
    (other,) = members(recipe(train={"steps": 7}, seeds=[1]), tmp_path / "run")
    write_json(first.folder.manifest, {})  # its first stage is finished
    with pytest.raises(RunError, match=r"another recipe \(it differs in seeds, train\.steps\)"):
        claim_folder(other)
    assert load_recipe(first.folder.recipe) == described.recipe
