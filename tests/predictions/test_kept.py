"""Answers that outlive the process that was given them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from toy import EXAMPLES

from candor.errors import DataError
from candor.files import Journal
from candor.predictions.file import Header
from candor.predictions.kept import Answers, claims_of, made_from
from candor.shards import Shard

HEADER = Header(model="m", template="t", template_sha256="0", dataset="d", split="test", seed=0)


def test_what_was_kept_is_there_at_the_next_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out.part")
    origin = made_from(HEADER, EXAMPLES, max_new_tokens=8)
    Answers(journal, origin).append([{"index": 3, "text": "a"}, {"index": 1, "text": "b"}])
    again = Answers(journal, origin)
    assert sorted(again.indices()) == [1, 3]
    assert (again[3], again[1]) == ({"index": 3, "text": "a"}, {"index": 1, "text": "b"})
    again.append([{"index": 3, "text": "ç"}, {"index": 4, "text": "d"}])
    third = Answers(journal, origin)
    assert [third[index]["text"] for index in (1, 3, 4)] == ["b", "ç", "d"]
    assert [again[index]["text"] for index in (1, 3, 4)] == ["b", "ç", "d"]
    assert len(third) == 3


def test_answers_in_memory_leave_nothing(tmp_path: Path) -> None:
    answers = Answers()
    answers.append([{"index": 0, "text": "a"}])
    assert (answers[0]["text"], len(answers), 1 in answers) == ("a", 1, False)
    assert not list(tmp_path.iterdir())


def test_of_answers_that_another_process_keeps_nothing_but_the_index_is_known() -> None:
    answers = Answers(elsewhere=True)
    answers.know([0, 1])
    answers.append([{"index": 1, "text": "again"}, {"index": 2, "text": "c"}])
    assert (sorted(answers.indices()), len(answers), 3 in answers) == ([0, 1, 2], 3, False)
    with pytest.raises(KeyError):
        answers[1]


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


def write(path: Path, ids: list[str]) -> Path:
    rows = [f'{{"id": "{name}", "claim": "x = 1", "evidence": ["x is {name}"], "label": "NA"}}' for name in ids]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_shard_has_every_so_many_rows_and_tells_of_all(tmp_path: Path) -> None:
    claims = write(tmp_path / "claims.jsonl", ["a", "b", "c", "d", "e"])
    with (
        claims_of(claims, None, None) as whole,
        claims_of(claims, None, Shard(1, 3)) as first,
        claims_of(claims, None, Shard(2, 3)) as own,
    ):
        assert [example.id for example in whole.examples] == ["a", "b", "c", "d", "e"]
        assert whole.shard is None
        assert list(own.examples) == list(whole.examples)[1::3]
        assert own.dataset == whole.dataset
        assert own.shard is not None
        assert first.shard == own.shard | {"number": 1}
        assert {key: own.shard[key] for key in ("number", "of", "file_rows")} == {"number": 2, "of": 3, "file_rows": 5}
        # The hash is that of the whole list, so that shards of different versions of candor fit together.
        listed = json.dumps([asdict(example) for example in whole.examples])
        assert own.shard["claims_sha256"] == hashlib.sha256(listed.encode()).hexdigest()
        with claims_of(write(tmp_path / "claims.jsonl", ["x", "b", "c", "d", "e"]), None, Shard(2, 3)) as other:
            assert list(other.examples) == list(own.examples)
            assert other.shard is not None
            assert other.shard["claims_sha256"] != own.shard["claims_sha256"]


def test_shards_of_a_file_with_several_datasets_share_its_name(tmp_path: Path) -> None:
    rows = [
        {"id": str(n), "dataset": "ab"[n % 2], "group": "g", "claim": f"x = {n}", "evidence": [], "label": "NA"}
        for n in range(6)
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number in (1, 2):
        with claims_of(path, None, Shard(number, 2)) as found:
            assert found.dataset is None
    with claims_of(path, None, None) as found:
        assert [example.id for example in found.examples] == list("012345")  # as in the file, not by dataset


def test_what_cannot_be_answered_is_refused_at_once(tmp_path: Path) -> None:
    def read(path: Path, shard: Shard | None) -> None:
        with claims_of(path, None, shard):
            raise AssertionError

    with pytest.raises(DataError, match="has 2 claims, so shard 3/3 would be empty"):
        read(write(tmp_path / "few.jsonl", ["a", "b"]), Shard(3, 3))
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(DataError, match=r"none\.jsonl: holds no row"):
        read(tmp_path / "none.jsonl", None)
    with pytest.raises(DataError, match=r"twins\.jsonl:2: id 'a' is already that of"):
        read(write(tmp_path / "twins.jsonl", ["a", "a"]), None)
    folder = tmp_path / "examples"
    folder.mkdir()
    for split in ("train", "test"):
        row = {"id": "a", "dataset": "d", "group": split, "claim": "x = 1", "evidence": [], "label": "NA"}
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="examples: id 'a' occurs twice"):
        read(folder, None)
