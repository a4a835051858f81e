"""Answers that outlive the process that was given them."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import EXAMPLES

from candor.errors import DataError
from candor.files import Journal
from candor.predictions.file import Header
from candor.predictions.kept import Answers, check_ids, made_from

HEADER = Header(model="m", template="t", template_sha256="0", dataset="d", split="test", seed=0)


def test_what_was_kept_is_there_at_the_next_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out.part")
    origin = made_from(HEADER, EXAMPLES, max_new_tokens=8)
    Answers(journal, origin).append([{"index": 3, "text": "a"}, {"index": 1, "text": "b"}])
    again = Answers(journal, origin)
    assert again.lines == {3: {"index": 3, "text": "a"}, 1: {"index": 1, "text": "b"}}
    again.append([{"index": 3, "text": "c"}])
    assert Answers(journal, origin).lines[3]["text"] == "c"


def test_answers_in_memory_leave_nothing(tmp_path: Path) -> None:
    answers = Answers()
    answers.append([{"index": 0, "text": "a"}])
    answers.take([{"index": 1, "text": "b"}])
    assert sorted(answers.lines) == [0, 1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (made_from(HEADER, EXAMPLES[1:], max_new_tokens=8), "claims_sha256"),
        (made_from(HEADER, EXAMPLES, max_new_tokens=9), "max_new_tokens"),
        (made_from(HEADER, EXAMPLES, max_new_tokens=8, weights_sha256="1"), "weights_sha256"),
    ],
)
def test_other_work_is_refused_and_left_alone(tmp_path: Path, other: dict[str, object], named: str) -> None:
    journal = Journal(tmp_path / "out.part")
    origin = made_from(HEADER, EXAMPLES, max_new_tokens=8, weights_sha256=None)
    Answers(journal, origin).append([{"index": 0, "text": "a"}])
    before = journal.path.read_bytes()
    with pytest.raises(DataError, match=named):
        Answers(journal, other)
    assert journal.path.read_bytes() == before


def test_repeated_ids_are_named(tmp_path: Path) -> None:
    check_ids(EXAMPLES, tmp_path / "claims.jsonl")
    with pytest.raises(DataError, match=f"claims.jsonl.*{EXAMPLES[0].id}.*twice"):
        check_ids([*EXAMPLES, EXAMPLES[0]], tmp_path / "claims.jsonl")
