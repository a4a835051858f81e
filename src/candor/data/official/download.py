"""Fetch official files: resumed after a cut, checked against their checksums, and never fetched twice."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pooch
from tenacity import Retrying, retry_if_exception_type

from candor.data.loaded import checked_sha256, checksum_path
from candor.data.official.files import OFFICIAL_DATASETS, OFFICIAL_FILES, DataPath, OfficialFile, find, find_dump
from candor.errors import FetchError
from candor.files import sha256, write_text
from candor.progress import Reporter

ATTEMPTS = 5
"""Attempts in a row that bring no new byte before fetching gives up."""

_TIMEOUT = httpx2.Timeout(60, connect=10)
_CHUNK = 2**14
"""Bytes written at once; what a cut leaves of an unfinished chunk is lost, so it is small."""
_RETRY = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there now.

    Attributes:
        file: which.
        place: where it lies, or where its contents do.
        new: whether it was fetched now.
    """

    file: OfficialFile
    place: DataPath
    new: bool


def fetch(
    dataset: str,
    data_dir: Path,
    *,
    files: Sequence[OfficialFile] = OFFICIAL_FILES,
    reporter: Reporter | None = None,
    pause: float = 1.0,
) -> list[Fetched]:
    """Fetch the files of a dataset (or of ``all``) that do not lie in the data folder yet, zipped or not.

    Args:
        dataset: one of ``OFFICIAL_DATASETS``, or ``all`` that can be fetched.
        data_dir: made if it does not exist.
        files: the official files; tests give others.
        reporter: told of progress.
        pause: seconds before the second attempt; doubles with each further one.

    Raises:
        FetchError: the dataset is unknown; no network, a server error, a full disk, or a file that is not the
            published one. What has been fetched so far is kept, and the next call goes on from there.
        DataError: a file that was fetched earlier has changed since.
    """
    if dataset not in (*OFFICIAL_DATASETS, "all"):
        raise FetchError(f"unknown dataset {dataset!r}; there are {', '.join(OFFICIAL_DATASETS)} and all")
    if dataset != "all" and (by_hand := OFFICIAL_DATASETS[dataset].by_hand) is not None:
        raise FetchError(f"{dataset} is not fetched: {by_hand}, and put its files into {data_dir / dataset}")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(f"cannot be made ({error}); give another with --data-dir", file=data_dir) from error
    reporter = reporter or Reporter()
    fetched = []
    for file in files:
        if dataset not in (file.dataset, "all"):
            continue
        place = find_official(data_dir, file)
        if place is None:
            fetched.append(Fetched(file, DataPath(_fetch(file, data_dir / file.dataset, reporter, pause)), True))
        else:
            if place.path.is_file():
                checked_sha256(place.path)
            fetched.append(Fetched(file, place, False))
    return fetched


def find_official(data_dir: Path, file: OfficialFile) -> DataPath | None:
    """Where an official file, or what it holds, lies already."""
    if file.name == "wiki-pages.zip":
        dump = find_dump(data_dir)
        return None if dump is None else DataPath(dump)
    # VitaminC's archive counts as there when its training part is, packed or not.
    return find(data_dir, file.dataset, "train.jsonl" if file.name == "vitaminc.zip" else file.name)


def stand_ins(data_dir: Path, file: OfficialFile) -> list[DataPath]:
    """What is read in place of an official file that is not there: the parts of VitaminC that another archive holds."""
    if file.name != "vitaminc.zip" or find_official(data_dir, file) is not None:
        return []
    found = (find(data_dir, "vitaminc", f"{part}.jsonl") for part in ("dev", "test"))
    return [place for place in found if place is not None]


def _fetch(file: OfficialFile, folder: Path, reporter: Reporter, pause: float) -> Path:
    path = folder / file.name
    fetch_file(file.url, file.sha256, path, reporter=reporter, pause=pause)
    write_text(checksum_path(path), f"{file.sha256 or sha256(path)}  {file.name}\n")
    return path


def fetch_file(url: str, checksum: str | None, path: Path, *, reporter: Reporter, pause: float = 1.0) -> None:
    """Fetch one file; what a cut leaves of it is gone on with.

    Args:
        url: its address.
        checksum: SHA-256 that it must have; ``None`` where none is published.
        path: where to put it; the folder is there.
        reporter: told of progress.
        pause: seconds before the second attempt; doubles with each further one.

    Raises:
        FetchError: as :func:`fetch`.
    """
    downloader = _Resuming(path.with_name(f"{path.name}.part"), reporter, pause)
    pooch.get_logger().setLevel(logging.WARNING)
    known = None if checksum is None else f"sha256:{checksum}"
    page = "; it looks like a web page, perhaps of a proxy or a login"
    try:
        pooch.retrieve(url, known, fname=path.name, path=path.parent, downloader=downloader)
    except ValueError as error:
        raise FetchError(
            f"what {url} sent is not the published file (expected SHA-256 {checksum})"
            f"{page if downloader.got_page else ''}. Try again, or fetch it by hand: a file that lies there is used as "
            "it is",
            file=path,
        ) from error
    except OSError as error:
        raise _disk_error(error, path) from error
    if downloader.got_page:
        path.unlink()
        raise FetchError(f"what {url} sent is no data{page}. Try again, or fetch it by hand", file=path)


