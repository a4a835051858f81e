"""The form is that of the published header; rows are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.data.inputs import load_named
from candor.data.sources.load import load_source
from candor.errors import DataError
from candor.recipe.data import HealthverSource
from candor.types import Example, Label

HEADER = "id,evidence,claim,label,topic_ip,question\n"
ROWS = {
    "train": '224,"It began in 2019, they say.",The virus is man-made,Neutral,1,what is the origin\n',
    "dev": "225,Masks help.,Masks help ,Supports,44,do masks help\n",
    "test": '226,"Masks ""help"".",Masks harm,Refutes,44,do masks help\n',
}


def write(folder: Path, *parts: str) -> Path:
    (folder / "healthver").mkdir()
    for part in parts:
        (folder / "healthver" / f"healthver_{part}.csv").write_text(HEADER + ROWS[part])
    return folder


def test_all_parts_that_are_there(tmp_path: Path) -> None:
    loaded = load_named("healthver", data_dir=write(tmp_path, "train", "dev", "test"))
    assert loaded.examples == (
        Example("224", "healthver", "The virus is man-made", ("It began in 2019, they say.",), Label.NA, "healthver:1"),
        Example("225", "healthver", "Masks help", ("Masks help.",), Label.PASS, "healthver:44"),
        Example("226", "healthver", "Masks harm", ('Masks "help".',), Label.FAIL, "healthver:44"),
    )
    assert loaded.settings["parts"] == ["train", "dev", "test"]


def test_parts_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path, "dev")
    assert load_named("healthver", data_dir=folder).settings["parts"] == ["dev"]
    config = HealthverSource.model_validate({"kind": "healthver", "parts": ["train"]})
    with pytest.raises(DataError, match=r"no healthver_train\.csv there; run `candor data fetch healthver"):
        load_source("h", config, data_dir=folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no healthver_train\.csv there"):
        load_named("healthver", data_dir=tmp_path / "empty")
