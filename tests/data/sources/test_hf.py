from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from candor.data.rows import BadRows
from candor.data.sources.hf import load
from candor.errors import DataError
from candor.recipe.data import HfSource

datasets = pytest.importorskip("datasets")


def saved(folder: Path) -> Path:
    names = ["entailment", "neutral", "contradiction"]
    features = datasets.Features(
        {
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=names),
        }
    )

    def part(start: int, count: int) -> Any:
        rows = {
            "premise": [f"P{n}" for n in range(start, start + count)],
            "hypothesis": [f"H{n}" for n in range(start, start + count)],
            "label": [n % 3 for n in range(start, start + count)],
        }
        return datasets.Dataset.from_dict(rows, features=features)

    datasets.DatasetDict({"train": part(0, 9), "test": part(9, 3)}).save_to_disk(str(folder / "nli"))
    return folder / "nli"


def source(path: str, **values: Any) -> HfSource:
    columns = {"claim": "hypothesis", "evidence": "premise"}
    return HfSource.model_validate({"kind": "hf", "path": path, "columns": columns, **values})


def test_a_saved_folder_is_read_with_the_names_of_its_labels(tmp_path: Path) -> None:
    loaded = load("nli", source(str(saved(tmp_path))), tmp_path, BadRows("error"))
    assert loaded.notes()["labels"] == {"PASS": 4, "FAIL": 4, "NA": 4}
    assert (loaded.examples[0].claim, loaded.examples[0].evidence) == ("H0", ("P0",))
    assert {file.rows for file in loaded.files} == {9, 3}


def test_parts_and_places_below_the_data_folder(tmp_path: Path) -> None:
    saved(tmp_path)
    loaded = load("nli", source("nli", parts=["test"]), tmp_path, BadRows("error"))
    assert len(loaded.examples) == 3
    with pytest.raises(DataError, match="no 'dev' in it; there are: train, test"):
        load("nli", source("nli", parts=["dev"]), tmp_path, BadRows("error"))


def test_what_cannot_be_loaded_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match=r"nobody/nothing: datasets cannot load it .no network.*save_to_disk"):
        load("nli", source("nobody/nothing"), tmp_path, BadRows("error"))
