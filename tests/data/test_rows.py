from __future__ import annotations

from pathlib import Path

import pytest
from claim_files import climate, climate_row, jsonl

from candor.data import rows
from candor.errors import DataError
from candor.types import LABEL_NAMES, Label


def test_byte_order_mark_crlf_blank_lines_and_no_last_newline(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + jsonl(climate_row(0), climate_row(1)).replace(b"\n", b"\r\n") + b"\r\n\n"
    content += jsonl(climate_row(2)).rstrip()
    assert [example.id for example in climate(tmp_path, content).examples] == ["0", "1", "2"]


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
    assert rows.identifier({"id": 7.0}, "id") == "7"
    for wrong in (True, 1.5, None, "", float("nan"), "a\0b"):
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
