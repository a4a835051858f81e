from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from candor.data.examples import parse_example, read_examples, write_examples
from candor.data.inputs import read_splits
from candor.data.rows import RowError
from candor.errors import DataError
from candor.types import Example, Label


def test_examples_survive_writing_and_reading(tmp_path: Path) -> None:
    examples = [
        Example("1", "a", 'Claim\u2028 "one"', ("Ünï",), Label.PASS, "g", posterior=(0.5, 0.25, 0.25)),
        Example("2", "b", "Claim two", (), Label.NA, "g", evidence_source="none"),
    ]
    write_examples(tmp_path / "test.jsonl", examples)
    assert read_examples(tmp_path / "test.jsonl") == examples
    assert read_splits(str(tmp_path)) == {"test": {"a": examples[:1], "b": examples[1:]}}
    assert read_splits(str(tmp_path / "test.jsonl"))["all"]["b"] == examples[1:]


def test_bad_examples_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1"}\n')
    with pytest.raises(DataError, match=r"a.jsonl:1: no "):
        read_examples(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read_examples(tmp_path / "b.jsonl")


GOOD = {"id": "1", "dataset": "d", "claim": "C", "evidence": ["E"], "label": "na", "group": "g"}


def test_fields_that_are_not_given_have_their_usual_values() -> None:
    assert parse_example(GOOD) == Example("1", "d", "C", ("E",), Label.NA, "g", "annotated", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": "E"}, "'evidence' must be a list, not text"),
        ({"evidence": ["E", 1]}, "'evidence' must be text, not a number"),
        # Names of the official files are not those of our own.
        ({"label": "SUPPORTS"}, "no known label; known are 'pass', 'fail', 'na'"),
        ({"posterior": [0.5, 0.5]}, r"three numbers .*: p\(PASS\), p\(FAIL\), p\(NA\)"),
        ({"posterior": [0.5, 0.5, "0"]}, "three numbers"),
        ({"posterior": [0.5, 0.5, 0.5]}, "three numbers from 0 to 1 that sum to 1"),
        ({"posterior": [float("nan"), 2, -5]}, "three numbers"),
        ({"posterior": [10**400, 0, 1]}, "three numbers"),
        ({"posterior": [True, False, 0]}, "three numbers"),
        ({"group": " "}, "'group' is empty"),
        ({"evidence_source": None}, "'evidence_source' must be text, not null"),
    ],
)
def test_wrong_fields(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RowError, match=words):
        parse_example(GOOD | changes)


def test_examples_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_examples(path, [parse_example(GOOD)])
    before = path.read_bytes()

    def broken() -> Iterator[Example]:
        yield parse_example(GOOD | {"id": "2"})
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_examples(path, broken())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]
    assert "posterior" not in before.decode()
