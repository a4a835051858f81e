"""CSV and TSV as spreadsheets and programs write them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.data.delimited import delimited
from candor.data.rows import RowError

HEADER = ["claim", "evidence", "label"]


def found(content: bytes | str, usual: str = ",") -> list[tuple[int, Any]]:
    """Lines and rows of a table, rows as lists of cells, errors as their words."""
    data = content if isinstance(content, bytes) else content.encode()
    rows = list(delimited(io.BytesIO(data), usual))
    return [(line, str(row) if isinstance(row, RowError) else row) for line, row in rows]


def cells(content: bytes | str, usual: str = ",") -> list[Any]:
    """The same without lines, rows as lists of their cells."""
    return [list(row.values()) if isinstance(row, dict) else row for _, row in found(content, usual)]


def test_delimited_rows_have_the_number_of_their_last_line() -> None:
    content = b'\xef\xbb\xbfa\t b \r\n1\t"x\ny"\n2\n3\t4\n'
    rows = found(content, "\t")
    assert [line for line, _ in rows] == [3, 4, 5]
    assert rows[0][1] == {"a": "1", "b": "x\ny"}
    assert rows[1][1] == "1 cells, but the header has 2"
    assert rows[2][1] == {"a": "3", "b": "4"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("usual", [",", "\t"])
def test_the_delimiter_is_that_of_the_header(delimiter: str, usual: str) -> None:
    content = delimiter.join(HEADER) + "\n" + delimiter.join(["Otters.", "They swim.", "PASS"]) + "\n"
    assert found(content, usual) == [(2, {"claim": "Otters.", "evidence": "They swim.", "label": "PASS"})]


def test_text_with_commas_between_semicolons() -> None:
    assert cells("claim;evidence;label\nOtters, seals;They swim, too;PASS\n") == [
        ["Otters, seals", "They swim, too", "PASS"]
    ]


def test_a_tab_in_the_header_of_a_tsv_file_goes_before_commas_in_its_names() -> None:
    content = "claim\tevidence (a, b, c, d)\tlabel\nA, b\te\tNA\n"
    assert cells(content, "\t") == [["A, b", "e", "NA"]]
    assert cells("claim,evidence,label\nA,e,NA\n", "\t") == [["A", "e", "NA"]]


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_a_line_that_names_the_delimiter_is_no_row(line: str) -> None:
    assert found(f"{line}\r\nclaim;a,b,c,d\r\nx;y\r\n") == [(3, {"claim": "x", "a,b,c,d": "y"})]


def test_one_column() -> None:
    assert found("claim\nOtters, seals\n\nBears.\n", "\t") == [
        (2, {"claim": "Otters, seals"}),
        (4, {"claim": "Bears."}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("blank", ["", " ", "{0}{0}", " {0} {0}", "{0}{0}{0}{0}", "\x1a", "\u00a0", "\ufeff"])
def test_blank_rows_are_none_wherever_they_stand(delimiter: str, blank: str) -> None:
    row, empty = delimiter.join("abc"), blank.format(delimiter)
    content = "\n".join([empty, delimiter.join(HEADER), empty, row, empty, empty, row, empty])
    assert [line for line, _ in found(content)] == [4, 7]
    assert cells(content) == [["a", "b", "c"]] * 2


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_columns_without_a_name(delimiter: str) -> None:
    """An index in front is left out; so are columns at the end, where nothing may stand."""
    head = ["", *HEADER, "", ""]
    rows = [["0", "a", "b", "c", "", ""], ["1", "d", "e", "f"], ["2", "g", "h", "i", "", "j"]]
    content = "\n".join(delimiter.join(row) for row in [head, *rows])
    assert cells(content) == [["a", "b", "c"], ["d", "e", "f"], "6 cells, but the header has 4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("claim,evidence,label\nx,y\n", "2 cells, but the header has 3"),
        ("claim,evidence,label\nx,y,z,w\n", "4 cells, but the header has 3"),
        ("claim,claim,label\nx,y,NA\n", "the header repeats claim"),
        ("claim\tclaim\tlabel\nx\ty\tNA\n", "the header repeats claim"),
        ('claim,evidence,label\n"x"y,z,NA\n', "not a row of a delimited table"),
        ('claim,evidence,label\n"never closed,z,NA\n', "not a row of a delimited table"),
        (b"claim,evidence,label\nx,\xff,NA\n", "not UTF-8"),
        (b"claim\tevidence\tlabel\nx\t\xff\tNA\n", "not UTF-8"),
        (b"claim,\xe9vidence,label\nx,y,NA\n", "not UTF-8"),
        (b"claim\t\xe9vidence\tlabel\nx\ty\tNA\n", "not UTF-8"),
        (b"PK\x03\x04xlsx", "a workbook"),
        ("x" * 1_100_000 + ",y\n", "not a row of a delimited table (field larger"),
    ],
)
def test_what_is_no_row(content: bytes | str, words: str) -> None:
    assert cells(content)[0].startswith(words)


def test_white_space_before_a_quotation_mark_does_not_matter() -> None:
    assert cells('claim, evidence, label\n"A, b.", "They swim, a lot.", PASS\n') == [
        ["A, b.", "They swim, a lot.", "PASS"]
    ]


def test_reading_goes_on_behind_a_line_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from candor.data import lines

    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 30)
    for delimiter in ",\t":
        content = delimiter.join("abc") + "\n" + "x" * 40 + "\n" + delimiter.join("123") + "\n"
        assert cells(content) == ["line longer than 30 bytes", ["1", "2", "3"]]


# ------------------------------------------------------------------- tab-separated text with quotation marks


@pytest.mark.parametrize(
    "texts",
    [
        ["A one.", '"Begin of a quotation', "Evidence two.", 'end of it"'],
        ['"A one.', '"B two.', "C three."],
        ['"5 inch screen', "Ev", '6"', "ev"],
        ['"Hello" said the otter.', "Ev"],
        ['"x', 'y"', '"z', 'w"'],
        ['"To be', "plain", '"or not"'],
        ['say "hi"', '"'],
    ],
)
def test_a_line_is_a_row_wherever_it_can_be_one(texts: list[str]) -> None:
    for place in (0, 1, 2):
        rows = [["c", "e", "l"] for _ in texts]
        for row, text in zip(rows, texts, strict=True):
            row[place] = text
        assert cells("\n".join("\t".join(row) for row in [HEADER, *rows]), "\t") == rows


marked = st.text(st.sampled_from('ab "'), min_size=1, max_size=6).filter(str.strip)


@given(st.lists(st.tuples(marked, marked, st.sampled_from(["PASS", "NA"])), min_size=1, max_size=6))
def test_no_row_of_unquoted_tables_is_lost(rows: list[tuple[str, str, str]]) -> None:
    content = "\n".join("\t".join(row) for row in [HEADER, *rows])
    assert len(cells(content, "\t")) == len(rows)


written = st.text(st.sampled_from('ab "\t\n,'), max_size=6).map(lambda text: f"x{text}x")


@given(
    st.lists(st.tuples(written, written, st.sampled_from(["PASS", "NA"])), min_size=1, max_size=5),
    st.sampled_from(["\t", ",", ";"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_program_quotes_is_read_back(
    rows: list[tuple[str, ...]], delimiter: str, quoting: Any, end: str
) -> None:
    """All but a text that itself looks like whole rows: lines with as many tabs as the header."""
    if delimiter == "\t" and any(
        text.count("\t") >= 2 or ("\t" in text and "\n" in text) for row in rows for text in row
    ):
        return
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([HEADER, *rows])
    assert cells(stream.getvalue(), delimiter) == [list(row) for row in rows]


def test_a_quoted_cell_may_be_the_last_and_run_over_lines() -> None:
    content = 'claim\tlabel\tevidence\nA\tPASS\t"one\ntwo ""q"""\nB\tNA\tthree\n'
    assert cells(content) == [["A", "PASS", 'one\ntwo "q"'], ["B", "NA", "three"]]


