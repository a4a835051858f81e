"""What ``import candor`` hands out."""

from __future__ import annotations

import typing

import pytest

import candor


def test_every_name_is_listed_and_there() -> None:
    assert dir(candor) == candor.__all__ == sorted(candor.__all__, key=lambda name: (not name[0].isupper(), name))
    for name in candor.__all__:
        assert getattr(candor, name).__doc__


def test_type_checkers_see_the_same_names() -> None:
    """The names loaded lazily are those that are imported for type checking, from the same places."""
    import ast
    from pathlib import Path

    tree = ast.parse(Path(candor.__file__).read_text(encoding="utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == candor._PLACES
    assert typing.TYPE_CHECKING is False


def test_another_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'veryfier'; it has .*Verifier"):
        _ = candor.veryfier  # type: ignore[attr-defined]
