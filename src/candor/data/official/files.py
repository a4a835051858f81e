"""The official files: where they come from, what they hash to, and where they lie in a data folder, zipped or not."""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import pooch

from candor.errors import DataError


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file as its authors publish it.

    The publishers state no checksums. Those here are the values on which several independent public records of
    the files agree, and are the same as those of the copies that candor was tested with.
    """

    dataset: str
    name: str
    url: str
    sha256: str


OFFICIAL_FILES = (
    OfficialFile(
        "fever",
        "train.jsonl",
        "https://fever.ai/download/fever/train.jsonl",
        "eba7e8f87076753f8494718b9a857827af7bf73e76c9e4b75420207d26e588b6",
    ),
    OfficialFile(
        "fever",
        "shared_task_dev.jsonl",
        "https://fever.ai/download/fever/shared_task_dev.jsonl",
        "e89865bfe1b4dd054e03dd57d7241a6fde24862905f31117cf0cd719f7c78df7",
    ),
    OfficialFile(
        "fever",
        "wiki-pages.zip",
        "https://fever.ai/download/fever/wiki-pages.zip",
        "4b06d95da6adf7fe02d2796176c670dacccb21348da89cba4c50676ab99665f2",
    ),
    OfficialFile(
        "vitaminc",
        "vitaminc.zip",
        "https://github.com/TalSchuster/talschuster.github.io/raw/master/static/vitaminc.zip",
        "49d82dc1690cbee420d18e2c26f687a7937710bb211845d2571430dfd4dc0337",
    ),
    OfficialFile(
        "climatefever",
        "climate-fever.jsonl",
        "https://raw.githubusercontent.com/tdiggelm/climate-fever-dataset/main/dataset/climate-fever.jsonl",
        "8a4b9032d861be482ffb49dddfd283ffa6089e654f1e968040011882c5eb6e0b",
    ),
)
OFFICIAL_DATASETS = ("fever", "vitaminc", "climatefever")

_ARCHIVES = {"fever": ("fever*.zip",), "vitaminc": ("vitaminc*.zip",), "climatefever": ("climate*.zip",)}
"""Archives in the data folder itself that can hold a dataset's files; in the dataset's own folder any can."""

_FOLDERS = {
    "fever": ("fever", "fever-data", "."),
    "vitaminc": ("vitaminc", "vitaminc/vitaminc", "vitaminc_real", "vitaminc/vitaminc_real"),
    "climatefever": ("climatefever", "climate-fever", "."),
}


@dataclass(frozen=True, slots=True)
class DataPath:
    """A file on disk, or a member of a zip archive on disk."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open for reading, decompressing zip members and ``.gz`` files as they are read.

        Raises:
            DataError: the file is not there, cannot be read or is damaged.
        """
        try:
            with contextlib.ExitStack() as stack:
                if self.member is not None:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    yield cast(BinaryIO, stack.enter_context(archive.open(self.member)))
                elif self.path.suffix == ".gz":
                    yield cast(BinaryIO, stack.enter_context(gzip.open(self.path)))
                else:
                    yield stack.enter_context(self.path.open("rb"))
        except FileNotFoundError as error:
            raise DataError("no such file", file=self.path) from error
        except (OSError, EOFError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise DataError(f"cannot be read, perhaps damaged ({error})", file=str(self)) from error


def find(data_dir: Path, dataset: str, name: str) -> DataPath | None:
    """Where a dataset's file lies: as it is, gzipped, or in a zip archive; in its own folder or the data folder.

    Raises:
        DataError: the data folder does not exist, or an archive is damaged or unsafe.
    """
    if not data_dir.is_dir():
        raise DataError(
            f"no such data folder; run `candor data fetch {dataset} --data-dir {data_dir}`, "
            "or give another with --data-dir DIR",
            file=data_dir,
        )
    for relative in _FOLDERS[dataset]:
        folder = data_dir / relative
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return DataPath(candidate)
    for relative in (*_FOLDERS[dataset], "."):
        patterns: Sequence[str] = _ARCHIVES[dataset] if relative == "." else ("*.zip",)
        for archive in sorted((data_dir / relative).glob("*.zip")):
            if not any(fnmatch.fnmatch(archive.name, pattern) for pattern in (*patterns, f"{name}*")):
                continue
            for member in zip_members(archive):
                if PurePosixPath(member).name == name:
                    return DataPath(archive, member)
    return None


def find_dump(data_dir: Path) -> Path | None:
    """Where FEVER's Wikipedia dump lies: the archive, or a folder with its shards."""
    for folder in (data_dir / "fever", data_dir):
        for candidate in (folder / "wiki-pages.zip", folder / "wiki-pages"):
            if candidate.exists():
                return candidate
    return None


def require(data_dir: Path, dataset: str, name: str) -> DataPath:
    """Like :func:`find`, but a file that is not there is an error that says how to get it."""
    found = find(data_dir, dataset, name)
    if found is None:
        raise DataError(
            f"no {name} there; run `candor data fetch {dataset} --data-dir {data_dir}`, "
            f"or put the official file (zipped or not) into {data_dir}/{dataset}",
            file=data_dir,
        )
    return found


def default_data_dir() -> Path:
    """Where official files lie unless a folder is given: ``data`` here, or else the user's cache folder."""
    here = Path("data")
    return here if here.is_dir() else Path(pooch.os_cache("candor")) / here


def zip_members(path: Path) -> list[str]:
    """Names of an archive's files.

    Raises:
        DataError: it is no zip archive, or a name points outside of the archive's own folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"not a zip archive, or damaged ({error}); fetch it again", file=path) from error
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in name.partition("/")[0]:
            raise DataError(f"the archive holds {name!r}, which points outside of its folder", file=path)
    return names