def test_a_quoted_cell_may_end_on_a_line_that_could_be_a_row() -> None:
    assert cells('claim\tevidence\tlabel\n"one\ntwo"\tx\tNA\n') == [["one\ntwo", "x", "NA"]]
    # But not begin before such a line and end inside of it.
    assert cells('claim\tevidence\tlabel\nA\t"open\nx\ty"\tNA\n') == [
        "2 cells, but the header has 3",
        ["x", 'y"', "NA"],
    ]


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_what_a_quotation_mark_takes_in_without_being_closed_is_read_all_the_same(delimiter: str) -> None:
    rows = [delimiter.join(row) for row in (HEADER, ['"open', "y", "NA"], *[["a", "b", "c"]] * 9)]
    rows_found = found("\n".join(rows))
    assert [line for line, _ in rows_found] == list(range(2, 12))
    assert rows_found[0][1].startswith("not a row of a delimited table")
    assert cells("\n".join(rows))[1:] == [["a", "b", "c"]] * 9
    # Closed by a later row, it makes one of several that has too many cells.
    rows[5] = delimiter.join(["a", 'b"', "c"])
    assert [line for line, _ in found("\n".join(rows))] == list(range(2, 12))
    assert cells("\n".join(rows)).count(["a", "b", "c"]) == 8


def test_a_quotation_mark_that_nothing_closes_costs_one_row() -> None:
    content = 'claim\tevidence\tlabel\nA\t"open\n' + "x\ty\tNA\n" * 3
    assert cells(content) == ["2 cells, but the header has 3", *[["x", "y", "NA"]] * 3]


def test_many_open_quotation_marks_are_no_burden() -> None:
    content = "claim\tevidence\tlabel\n" + '"open\tx\n' * 3000
    assert len(cells(content)) == 3000
