"""FEVER's Wikipedia dump in one SQLite file: sentences by title, and a full-text index of them.

The dump (5.4 million pages in 109 JSONL shards) is read as a stream, so memory stays flat. Each shard is one
transaction: a build that was killed goes on with the first shard that is missing, and the file takes its final name
only when it is complete. Complete files are opened read-only, so any number of processes may share one.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import threading
import time
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from candor.data.json_rows import json_lines
from candor.data.official.files import DataPath, zip_members
from candor.data.rows import BadRows, RowError, field, kind_of, record, writable
from candor.data.text import canonical_title, digest, display_title, unescape
from candor.errors import DataError
from candor.recipe.data import OnBadRow

SCHEMA_VERSION = "1"
_SHARDS = (".jsonl", ".jsonl.gz")
SENTENCE_BITS = 16
"""A sentence's number in the full-text index: the page's number shifted by so many bits, plus its line."""

COMMON_TERM = 1000
"""Terms in at least so many sentences have their count in a table; counting rarer ones in the index is quick."""

_BATCH = 500
_CACHE_KIB = 65536

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shards (name TEXT PRIMARY KEY, pages INTEGER, sentences INTEGER, skipped TEXT)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, title TEXT NOT NULL, lines TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS aliases (title TEXT PRIMARY KEY, page INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS terms (term TEXT PRIMARY KEY, sentences INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS sentence_index USING fts5
    (text, content='', tokenize="unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE IF NOT EXISTS vocabulary USING fts5vocab (sentence_index, row);
"""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a page.

    Attributes:
        title: as the dump writes it.
        number: line of the page, from 0.
        text: as people write it, brackets unescaped.
    """

    title: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"[{display_title(self.title)}] {self.text}"


def build_wiki_index(
    dump: Path,
    path: Path,
    *,
    on_bad_row: OnBadRow = "error",
    progress: Callable[[str], None] | None = None,
) -> None:
    """Build the index of a dump, or go on with one that was interrupted. Does nothing where it is complete.

    Args:
        dump: ``wiki-pages.zip``, or a folder with its JSONL shards.
        path: the index to make; it has this name only once it is complete.
        on_bad_row: what to do with lines of the dump that are no page.
        progress: told in words after each shard.

    Raises:
        DataError: the dump is missing, damaged or holds a bad row; another process is building the same index;
            the disk is full.
    """
    say = progress or (lambda words: None)
    shards = _shards(dump)
    identity = dump_identity(dump)
    if path.is_file():
        WikiIndex(path).check_dump(dump)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    working = path.with_name(f"{path.name}.building")
    connection = _open_working(working, identity)
    try:
        started = time.perf_counter()
        finished = {name for (name,) in connection.execute("SELECT name FROM shards")}
        added = 0
        for number, shard in enumerate(shards, start=1):
            if str(shard.member or shard.path.name) in finished:
                continue
            added += _add_shard(connection, shard, BadRows(on_bad_row))
            rate = added / (time.perf_counter() - started)
            say(f"wiki index: shard {number} of {len(shards)}, {added:,} pages, {rate:,.0f} pages/s")
        say("wiki index: sorting")
        _finish(connection)
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"the wiki index cannot be written ({error}); with more room on the disk the same command goes on",
            file=working,
        ) from error
    finally:
        connection.close()
    working.replace(path)


def _open_working(working: Path, identity: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(working, timeout=0, isolation_level=None)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("BEGIN EXCLUSIVE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            connection.execute(statement)
        known = dict(connection.execute("SELECT key, value FROM meta"))
        wanted = {"schema": SCHEMA_VERSION, "dump": identity}
        if known and known != wanted:
            connection.close()
            raise DataError("an unfinished index of another dump or version; delete it", file=working)
        connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", wanted.items())
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        locked = "locked" in str(error)
        raise DataError(
            "another process is building this wiki index; wait for it"
            if locked
            else f"the wiki index cannot be created ({error})",
            file=working,
        ) from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"the unfinished wiki index is damaged ({error}); delete it", file=working) from error
    return connection


def _add_shard(connection: sqlite3.Connection, shard: DataPath, bad_rows: BadRows) -> int:
    """Add one shard in one transaction; returns its number of pages."""
    connection.execute("BEGIN")
    last: int = connection.execute("SELECT coalesce(max(id), 0) FROM pages").fetchone()[0]
    page, sentences = last, 0
    pages: list[tuple[int, str, str]] = []
    texts: list[tuple[int, str]] = []
    aliases: list[tuple[str, int]] = []

    def flush() -> None:
        connection.executemany("INSERT INTO pages VALUES (?, ?, ?)", pages)
        connection.executemany("INSERT OR IGNORE INTO aliases VALUES (?, ?)", aliases)
        connection.executemany("INSERT INTO sentence_index (rowid, text) VALUES (?, ?)", texts)
        for rows in (pages, aliases, texts):
            rows.clear()

    try:
        with shard.open() as stream:
            for _, (title, lines) in bad_rows.parse(str(shard), json_lines(stream), _parse_page):
                # Every official shard begins with a page that has neither title nor text.
                if not title:
                    continue
                page += 1
                pages.append((page, title, "\n".join(f"{number}\t{text}" for number, text in lines)))
                if canonical_title(title) != title:
                    aliases.append((canonical_title(title), page))
                shown = display_title(title)
                texts.extend((page << SENTENCE_BITS | n, f"{shown} {unescape(text)}") for n, text in lines)
                sentences += len(lines)
                if len(pages) >= _BATCH:
                    flush()
        flush()
    except BaseException:
        # On some errors, a full disk among them, SQLite has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    skipped = json.dumps([[row.line, row.reason] for row in bad_rows.skipped])
    name = str(shard.member or shard.path.name)
    connection.execute("INSERT INTO shards VALUES (?, ?, ?, ?)", (name, page - last, sentences, skipped))
    connection.execute("COMMIT")
    return page - last


def _parse_page(value: Any) -> tuple[str, list[tuple[int, str]]]:
    row = record(value)
    title, lines = field(row, "id"), field(row, "lines")
    for key, item in (("id", title), ("lines", lines)):
        if not isinstance(item, str):
            raise RowError(f"{key!r} must be text, not {kind_of(item)}")
        writable(item, key)
    sentences = []
    for line in lines.split("\n"):
        number, _, rest = line.partition("\t")
        # A line without a number continues one that was broken by a stray newline; no annotation points at it.
        if number.isascii() and number.isdigit() and len(number) < 10 and int(number) < 1 << SENTENCE_BITS:
            text = rest.partition("\t")[0].strip()
            if text:
                sentences.append((int(number), text))
    return title, sentences


def _finish(connection: sqlite3.Connection) -> None:
    """Merge the full-text index, count its common terms and index the titles."""
    connection.execute("INSERT INTO sentence_index (sentence_index) VALUES ('optimize')")
    connection.execute("BEGIN")
    connection.execute("DELETE FROM terms")
    connection.execute("INSERT INTO terms SELECT term, doc FROM vocabulary WHERE doc >= ?", (COMMON_TERM,))
    connection.execute("CREATE INDEX IF NOT EXISTS page_titles ON pages (title)")
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = DELETE")


def _shards(dump: Path) -> list[DataPath]:
    if dump.is_dir():
        shards = [DataPath(path) for path in sorted(dump.rglob("wiki-*.jsonl*")) if path.name.endswith(_SHARDS)]
    elif dump.is_file():
        members = [PurePosixPath(name) for name in zip_members(dump)]
        # Archives packed on a Mac carry a hidden twin of every file.
        shards = [
            DataPath(dump, str(member))
            for member in sorted(members)
            if member.name.endswith(_SHARDS) and not member.name.startswith(".")
        ]
    else:
        raise DataError("no such dump", file=dump)
    # Who unpacks a shard may have left the packed one beside it.
    packed = {f"{shard}.gz" for shard in shards}
    shards = [shard for shard in shards if str(shard) not in packed]
    if not shards:
        raise DataError("holds no wiki-*.jsonl or wiki-*.jsonl.gz", file=dump)
    return shards


def dump_identity(dump: Path) -> str:
    """What tells one dump from another without reading it: names and sizes of its shards, in archives checksums."""
    if dump.is_dir():
        return digest(*((shard.path.name, shard.path.stat().st_size) for shard in _shards(dump)))
    wanted = {shard.member for shard in _shards(dump)}
    with zipfile.ZipFile(dump) as archive:
        entries = sorted(
            (entry.filename, entry.file_size, entry.CRC) for entry in archive.infolist() if entry.filename in wanted
        )
    return digest(*entries)


class WikiIndex:
    """A complete index, opened read-only. Usable from several threads and after a fork."""

    def __init__(self, path: Path) -> None:
        """Open an index.

        Raises:
            DataError: there is none, or it is of another version or no index at all.
        """
        self.path = path
        self._local = threading.local()
        if not path.is_file():
            raise DataError("no wiki index there", file=path)
        try:
            meta = dict(self.execute("SELECT key, value FROM meta"))
            self.pages: int = self.execute("SELECT coalesce(max(id), 0) FROM pages")[0][0]
            self.sentences: int = self.execute("SELECT coalesce(sum(sentences), 0) FROM shards")[0][0]
        except sqlite3.DatabaseError as error:
            raise DataError(f"not a wiki index ({error}); delete it to build it anew", file=path) from error
        if meta.get("schema") != SCHEMA_VERSION:
            raise DataError("a wiki index of another version; delete it to build it anew", file=path)
        self.dump = meta["dump"]

    def check_dump(self, dump: Path) -> None:
        """Make sure that the index is one of this dump.

        Raises:
            DataError: it is not.
        """
        if self.dump != dump_identity(dump):
            raise DataError(f"is not the index of {dump}; delete it to build it anew", file=self.path)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows of a query, over a connection of this very process and thread (SQLite's must not cross a fork)."""
        if getattr(self._local, "process", None) != os.getpid():
            # Complete indexes never change in place, so SQLite need not lock them: that is what makes many readers
            # cheap, also on network disks.
            uri = f"file:{urllib.parse.quote(str(self.path.resolve()))}?mode=ro&immutable=1"
            self._local.connection = sqlite3.connect(uri, uri=True)
            self._local.process = os.getpid()
        connection: sqlite3.Connection = self._local.connection
        return connection.execute(sql, values).fetchall()

    def lines(self, title: str) -> dict[int, str] | None:
        """Sentences of a page by number, or ``None`` where there is no such page.

        The title is taken as the dump writes it, or in another Unicode form, or as people write it.
        """
        canonical = canonical_title(title)
        for sql, value in (
            ("SELECT lines FROM pages WHERE title = ? ORDER BY id LIMIT 1", title),
            ("SELECT lines FROM pages WHERE title = ? ORDER BY id LIMIT 1", canonical),
            ("SELECT lines FROM pages WHERE id = (SELECT page FROM aliases WHERE title = ?)", canonical),
        ):
            rows = self.execute(sql, (value,))
            if rows:
                return dict(_split_lines(rows[0][0]))
        return None

    def sentence(self, title: str, number: int) -> Sentence | None:
        """One sentence, or ``None`` where the dump has none there."""
        text = (self.lines(title) or {}).get(number)
        return None if text is None else Sentence(title, number, unescape(text))

    def by_rowid(self, rowid: int) -> Sentence:
        """The sentence with this number of the full-text index."""
        page, number = rowid >> SENTENCE_BITS, rowid & (1 << SENTENCE_BITS) - 1
        title, lines = self.execute("SELECT title, lines FROM pages WHERE id = ?", (page,))[0]
        return Sentence(title, number, unescape(dict(_split_lines(lines))[number]))

    def random_sentence(self, rng: random.Random) -> Sentence:
        """A sentence of a random page.

        Raises:
            DataError: the index holds no sentence.
        """
        if not self.sentences:
            raise DataError("the wiki index holds no sentence", file=self.path)
        while True:
            page = rng.randint(1, self.pages)
            title, lines = self.execute("SELECT title, lines FROM pages WHERE id = ?", (page,))[0]
            if lines:
                number, text = rng.choice(list(_split_lines(lines)))
                return Sentence(title, number, unescape(text))

    def skipped(self) -> list[tuple[str, int, str]]:
        """Bad rows that the build left out: shard, line, reason."""
        return [
            (name, line, reason)
            for name, rows in self.execute("SELECT name, skipped FROM shards ORDER BY name")
            for line, reason in json.loads(rows)
        ]

    def fingerprint(self) -> str:
        """SHA-256 of all that the index answers from; reads it all. Equal for equal dumps, however it was built."""
        state = hashlib.sha256()
        for sql in (
            "SELECT id, title, lines FROM pages ORDER BY id",
            "SELECT title, page FROM aliases ORDER BY title",
            "SELECT term, sentences FROM terms ORDER BY term",
            "SELECT term, doc, cnt FROM vocabulary ORDER BY term",
        ):
            self.execute("SELECT 1")
            for row in self._local.connection.execute(sql):
                state.update(repr(row).encode("utf-8", errors="surrogatepass"))
        return state.hexdigest()


def _split_lines(lines: str) -> Iterator[tuple[int, str]]:
    for line in lines.split("\n") if lines else ():
        number, _, text = line.partition("\t")
        yield int(number), text
