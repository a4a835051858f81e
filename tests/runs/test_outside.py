from __future__ import annotations

from pathlib import Path

import pytest
from toy import save_toy_model, toy_recipe

from candor.errors import RunError
from candor.extensions import load_extension
from candor.files import read_json, write_json
from candor.run_folder import RunFolder
from candor.runs.outside import check_outside, outside


def test_changed_code_is_told_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_extension.cache_clear()
    name = f"outside_{tmp_path.name}"
    code = tmp_path / f"{name}.py"
    code.write_text("def term(label):\n    return label * 0.0\n")
    recipe = toy_recipe(save_toy_model(tmp_path / "model"), f"reward.own=[{{term: '{name}:term'}}]")
    folder = RunFolder(tmp_path / "run")
    check_outside(folder, recipe)  # nothing is begun yet
    write_json(folder.manifest, {"outside": outside(recipe)})
    (noted,) = read_json(folder.manifest)["outside"]
    assert (noted["kind"], noted["name"], noted["file"]) == ("reward", "term", str(code))
    check_outside(folder, recipe)
    code.write_text("def term(label):\n    return label * 1.0\n")
    load_extension.cache_clear()
    with pytest.raises(RunError, match=rf"the code of the reward {name}:term has changed since the run was begun"):
        check_outside(folder, recipe)


def test_runs_of_before_there_was_such_code_go_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_json(folder.manifest, {})
    check_outside(folder, toy_recipe(save_toy_model(tmp_path / "model")))
