"""SHA-256 of files that later work rests on, kept beside them, so that damage is refused and never worked with.

A seal guards against what happens to disks, copies and hands, not against people: who can change a file can change
its seal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from candor.errors import DamagedError, DataError
from candor.files import read_json, sha256, write_json

SEAL: Final = "sha256.json"
"""In a folder: the hashes of its files, and what else was true when they were written."""

_OF_ITSELF: Final = "seal"
"""Key of the hash over all the rest of a seal."""


class Seal:
    """The hashes of some files in and below a folder, as a file of that folder."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; nothing is read yet."""
        self._folder = folder
        self._path = folder / SEAL

    @property
    def is_there(self) -> bool:
        """Whether the folder was sealed."""
        return self._path.is_file()

    def add(self, paths: Iterable[Path], notes: Mapping[str, Any] | None = None) -> None:
        """Note the hashes of files as they are now, and what else is to be kept with them.

        Raises:
            DamagedError: the seal that is there cannot be read.
        """
        there = self._read() if self.is_there else {"files": {}}
        found = {self._name(path): sha256(path) for path in paths}
        files = dict(sorted((there["files"] | found).items()))
        sealed = there | dict(notes or {}) | {"files": files}
        if sealed != there:
            write_json(self._path, sealed | {_OF_ITSELF: _hash(sealed)})

    def expected(self, path: Path) -> str | None:
        """The hash that is noted for a file, whether it is there or not; ``None`` for none.

        Raises:
            DamagedError: the seal cannot be read.
        """
        value = self._read()["files"].get(self._name(path)) if self.is_there else None
        return None if value is None else str(value)

    def missing(self) -> list[Path]:
        """Files whose hashes are noted and that are not there.

        Raises:
            DamagedError: the seal cannot be read.
        """
        names = self._read()["files"] if self.is_there else {}
        return [self._folder / name for name in names if not (self._folder / name).is_file()]

    def check(self, paths: Iterable[Path] | None = None) -> dict[str, Any]:
        """Compare files with their hashes; those without one are let pass.

        Args:
            paths: the files to look at, of which those that are not there are let pass; default: every file that was
                noted, and each must be there.

        Returns:
            What was kept beside the hashes; empty where the folder was never sealed.

        Raises:
            DamagedError: a file is missing or is not what was written, or the seal cannot be read; names the file.
        """
        if not self.is_there:
            return {}
        sealed = self._read()
        names = sealed["files"]
        if paths is not None:
            asked = {self._name(path) for path in paths if path.is_file()}
            names = {name: value for name, value in names.items() if name in asked}
        for name, value in names.items():
            path = self._folder / name
            if not path.is_file():
                raise DamagedError(f"{path} is gone, and {self._path} knows of it; restore it from a copy")
            if sha256(path) != value:
                raise DamagedError(
                    f"{path} is not what was written (its SHA-256 differs from the one in {self._path.name}); restore "
                    "it from a copy, or remove it and all that was made from it"
                )
        return {key: value for key, value in sealed.items() if key != "files"}

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _read(self) -> dict[str, Any]:
        remedy = "restore it from a copy, or remove it to go on unchecked"
        try:
            sealed = read_json(self._path)
        except DataError as error:
            raise DamagedError(f"{error}; {remedy}") from error
        if not isinstance(sealed, dict) or sealed.pop(_OF_ITSELF, None) != _hash(sealed):
            raise DamagedError(f"{self._path} is not what was written; {remedy}")
        return dict(sealed)


def seal_folder(folder: Path, notes: Mapping[str, Any] | None = None, *, but: Iterable[str] = ()) -> None:
    """Seal every file in and below a folder.

    Args:
        folder: the folder; its seal is written last, so that one without was never completed.
        notes: what to keep beside the hashes; JSON values.
        but: names of files that people may change.
    """
    left_out = {SEAL, *but}
    (folder / SEAL).unlink(missing_ok=True)
    Seal(folder).add((path for path in folder.rglob("*") if path.is_file() and path.name not in left_out), notes)


def _hash(sealed: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()
