from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from claim_files import climate, climate_row, jsonl

from candor.data import rows
from candor.errors import DataError
from candor.types import LABEL_NAMES, Label


def test_byte_order_mark_crlf_blank_lines_and_no_last_newline(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + jsonl(climate_row(0), climate_row(1)).replace(b"\n", b"\r\n") + b"\r\n\n"
    content += jsonl(climate_row(2)).rstrip()
    assert [example.id for example in climate(tmp_path, content).examples] == ["0", "1", "2"]


def lines_of(content: bytes) -> list[tuple[int, Any]]:
    """What a file of JSON lines gives, errors as their words."""
    found = rows.json_lines(io.BytesIO(content))
    return [(line, str(value) if isinstance(value, rows.RowError) else value) for line, value in found]


def test_json_lines_count_blank_lines_and_go_on_after_bad_ones() -> None:
    found = lines_of(b'{"a": 1}\n\n?\n\xff\n2')
    assert [line for line, _ in found] == [1, 3, 4, 5]
    assert (found[0][1], found[3][1]) == ({"a": 1}, 2)
    assert found[1][1].startswith("not JSON (")
    assert found[2][1] == "not UTF-8 (byte 0)"


def test_a_line_of_exactly_the_limit_is_read_and_a_longer_one_skipped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_LINE_BYTES", 6)
    assert lines_of(b'"abc"\n"abcd"\n' + b"x" * 20 + b"\n7\n") == [
        (1, "abc"),
        (2, "line longer than 6 bytes"),
        (3, "line longer than 6 bytes"),
        (4, 7),
    ]


@pytest.mark.parametrize("content", [b"[5, 6]", b'{"results": [5, 6], "more": 1}'])
def test_json_lists_stand_alone_or_under_results(content: bytes) -> None:
    assert list(rows.json_list(io.BytesIO(content))) == [(1, 5), (2, 6)]


def test_delimited_rows_have_the_number_of_their_last_line() -> None:
    content = b'\xef\xbb\xbfa\t b \r\n1\t"x\ny"\n2\n3\t4\n'
    found = list(rows.delimited(io.BytesIO(content), "\t"))
    assert [line for line, _ in found] == [3, 4, 5]
    assert found[0][1] == {"a": "1", "b": "x\ny"}
    assert str(found[1][1]) == "1 cells, but the header has 2"
    assert found[2][1] == {"a": "3", "b": "4"}


def test_bad_rows_are_kept_or_stop_the_reading() -> None:
    made = [(1, 10), (2, rows.RowError("broken")), (3, -1), (4, 20)]

    def parse(value: int) -> int:
        if value < 0:
            raise rows.RowError(f"{value} is below 0")
        return value + 1

    skipping = rows.BadRows("skip")
    assert list(skipping.parse("f.jsonl", iter(made), parse)) == [(1, 11), (4, 21)]
    assert list(map(str, skipping.skipped)) == ["f.jsonl:2: broken", "f.jsonl:3: -1 is below 0"]
    with pytest.raises(DataError, match=r"f\.jsonl:2: broken \(on_bad_row: skip leaves such rows out\)"):
        list(rows.BadRows("error").parse("f.jsonl", iter(made), parse))


def test_a_wrong_call_is_no_bad_row() -> None:
    with pytest.raises(ZeroDivisionError):
        list(rows.BadRows("skip").parse("f", iter([(1, 0)]), lambda value: 1 / value))


def test_ids_are_text_or_whole_numbers() -> None:
    assert rows.identifier({"id": 7}, "id") == "7"
    assert rows.identifier({"id": " a "}, "id") == "a"
    for wrong in (True, 1.5, None, ""):
        with pytest.raises(rows.RowError, match="'id'"):
            rows.identifier({"id": wrong}, "id")


def test_labels_have_several_names_in_any_case() -> None:
    names = ("supports", "Supported", " PASS ", "REFUTES", "Not Enough Info", "nei")
    expected = [Label.PASS] * 3 + [Label.FAIL] + [Label.NA] * 2
    assert [rows.label(name, LABEL_NAMES, "label") for name in names] == expected
    with pytest.raises(rows.RowError, match="'label' is 'maybe', no known label; known are 'pass', 'supports'"):
        rows.label("maybe", LABEL_NAMES, "label")


def test_a_missing_key_names_what_there_is() -> None:
    with pytest.raises(rows.RowError, match=r"^no 'claim'; the row has 'text', 'id'$"):
        rows.text({"text": "a", "id": 1}, "claim")
    with pytest.raises(rows.RowError, match=r"^no 'claim'; the row has nothing$"):
        rows.text({}, "claim")


@pytest.mark.parametrize(
    ("value", "kind"),
    [({}, "an object"), ([], "a list"), ("", "text"), (True, "a boolean"), (None, "null"), (1, "a number")],
)
def test_kinds_have_jsons_names(value: object, kind: str) -> None:
    assert rows.kind_of(value) == kind
