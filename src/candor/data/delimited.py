"""Tables of delimited text: CSV as spreadsheets and programs write it, and TSV, where a quotation mark may be text."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final

from candor.data.lines import BLANK, lines_of, not_utf8
from candor.data.rows import RowError

_DELIMITERS: Final = (",", ";", "\t", "|")
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""The line by which a spreadsheet is told the delimiter; it is no row."""

csv.field_size_limit(max(csv.field_size_limit(), 2**20))  # 131,072 characters are fewer than a long document has

_MAX_CELL_LINES: Final = 1000
"""Lines that a quoted cell of a tab-separated table may hold; a mark that is not closed by then is text."""


class _Lines:
    """A table's lines as text, with the number of the one that was taken last."""

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0
        self._lines = lines_of(stream)
        self._returned: deque[tuple[int, str | RowError]] = deque()
        self._of_row: list[tuple[int, str | RowError]] = []

    def take(self) -> str | RowError | None:
        """The next line, or what is wrong with it; ``None`` at the end."""
        if self._returned:
            self.number, line = self._returned.popleft()
        else:
            taken = next(self._lines, None)
            if taken is None:
                return None
            self.number, data = taken
            line = data if isinstance(data, RowError) else data.decode("utf-8", errors="surrogateescape")
        self._of_row.append((self.number, line))
        return line

    def begin_row(self) -> None:
        """Count the lines that are taken from here on as those of one row."""
        self._of_row = []

    def refuse_row(self) -> int:
        """Give all lines of the row back but the first, whose number this returns: the others may be rows."""
        first, *others = self._of_row
        self.back(others)
        return first[0]

    def back(self, lines: Sequence[tuple[int, str | RowError]]) -> None:
        """Give lines back with their numbers, to be taken again."""
        self._returned.extendleft(reversed(lines))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.take()
        if line is None:
            raise StopIteration
        if isinstance(line, RowError):
            raise line
        return line


class _Header:
    """Names of the columns; columns without one at the end are left out, as spreadsheets leave them there."""

    def __init__(self, cells: Sequence[str]) -> None:
        names = [cell.strip(BLANK) for cell in cells]
        while names and not names[-1]:
            names.pop()
        self.names = names

    def wrong(self) -> RowError | None:
        """What is wrong with it."""
        if any(map(_undecoded, self.names)):
            return RowError(not_utf8())
        repeated = {name for name in self.names if name and self.names.count(name) > 1}
        return RowError(f"the header repeats {', '.join(sorted(repeated))}") if repeated else None

    def fits(self, cells: Sequence[str]) -> bool:
        """Whether cells are a row, with all that has a name and nothing where there is no column."""
        return len(cells) >= len(self.names) and not any(cell.strip(BLANK) for cell in cells[len(self.names) :])

    def row(self, cells: Sequence[str]) -> dict[str, str] | RowError:
        """``{column: cell}``; a column without a name, such as an index that was saved with the table, is left out."""
        if any(map(_undecoded, cells)):
            return RowError(not_utf8())
        if not self.fits(cells):
            return RowError(f"{len(cells)} cells, but the header has {len(self.names)}")
        return {name: cell for name, cell in zip(self.names, cells, strict=False) if name}


def delimited(stream: BinaryIO, usual: str) -> Iterator[tuple[int, Any]]:
    """Yield line number and ``{column: cell}`` (or a :class:`RowError`) of each row after the header.

    Blank rows are left out, also those that a spreadsheet fills with delimiters. The delimiter is the one that a line
    ``sep=;`` names, else a tab where ``usual`` is one and the header has it, else the one of comma, semicolon, tab and
    bar that gives the header most columns. A row's number is that of its last line.

    Args:
        stream: the table.
        usual: the delimiter where none of them gives the header a second column.
    """
    lines = _Lines(stream)
    named = None
    while True:
        line = lines.take()
        if line is None:
            return
        if isinstance(line, RowError):
            yield lines.number, line
        elif named is None and (separator := _SEPARATOR_LINE.fullmatch(line.strip("\r\n \ufeff"))):
            named = separator[1]
        elif line.strip(BLANK).strip("".join(_DELIMITERS)):
            break
    # Names of columns may hold commas; a tab in the header of a file that is named so is none of them.
    tabbed = "\t" if usual == "\t" and "\t" in line else None
    delimiter = named or tabbed or max((usual, *_DELIMITERS), key=lambda one: len(_cells_of(line, one)))
    lines.back([(lines.number, line)])
    yield from _tab_rows(lines) if delimiter == "\t" else _quoted_rows(lines, delimiter)


