from __future__ import annotations

from pathlib import Path

import pytest
from own_module import write_module

from candor.data.rows import BadRows
from candor.data.sources.function import load
from candor.errors import DataError, RecipeError
from candor.recipe.data import FunctionSource

SOURCE = """
def rows(count, data_dir):
    for n in range(count):
        label = "nei" if n % 2 else "supports"
        yield {"claim": f"C{n} in {data_dir.name}", "evidence": ["E"], "label": label, "group": n // 2}


def alike(count):
    return [{"id": "1", "claim": f"C{n}", "evidence": "", "label": "NA"} for n in range(count)]


def fails():
    yield {"claim": "C", "evidence": "", "label": "NA"}
    raise OSError("the server is gone")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return write_module(SOURCE, "claims", tmp_path, monkeypatch)


def source(load: str, **options: object) -> FunctionSource:
    return FunctionSource.model_validate({"kind": "function", "load": load, "options": options})


def test_rows_become_examples_with_the_functions_hash(module: str, tmp_path: Path) -> None:
    loaded = load("mine", source(f"{module}:rows", count=6), tmp_path, BadRows("error"))
    assert [example.claim for example in loaded.examples][:2] == [f"C0 in {tmp_path.name}", f"C1 in {tmp_path.name}"]
    assert loaded.examples[0].group == loaded.examples[1].group == "rows:0"
    notes = loaded.notes()
    assert notes["labels"] == {"PASS": 3, "FAIL": 0, "NA": 3}
    assert len(notes["sha256"]) == 64
    assert notes["files"][0]["rows"] == 6
    again = load("mine", source(f"{module}:rows", count=6), tmp_path, BadRows("error"))
    assert again.files == loaded.files
    assert load("mine", source(f"{module}:rows", count=4), tmp_path, BadRows("error")).files != loaded.files


def test_mistakes_are_told_with_the_function_that_made_them(module: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data.sources.mine.options: .*missing a required argument: 'count'"):
        load("mine", source(f"{module}:rows"), tmp_path, BadRows("error"))
    with pytest.raises(DataError, match=r"fails: failed: OSError.*the server is gone.*candor check"):
        load("mine", source(f"{module}:fails"), tmp_path, BadRows("error"))
    with pytest.raises(DataError, match=r"alike:2: id '1' is already that of"):
        load("mine", source(f"{module}:alike", count=2), tmp_path, BadRows("error"))
    assert len(load("mine", source(f"{module}:alike", count=3), tmp_path, BadRows("skip")).skipped) == 2
    with pytest.raises(DataError, match="holds no row"):
        load("mine", source(f"{module}:rows", count=0), tmp_path, BadRows("error"))
