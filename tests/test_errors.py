"""One tree of errors, in one place."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import candor
from candor import errors
from candor.errors import CandorError

TREE = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, CandorError)}


def test_errors_for_people_are_defined_in_the_tree_alone() -> None:
    assert "CandorError" in TREE
    found = {
        f"{path.name}: {node.name}"
        for path in Path(candor.__file__).parent.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in TREE
    }
    assert found == set()
