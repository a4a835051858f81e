"""Tests mirror the package: ``src/candor/A/B.py`` is tested in ``tests/A/test_B.py``."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from places import TESTS

import candor

SOURCE = Path(candor.__file__).parent

UNTESTED = {
    "engines/base.py": "the contract of an engine; tests/contract holds every engine to it",
    "engines/forward.py": "the protocol of a forward path; both paths are tested against each other",
}
"""Modules that hold no behaviour of their own."""

STILL_TO_COME: frozenset[str] = frozenset()
"""Modules whose tests do not lie beside them yet."""

WITHOUT_MODULE = {
    "test_doctests.py": "the examples in all docstrings",
    "test_imports.py": "the order of the package",
    "test_layout.py": "the order of the tests",
}
"""Test files about the package as a whole, or about something that several modules do together."""


def _modules() -> set[str]:
    paths = (path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
    return {path for path in paths if PurePosixPath(path).stem not in ("__init__", "__main__")}


def _test_files() -> set[str]:
    return {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}


def _test_of(module: str) -> str:
    path = PurePosixPath(module)
    return (path.parent / f"test_{path.name}").as_posix()


@pytest.mark.parametrize("module", sorted(_modules() - set(UNTESTED) - STILL_TO_COME))
def test_every_module_has_its_test_file(module: str) -> None:
    assert (TESTS / _test_of(module)).is_file(), f"candor/{module} has no tests/{_test_of(module)}"


@pytest.mark.parametrize("file", sorted(_test_files() - set(WITHOUT_MODULE)))
def test_every_test_file_has_its_module(file: str) -> None:
    assert file in {_test_of(module) for module in _modules()}, (
        f"tests/{file} tests no module of its name; name it after one, or say in {Path(__file__).name} what it is for"
    )


def test_the_lists_hold_nothing_that_is_gone_or_done() -> None:
    assert set(UNTESTED) <= _modules()
    assert _modules() >= STILL_TO_COME
    assert not {module for module in {*UNTESTED, *STILL_TO_COME} if (TESTS / _test_of(module)).is_file()}
    assert set(WITHOUT_MODULE) <= _test_files()
    assert not {_test_of(module) for module in _modules()} & set(WITHOUT_MODULE)
