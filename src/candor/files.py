"""Reading and writing files so that a killed process never leaves half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from candor.errors import CandorError, DataError

PART: Final = ".part"
"""Behind the name of a file that is still growing."""

LOCK: Final = ".lock"
"""Behind the name of a file, or alone in a folder, while a process works on it."""


_BLOCK: Final = 1 << 20


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place once the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; what replaces it should be readable like any other new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all. NaN is refused: encode it as ``None`` first."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path | str, rows: Iterable[Any]) -> None:
    """Write one JSON value per line, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json_line(row))


def json_line(row: Any) -> str:
    """One row of a JSONL file, its line feed included. NaN is refused."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def parse_json(text: str | bytes) -> Any:
    """Read JSON that anyone may have written.

    Args:
        text: the whole of it; bytes are UTF-8.

    Raises:
        ValueError: it is not JSON, not UTF-8, nested too deeply, or holds a number of too many digits or an object that
            repeats a key (:class:`RepeatedKeyError`); says which.

    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
        ...
    ValueError: nested too deeply
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"), object_pairs_hook=object_of)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class RepeatedKeyError(ValueError):
    """An object says two things under one key, of which Python would keep the last."""


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for ``object_pairs_hook``.

    Raises:
        RepeatedKeyError: a key stands in it twice.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise RepeatedKeyError(f"a JSON object repeats the key {next(n for n in names if names.count(n) > 1)!r}")
    return made


def read_jsonl(path: Path | str) -> list[Any]:
    """Read one JSON value per line.

    Raises:
        DataError: the file is missing or a line is not JSON; names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", file=path)
    rows = []
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                rows.append(parse_json(line))
            except ValueError as error:
                raise DataError(f"not JSON ({error})", file=path, line=number) from error
    return rows


def read_json(path: Path | str) -> Any:
    """Read one JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", file=path)
    try:
        return parse_json(path.read_bytes())
    except ValueError as error:
        raise DataError(f"not JSON ({error})", file=path) from error


def sha256(path: Path | str, size: int | None = None) -> str:
    """Hex SHA-256 of a file's bytes, or of the first ``size`` of them."""
    with Path(path).open("rb") as stream:
        if size is None:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        found = hashlib.sha256()
        while size > 0 and (block := stream.read(min(size, _BLOCK))):
            found.update(block)
            size -= len(block)
        return found.hexdigest()


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; do nothing where there is neither."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path, *, below: bool) -> None:
    """Remove what killed processes were writing in a folder; call it where no other process can be at work there.

    Args:
        folder: it need not be there.
        below: look into the folders below it, too.
    """
    for rest in list(folder.rglob(f".*{PART}") if below else folder.glob(f".*{PART}")):
        remove(rest)


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside ``path`` that takes its place, if any, once the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART))
    old = path.parent / f".{path.name}.old{PART}"
    try:
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())  # so that not even a crash of the machine leaves a name without content
        if path.exists():
            # A folder cannot replace another in one step; a kill between the two leaves the old one under its
            # temporary name, which is found missing and made again.
            remove(old)
            path.rename(old)
        temporary.rename(path)
    finally:
        remove(temporary)
        remove(old)


@contextlib.contextmanager
def locked(lock: Path, *, error: CandorError) -> Iterator[None]:
    """Keep other processes out while the block runs, or raise ``error``; a process that dies lets go of the lock.

    Raises:
        OSError: there is no place for the lock.
    """
    held = FileLock(lock, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise error from None
    try:
        yield
    finally:
        held.release()


def part_of(out: Path) -> Path:
    """Where what becomes ``out`` grows."""
    return out.with_name(out.name + PART)


@contextlib.contextmanager
def journal_of(out: Path) -> Iterator[Journal]:
    """Yield ``OUT.part``, in which what becomes ``out`` grows, and keep a second process from it meanwhile.

    Raises:
        DataError: ``out`` is there already, or another process is at work on it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    lock = out.with_name(out.name + LOCK)
    busy = DataError("another process is at work on it; wait for it, stop it, or name another with --out", file=out)
    with locked(lock, error=busy):
        try:
            if out.exists():
                raise DataError("is there already; remove it or name another with --out", file=out)
            yield Journal(part_of(out))
        finally:
            if out.exists():
                lock.unlink(missing_ok=True)  # nobody who still comes has anything to do


@dataclass(frozen=True, slots=True)
class Journal:
    """An append-only file of JSON lines that a killed process goes on with.

    Lines end at a line feed alone: other ends of lines that Unicode knows may stand inside of a JSON string. Each
    :meth:`append` is one write, so a kill leaves at most its last line half, which is never read and later cut.
    It is no database because people read these lines with any tool, and a log's are the finished file itself.

    Attributes:
        path: the file; it need not be there yet.
    """

    path: Path

    def lines(self) -> Iterator[tuple[Any, int]]:
        """Yield the value of each whole line, and how many bytes of the file end with it.

        Raises:
            DataError: a whole line is not JSON; names file and line.
        """
        if not self.path.is_file():
            return
        end = 0
        with self.path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                if not raw.endswith(b"\n"):
                    return
                end += len(raw)
                try:
                    value = parse_json(raw)
                except ValueError as error:
                    raise DataError(
                        f"not JSON ({error}); remove it to start anew", file=self.path, line=number
                    ) from None
                yield value, end

    def resume(self, header: Mapping[str, Any], take: Callable[[Any, int], None]) -> None:
        """Hand over what an earlier start wrote and cut a half line off; begin with the header where nothing is there.

        Args:
            header: what the lines are made from; stands in the first.
            take: called with each further line's value and the byte that it begins at, in order.

        Raises:
            DataError: a line is not JSON, or the lines were made from something else; the file is left alone.
        """
        expected = json.loads(json.dumps(header))
        whole = 0
        for value, end in self.lines():
            if whole == 0:
                self._check_header(value, expected)
            else:
                take(value, whole)
            whole = end
        self.cut(whole)
        if whole == 0:
            self.append([header], sync=True)

    def _check_header(self, found: Any, expected: dict[str, Any]) -> None:
        if found != expected:
            there = found if isinstance(found, dict) else {}
            differs = ", ".join(key for key in expected if there.get(key) != expected[key]) or "its keys"
            raise DataError(f"belongs to other work (it differs in {differs}); remove it to start anew", file=self.path)

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes; the file is there afterwards."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as stream:
            stream.truncate(size)

    def append(self, rows: Iterable[Any], *, sync: bool) -> list[int]:
        """Write each row as a line, all in one write; with ``sync`` a crash of the machine loses none of them.

        Returns:
            The byte that each line begins at.
        """
        lines = [json_line(row).encode() for row in rows]
        with self.path.open("ab") as stream:
            start = stream.seek(0, os.SEEK_END)
            stream.write(b"".join(lines))
            stream.flush()
            if sync:
                os.fsync(stream.fileno())
        return [start + before for before in accumulate(map(len, lines[:-1]), initial=0)] if lines else []

    def at(self, start: int) -> Any:
        """The value of the line that begins at a byte."""
        with self.path.open("rb") as stream:
            stream.seek(start)
            return parse_json(stream.readline())

    def size(self) -> int:
        """How many bytes it has; 0 where it is not there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def sync(self) -> None:
        """Have the machine keep, also through a crash, what was appended so far."""
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