def _cells_of(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


def _is_blank(cells: Sequence[str]) -> bool:
    return not any(cell.strip(BLANK) for cell in cells)


def _undecoded(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _quoted_rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, Any]]:
    """Rows in which a quotation mark always quotes (RFC 4180); white space before one does not matter."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    header: _Header | None = None
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except RowError as error:
            yield lines.number, error
            continue
        except csv.Error as error:
            # A quotation mark that nothing closes takes in all that follows.
            yield lines.refuse_row(), RowError(f"not a row of a delimited table ({error})")
            continue
        if _is_blank(cells):
            continue
        if header is None:
            header = _Header(cells)
            if wrong := header.wrong():
                yield lines.number, wrong
                return
        else:
            row = header.row(cells)
            yield lines.refuse_row() if isinstance(row, RowError) else lines.number, row


def _tab_rows(lines: _Lines) -> Iterator[tuple[int, Any]]:
    """Rows in which a line is a row wherever it can be one, since many tab-separated tables quote nothing.

    Only where a line has not the header's number of cells, or ends inside of a quotation and the next is no row
    either, are quotation marks taken as quoting tabs and ends of lines.
    """
    header: _Header | None = None
    all_quoted = False
    while (line := lines.take()) is not None:
        lines.begin_row()
        if isinstance(line, RowError):
            yield lines.number, line
            continue
        plain = _split(line)
        if _is_blank(plain):
            continue
        if header is None:
            all_quoted = all(map(_is_quoted, plain))
            header = _Header([_unquoted(cell, always=True) for cell in plain])
            if wrong := header.wrong():
                yield lines.number, wrong
                return
            continue
        number = lines.number
        cells = _quoted_tab_row(line, plain, lines, header)
        if cells is not None:
            yield lines.number, header.row(cells)
        else:
            yield number, header.row([_unquoted(cell, always=all_quoted) for cell in plain])


def _split(line: str) -> list[str]:
    return line.rstrip("\r\n").split("\t")


def _quoted_tab_row(line: str, plain: Sequence[str], lines: _Lines, header: _Header) -> list[str] | None:
    """The cells of a row that only its quotation marks make one; ``None`` where it is a row without, or none at all."""
    if not any(cell.startswith('"') for cell in plain) or (header.fits(plain) and line.count('"') % 2 == 0):
        return None
    text, closed = line, line.count('"') % 2 == 0
    taken: list[tuple[int, str | RowError]] = []
    is_row = False
    while not closed and len(taken) < _MAX_CELL_LINES:
        following = lines.take()
        if following is None:
            break
        taken.append((lines.number, following))
        if isinstance(following, RowError):
            break
        closed = following.count('"') % 2 == 1
        is_row = header.fits(_split(following))
        if is_row and (header.fits(plain) or not closed):
            closed = False
            break
        text += following
    if closed:
        try:
            cells = next(csv.reader([text], delimiter="\t", strict=True))
        except csv.Error:
            cells = []
        # A cell that begins before a line that is a row and goes on inside of it is no cell.
        if header.fits(cells) and not (is_row and any("\n" in cell and "\t" in cell for cell in cells)):
            return cells
    lines.back(taken)
    return None


def _is_quoted(cell: str) -> bool:
    """Whether a cell is written as one that is quoted."""
    cell = cell.strip()
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _unquoted(cell: str, *, always: bool) -> str:
    """A cell's text. One in marks is taken out of them where it shows that they quote, by marks doubled inside."""
    if not _is_quoted(cell):
        return cell
    inner = cell.strip()[1:-1]
    return inner.replace('""', '"') if always or '""' in inner or not inner else cell