def _disk_error(error: OSError, path: Path) -> FetchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(
            "the disk is full; make room or give another folder with --data-dir. "
            "What has been fetched is kept, and fetching goes on from there",
            file=path,
        )
    return FetchError(f"cannot be written ({error}); give another folder with --data-dir", file=path)


class _TransferError(Exception):
    """The transfer broke off; it may be taken up again."""


_BROKEN = (
    httpx2.NetworkError,
    httpx2.TimeoutException,
    httpx2.ProxyError,
    httpx2.RemoteProtocolError,
    _TransferError,
)


class _Resuming:
    """A pooch downloader that writes to a file of its own, so that a later attempt or run can go on with it.

    pooch's own would fetch with another HTTP library than the rest of the package, and from the beginning each time.
    """

    def __init__(self, part: Path, reporter: Reporter, pause: float) -> None:
        self.part = part
        self.got_page = False
        self._reporter = reporter
        self._pause = pause
        self._failures = 0

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Fetch ``url`` into ``output_file``."""
        retrying = Retrying(
            retry=retry_if_exception_type(_BROKEN),
            stop=lambda state: self._failures == ATTEMPTS,
            wait=lambda state: self._pause * 2 ** (self._failures - 1),
            reraise=True,
        )
        try:
            retrying(self._attempt, url)
        except _BROKEN as error:
            raise self._unreachable(url, error) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise FetchError(f"{url} cannot be fetched ({error})", file=self.part) from error
        with self.part.open("rb") as stream:
            self.got_page = stream.read(64).lstrip().lower().startswith((b"<!doctype", b"<html"))
        self.part.replace(output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> None:
        """Go on from where the last attempt ended; count those in a row that bring no new byte."""
        before = self._size()
        try:
            self._transfer(url)
        except _BROKEN:
            self._failures = 1 if self._size() > before else self._failures + 1
            raise

    def _transfer(self, url: str) -> None:
        have = self._size()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with httpx2.stream("GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True) as response:
            content_range = response.headers.get("Content-Range", "")
            if response.status_code == 416 and have:
                if content_range == f"bytes */{have}":
                    return
                self.part.unlink()
                raise _TransferError("the server has another file than the one that was begun")
            if response.status_code in _RETRY:
                raise _TransferError(f"HTTP {response.status_code} {response.reason_phrase}")
            if response.status_code not in (200, 206):
                raise FetchError(
                    f"{url} answers HTTP {response.status_code} {response.reason_phrase}; if the file has moved, "
                    f"fetch it by hand and put it into {self.part.parent}",
                    file=self.part.with_suffix(""),
                )
            resumes = response.status_code == 206 and content_range.startswith(f"bytes {have}-")
            if not resumes and have:
                self.part.unlink()
                have = 0
                if response.status_code == 206:
                    raise _TransferError("the server sent another part than the one asked for")
            length = response.headers.get("Content-Length")
            total = have + int(length) if length and length.isdigit() else None
            self._check_space(None if total is None else total - have)
            self._write(response, have, total)

    def _check_space(self, needed: int | None) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if needed is not None and needed > free:
            raise FetchError(
                f"the disk is too full: {needed / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free; "
                "make room or give another folder with --data-dir",
                file=self.part.with_suffix(""),
            )

    def _write(self, response: httpx2.Response, have: int, total: int | None) -> None:
        with self._reporter.download(self.part.stem, total, done=have) as bar, self.part.open("ab") as stream:
            for chunk in response.iter_raw(_CHUNK):
                stream.write(chunk)
                bar.advance(len(chunk))
        if total is not None and self._size() < total:
            raise _TransferError(f"the connection ended after {self._size():,} of {total:,} bytes")

    def _unreachable(self, url: str, error: Exception) -> FetchError:
        have = self._size()
        kept = f" {have:,} bytes are kept, and fetching goes on from there." if have else ""
        what = f"fetching {url} broke off" if have else f"cannot reach {urlsplit(url).netloc}"
        if isinstance(error, _TransferError):
            what = f"fetching {url} failed"
        return FetchError(
            f"{what} {ATTEMPTS} times ({str(error) or type(error).__name__}). Check the network (or proxy) and try "
            f"again.{kept} Or fetch the file by hand and put it into {self.part.parent}",
            file=self.part.with_suffix(""),
        )
