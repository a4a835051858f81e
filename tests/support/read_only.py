"""A folder as it is on a disk that takes no writes, for tests that may run as a user whom no permission stops."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.link", "os.symlink"}

_closed: list[Path] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would change a closed folder; hooks cannot be taken away, so there is one and it is mostly idle."""
    if not _closed or (event != "open" and event not in CHANGES):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING):
        return
    for name in arguments[:2] if event == "os.rename" else arguments[:1]:
        if not isinstance(name, str | bytes | os.PathLike):
            continue
        path = Path(os.fsdecode(name)).absolute()
        there = event == "os.mkdir" and path.is_dir()  # which fails for that reason, on any disk
        if not there and any(folder in (path, *path.parents) for folder in _closed):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


sys.addaudithook(_watch)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let every write in and below a folder fail while the block runs."""
    access = os.access

    def closed(path: Any, mode: int, **options: Any) -> bool:
        inside = folder in (Path(path), *Path(path).parents)
        return access(path, mode, **options) and not (inside and mode & os.W_OK)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", closed)
        _closed.append(folder)
        try:
            yield
        finally:
            _closed.remove(folder)
