"""A module of a user's own, where Python finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from candor.extensions import load_extension


def write_module(source: str, kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write it into the working directory, which ``folder`` becomes; returns a name that no other test uses."""
    monkeypatch.chdir(folder)
    load_extension.cache_clear()
    name = f"{kind}_{folder.name}"
    (folder / f"{name}.py").write_text(source)
    return name
