"""One tree of errors, and data errors that say where."""

from __future__ import annotations

import ast
import inspect
import pickle
from pathlib import Path

import pytest

import candor
from candor import errors
from candor.errors import CandorError, DataError, EngineError, FetchError, NumericsError, SplitError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_all_are_told_to_people_in_one_line() -> None:
    assert len(TREE) >= 10
    assert all(issubclass(kind, CandorError) for kind in TREE)
    # What candor did not foresee is no error of the tree, so that it keeps its traceback.
    assert not issubclass(ValueError, CandorError)
    assert not any(issubclass(kind, ValueError | OSError | RuntimeError) for kind in TREE)


def test_whoever_catches_data_errors_catches_splits_and_downloads() -> None:
    assert issubclass(SplitError, DataError)
    assert issubclass(FetchError, DataError)
    assert issubclass(NumericsError, EngineError)


@pytest.mark.parametrize("kind", [DataError, SplitError, FetchError])
@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({}, "broken"),
        ({"file": "a.csv"}, "a.csv: broken"),
        ({"file": Path("b") / "a.csv", "line": 3}, "b/a.csv:3: broken"),
        # Without a file a line says nothing.
        ({"line": 3}, "broken"),
    ],
)
def test_the_place_stands_in_front(kind: type[DataError], place: dict[str, object], text: str) -> None:
    error = kind("broken", **place)  # type: ignore[arg-type]
    assert str(error) == text
    assert error.file == (None if "file" not in place else str(place["file"]))
    assert error.line == place.get("line")


@pytest.mark.parametrize("kind", TREE)
def test_errors_come_back_from_a_worker_process(kind: type[CandorError]) -> None:
    back = pickle.loads(pickle.dumps(kind("a message")))
    assert type(back) is kind
    assert str(back) == "a message"


def test_errors_for_people_are_defined_in_the_tree_alone() -> None:
    names = {kind.__name__ for kind in TREE}
    found = {
        f"{path.name}: {node.name}"
        for path in Path(candor.__file__).parent.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in names
    }
    assert found == set()
