"""The official files: where they come from, what they hash to, and where they lie in a data folder, zipped or not."""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, cast

import pooch

from candor.errors import DataError, MissingFileError


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file as its authors publish it.

    The publishers state no checksums. Those here are the values on which several independent public records of
    the files agree, and are the same as those of the copies that candor was tested with. Where none is known
    (``sha256`` is ``None``), that of the first fetch is kept and holds from then on.
    """

    dataset: str
    name: str
    url: str
    sha256: str | None


def _files(dataset: str, address: str, names: Mapping[str, str | None]) -> tuple[OfficialFile, ...]:
    """Files of a dataset by name (with folders in the address) and checksum."""
    return tuple(
        OfficialFile(dataset, PurePosixPath(name).name, f"{address}/{name}", sha256) for name, sha256 in names.items()
    )


_GITHUB: Final = "https://raw.githubusercontent.com"

OFFICIAL_FILES = (
    *_files(
        "fever",
        "https://fever.ai/download/fever",
        {
            "train.jsonl": "eba7e8f87076753f8494718b9a857827af7bf73e76c9e4b75420207d26e588b6",
            "shared_task_dev.jsonl": "e89865bfe1b4dd054e03dd57d7241a6fde24862905f31117cf0cd719f7c78df7",
            "wiki-pages.zip": "4b06d95da6adf7fe02d2796176c670dacccb21348da89cba4c50676ab99665f2",
        },
    ),
    *_files(
        "vitaminc",
        "https://github.com/TalSchuster/talschuster.github.io/raw/master/static",
        {"vitaminc.zip": "49d82dc1690cbee420d18e2c26f687a7937710bb211845d2571430dfd4dc0337"},
    ),
    *_files(
        "climatefever",
        f"{_GITHUB}/tdiggelm/climate-fever-dataset/main/dataset",
        {"climate-fever.jsonl": "8a4b9032d861be482ffb49dddfd283ffa6089e654f1e968040011882c5eb6e0b"},
    ),
    *_files(
        "check-covid",
        f"{_GITHUB}/posuer/Check-COVID/HEAD/Check-COVID",
        {
            "Check-COVID_all.json": "008b930570d374530528efa9edc6b2a029189a6d21b844ce1857324039d9e697",
            "corpus.json": "2a56084b933f28ec02781a9e501082683ca4b9c4c1c6c8530190d6fb0002ce42",
        },
    ),
    *_files(
        "scitab",
        f"{_GITHUB}/XinyuanLu00/SciTab/main/dataset",
        {"sci_tab.json": "883843572567e6e2457870c349be83dfc2392fe4d13d89317d06ccf908d21573"},
    ),
    *_files(
        "healthver",
        f"{_GITHUB}/sarrouti/HealthVer/HEAD/data",
        {"healthver_train.csv": None, "healthver_dev.csv": None, "healthver_test.csv": None},
    ),
    *_files(
        "averitec",
        f"{_GITHUB}/MichSchli/AVeriTeC/1aa763c2a7e45e53d831db7e05c6cddbbb6c2f16/data",
        {"train.json": None, "dev.json": None},
    ),
    *_files(
        "fever-symmetric",
        f"{_GITHUB}/TalSchuster/FeverSymmetric/master/symmetric_v0.2",
        {"fever_symmetric_dev.jsonl": None, "fever_symmetric_test.jsonl": None},
    ),
)


@dataclass(frozen=True, slots=True)
class OfficialDataset:
    """What is to be known of a dataset before it is used.

    Attributes:
        licence: of its data, as its authors state it.
        folders: in the data folder, in which its files may lie.
        archives: patterns of zip archives in the data folder itself that can hold its files.
        by_hand: where its files are had, for one that is not fetched.
    """

    licence: str
    folders: tuple[str, ...]
    archives: tuple[str, ...] = ()
    by_hand: str | None = None


_WIKIPEDIA: Final = "CC BY-SA 3.0, with Wikipedia's text"

OFFICIAL_DATASETS: Final[Mapping[str, OfficialDataset]] = {
    "fever": OfficialDataset(_WIKIPEDIA, ("fever", "fever-data", "."), ("fever*.zip",)),
    "vitaminc": OfficialDataset(
        _WIKIPEDIA, ("vitaminc", "vitaminc/vitaminc", "vitaminc_real", "vitaminc/vitaminc_real"), ("vitaminc*.zip",)
    ),
    "climatefever": OfficialDataset(
        "none stated beside the data", ("climatefever", "climate-fever", "."), ("climate*.zip",)
    ),
    "check-covid": OfficialDataset(
        "MIT", ("check-covid", "checkcovid", "Check-COVID", "Check-COVID/Check-COVID"), ("Check-COVID*.zip",)
    ),
    "scitab": OfficialDataset("MIT", ("scitab", "SciTab", "SciTab/dataset", "."), ("SciTab*.zip",)),
    "healthver": OfficialDataset(
        "none stated by its authors", ("healthver", "HealthVer", "HealthVer/data", "."), ("HealthVer*.zip",)
    ),
    "scifact": OfficialDataset(
        "claims CC BY 4.0, abstracts ODC-By 1.0",
        ("scifact", "scifact/data"),
        ("scifact*.zip",),
        by_hand="github.com/allenai/scifact tells where data.tar.gz is; unpack it",
    ),
    "averitec": OfficialDataset(
        "CC BY-NC 4.0, not for commercial use", ("averitec", "AVeriTeC", "AVeriTeC/data"), ("AVeriTeC*.zip",)
    ),
    "fever-symmetric": OfficialDataset(
        _WIKIPEDIA,
        ("fever-symmetric", "FeverSymmetric/symmetric_v0.2", "symmetric_v0.2", "."),
        ("FeverSymmetric*.zip",),
    ),
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
        """Open for reading, decompressing zip members and ``.gz`` files, in a zip too, as they are read.

        Raises:
            DataError: the file is not there, cannot be read or is damaged.
        """
        try:
            with contextlib.ExitStack() as stack:
                if self.member is not None:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    packed = stack.enter_context(archive.open(self.member))
                    is_gzipped = self.member.lower().endswith(".gz")
                    yield cast(BinaryIO, stack.enter_context(gzip.open(packed)) if is_gzipped else packed)
                elif self.path.suffix.lower() == ".gz":
                    yield cast(BinaryIO, stack.enter_context(gzip.open(self.path)))
                else:
                    yield stack.enter_context(self.path.open("rb"))
        except FileNotFoundError as error:
            raise DataError("no such file", file=self.path) from error
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise DataError(f"cannot be read, perhaps damaged ({error})", file=str(self)) from error


def find(data_dir: Path, dataset: str, name: str) -> DataPath | None:
    """Where a dataset's file lies: as it is, gzipped, or in a zip archive; in its own folder or the data folder.

    Raises:
        MissingFileError: the data folder does not exist.
        DataError: an archive is damaged or unsafe.
    """
    if not data_dir.is_dir():
        raise MissingFileError(
            f"no such data folder; {_how_to_get(dataset, data_dir)}, or give another with --data-dir DIR", file=data_dir
        )
    for relative in OFFICIAL_DATASETS[dataset].folders:
        folder = data_dir / relative
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return DataPath(candidate)
    for relative in (*OFFICIAL_DATASETS[dataset].folders, "."):
        patterns: Sequence[str] = OFFICIAL_DATASETS[dataset].archives if relative == "." else ("*.zip",)
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
        raise MissingFileError(
            f"no {name} there; {_how_to_get(dataset, data_dir)}, or put the official file (zipped or not) into "
            f"{data_dir}/{dataset}",
            file=data_dir,
        )
    return found


def present(data_dir: Path, dataset: str, files: Mapping[str, str], parts: Sequence[str] | None) -> dict[str, DataPath]:
    """Where the files of a dataset's parts lie: of those that are asked for, or of all that are there.

    Args:
        data_dir: the data folder.
        dataset: which dataset.
        files: names of the files by part.
        parts: those that must be there; ``None`` takes what is.

    Raises:
        MissingFileError: one that is asked for is not there, or none is.
    """
    if parts is not None:
        return {part: require(data_dir, dataset, files[part]) for part in parts}
    found = {part: find(data_dir, dataset, name) for part, name in files.items()}
    there = {part: path for part, path in found.items() if path is not None}
    if not there:
        require(data_dir, dataset, next(iter(files.values())))
    return there


def _how_to_get(dataset: str, data_dir: Path) -> str:
    by_hand = OFFICIAL_DATASETS[dataset].by_hand
    return by_hand or f"run `candor data fetch {dataset} --data-dir {data_dir}`"


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
