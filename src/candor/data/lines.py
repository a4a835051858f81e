"""Lines of text files as people save them: encodings, byte-order marks, ends of lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO, Final

from candor.data.rows import RowError

MAX_LINE_BYTES = 16 * 2**20
"""A longer line is no row of claims: it would be a binary or a one-line dump, and is refused before it fills memory."""

BLANK: Final = " \t\r\n\v\f\x1a\u00a0\ufeff"
"""What a blank line may hold: white space, byte-order marks, the end-of-file sign of old systems."""

_UTF8_MARK: Final = b"\xef\xbb\xbf"
_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
"""Byte-order marks; the longer ones first, since one begins with another."""

_BINARY: Final = (
    (b"\x1f\x8b", "gzip data; give the file a name that ends in .gz"),
    (b"PK\x03\x04", "a workbook or a zip archive; save the table as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "a workbook; save the table as CSV"),
    (b"PAR1", "Parquet; give the file a name that ends in .parquet"),
    (b"ARROW1", "Arrow; give the file a name that ends in .arrow"),
    (b"%PDF", "a PDF, no table"),
)
_CHUNK: Final = 2**16


def lines_of(stream: BinaryIO) -> Iterator[tuple[int, bytes | RowError]]:
    r"""Yield number (from 1) and bytes of each line in UTF-8, its end included, without byte-order marks.

    UTF-16 and UTF-32 are told by their mark, or by their first characters. Lines end with ``\n``, ``\r\n`` or ``\r``.
    Never more than ``MAX_LINE_BYTES`` are in memory; a longer line is a :class:`RowError`, and so is a binary file.
    """
    number = 0
    for data in _raw_lines(stream):
        if isinstance(data, RowError):
            number += 1
            yield number, data
            continue
        # A carriage return alone ends a line in files of old systems, and stands doubled in some that were converted.
        for line in data.splitlines(keepends=True) if b"\r" in data else (data,):
            number += 1
            yield number, line


def decoded(data: bytes) -> str:
    """A whole file's text, in whatever encoding, without byte-order marks.

    Raises:
        RowError: it is binary, or not in the encoding that its first bytes tell.
    """
    if (what := _binary(data)) is not None:
        raise RowError(what)
    encoding = _wide_encoding(data) or "utf-8"
    try:
        return data.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        raise RowError(_not_text(encoding, error)) from None


def not_utf8(place: str = "") -> str:
    """What to say of bytes that are not UTF-8."""
    return f"not UTF-8{place}; if it was saved as Windows-1252 or Latin-1, save it as UTF-8"


def _not_text(encoding: str, error: UnicodeDecodeError) -> str:
    place = f" (byte {error.start})"
    return not_utf8(place) if encoding == "utf-8" else f"not {encoding.upper()}{place}"


def _raw_lines(stream: BinaryIO) -> Iterator[bytes | RowError]:
    data = stream.readline(MAX_LINE_BYTES + 1)
    if (what := _binary(data)) is not None:
        yield RowError(what)
        return
    encoding = _wide_encoding(data)
    if encoding is not None:
        yield from _wide_lines(data, stream, encoding)
        return
    while data.startswith(_UTF8_MARK):
        data = data.removeprefix(_UTF8_MARK)
    while data:
        if len(data) > MAX_LINE_BYTES:
            while data and not data.endswith(b"\n"):
                data = stream.readline(MAX_LINE_BYTES)
            yield _too_long()
        else:
            yield data
        data = stream.readline(MAX_LINE_BYTES + 1)


def _wide_lines(first: bytes, stream: BinaryIO, encoding: str) -> Iterator[bytes | RowError]:
    """Lines of UTF-16 or UTF-32 in UTF-8; what follows a byte that cannot be read is lost, and said to be."""
    decoder = codecs.getincrementaldecoder(encoding)()
    rest = ""
    try:
        for chunk in chain((first,), iter(partial(stream.read, _CHUNK), b""), (b"",)):
            rest += decoder.decode(chunk, final=not chunk)
            *lines, rest = rest.split("\n")
            for line in lines:
                yield f"{line}\n".lstrip("\ufeff").encode("utf-8", errors="surrogatepass")
            if len(rest) > MAX_LINE_BYTES:
                yield _too_long()
                return
    except UnicodeDecodeError:
        yield RowError(f"not {encoding.upper()}, from here on")
        return
    if rest:
        yield rest.lstrip("\ufeff").encode("utf-8", errors="surrogatepass")


def _too_long() -> RowError:
    return RowError(f"line longer than {MAX_LINE_BYTES:,} bytes")


def _binary(data: bytes) -> str | None:
    return next((what for mark, what in _BINARY if data.startswith(mark)), None)


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 by its mark; without one by two characters of ASCII at its beginning."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    zeros = [byte == 0 for byte in data[:8]]
    if zeros == [False, True, True, True] * 2:
        return "utf-32-le"
    if zeros == [True, True, True, False] * 2:
        return "utf-32-be"
    zeros = zeros[:4]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else None
