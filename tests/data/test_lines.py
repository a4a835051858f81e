"""Lines of files in the encodings and with the ends of lines that programs write."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.data import lines
from candor.data.rows import RowError

MARKS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "utf-32": b"",
    "utf-32-be": b"\x00\x00\xfe\xff",
}
"""Encodings, with the mark that is put before text that Python encodes without one."""


def texts(content: bytes) -> list[str]:
    """The lines of a file without their ends; errors as their words behind a question mark."""
    found = lines.lines_of(io.BytesIO(content))
    return [f"?{line}" if isinstance(line, RowError) else line.decode().rstrip("\r\n") for _, line in found]


plain = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=20)


@given(st.lists(plain, min_size=1, max_size=5), st.sampled_from(list(MARKS)), st.sampled_from(["\n", "\r\n", "\r"]))
def test_encodings_and_ends_of_lines_give_the_same_lines(rows: list[str], encoding: str, end: str) -> None:
    content = MARKS[encoding] + "".join(f"{row}{end}" for row in ["head", *rows]).encode(encoding)
    assert texts(content) == ["head", *rows]
    assert lines.decoded(content).splitlines()[0] == "head"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_first_letters(encoding: str) -> None:
    assert texts("claim\nOtters’ river\n".encode(encoding)) == ["claim", "Otters’ river"]


def test_marks_are_no_text_however_often_they_stand_there() -> None:
    assert texts(b"\xef\xbb\xbf\xef\xbb\xbfa\nb") == ["a", "b"]
    assert lines.decoded(b"\xef\xbb\xbf\xef\xbb\xbfa") == "a"


def test_a_doubled_carriage_return_is_a_blank_line() -> None:
    assert texts(b"a\r\r\nb\r\r\n") == ["a", "", "b", ""]


def test_unicodes_other_ends_of_lines_are_text() -> None:
    assert texts("a\u2028b\x85c\x0bd\n".encode()) == ["a\u2028b\x85c\x0bd"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08rest", "gzip data"),
        (b"PK\x03\x04rest", "a workbook or a zip archive; save the table as CSV"),
        (b"\xd0\xcf\x11\xe0rest", "a workbook"),
        (b"PAR1rest", "Parquet"),
        (b"ARROW1rest", "Arrow"),
        (b"%PDF-1.7", "a PDF"),
    ],
)
def test_binary_files_are_told_by_their_first_bytes(content: bytes, words: str) -> None:
    (line,) = texts(content)
    assert line.startswith(f"?{words}")
    with pytest.raises(RowError, match=words):
        lines.decoded(content)


def test_text_in_another_encoding_is_named() -> None:
    with pytest.raises(RowError, match=r"^not UTF-8 \(byte 4\); if it was saved as Windows-1252 or Latin-1"):
        lines.decoded("Caf\xe9s".encode("latin-1").replace(b"Caf", b"Cafe"))
    assert texts(b"\xff\xfea\x00\n\x00\x00\xd8b\x00") == ["?not UTF-16-LE, from here on"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_over_the_limit_is_no_text(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 6)
    assert texts(b"abcde\nabcdef\n" + b"x" * 20 + b"\n7\n") == [
        *("abcde", "?line longer than 6 bytes", "?line longer than 6 bytes", "7"),
    ]
    assert texts(("x" * 20).encode(encoding)) == ["?line longer than 6 bytes"]


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
def test_utf_32_without_a_mark_is_known_by_its_first_letters(encoding: str) -> None:
    assert texts("claim,ä\nx,y\n".encode(encoding)) == texts("claim,ä\nx,y\n".encode())
