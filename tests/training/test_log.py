"""Log and checkpoints of a run, with broken and damaged folders."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from candor.errors import RunError
from candor.training.log import TrainingLog, logged_rows


class FakeEngine:
    """Remembers the checkpoint that it stands at."""

    def __init__(self) -> None:
        self.at = "fresh"

    def save(self, path: Path) -> None:
        path.mkdir(parents=True)
        (path / "state").write_text(path.name)

    def load(self, path: Path) -> None:
        self.at = (path / "state").read_text()

    def save_adapter(self, path: Path) -> None:
        path.mkdir(parents=True)
        (path / "weights").write_text(self.at)


def _log(folder: Path, steps: int, *, every: int = 1, scores: dict[int, float] | None = None) -> TrainingLog:
    log, engine = TrainingLog(folder), FakeEngine()
    log.resume(engine)
    for step in range(steps):
        score = {"validation_score": scores[step]} if scores and step in scores else {}
        log.append({"step": step, "loss": 0.5, **score}, [{"step": step, "text": "t"}])
        if (step + 1) % every == 0:
            log.checkpoint(engine, step + 1)
    return log


def _steps(folder: Path, name: str = "metrics") -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "train" / f"{name}.jsonl").read_text().split("\n")[:-1]]


def _saved(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_a_fresh_folder_starts_at_nothing(tmp_path: Path) -> None:
    log, engine = TrainingLog(tmp_path), FakeEngine()
    assert log.resume(engine) == 0
    assert engine.at == "fresh"
    assert not log.finished
    assert (tmp_path / "train" / "metrics.jsonl").read_text() == ""


def test_lines_behind_the_last_checkpoint_are_taken_back(tmp_path: Path) -> None:
    _log(tmp_path, 5, every=2)
    engine = FakeEngine()
    assert TrainingLog(tmp_path).resume(engine) == 4
    assert engine.at == "step-000004"
    assert _steps(tmp_path) == _steps(tmp_path, "rollouts") == [0, 1, 2, 3]


def test_ends_of_lines_inside_of_a_text_cost_no_row(tmp_path: Path) -> None:
    log, engine = TrainingLog(tmp_path), FakeEngine()
    log.resume(engine)
    text = "a\u2028b\u2029c\x85d"
    log.append({"step": 0, "warnings": [text]}, [{"step": 0, "text": text}])
    log.append({"step": 1}, [])
    log.checkpoint(engine, 2)
    before = [(tmp_path / "train" / name).read_bytes() for name in ("metrics.jsonl", "rollouts.jsonl")]
    assert logged_rows(tmp_path) == [{"step": 0, "warnings": [text]}, {"step": 1}]
    assert TrainingLog(tmp_path).resume(engine) == 2
    assert [(tmp_path / "train" / name).read_bytes() for name in ("metrics.jsonl", "rollouts.jsonl")] == before


def test_lines_are_safe_before_a_checkpoint_counts_on_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safe: dict[int, int] = {}

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        safe[found.st_ino] = found.st_size

    class Engine(FakeEngine):
        def save(self, path: Path) -> None:
            for name in ("metrics.jsonl", "rollouts.jsonl"):
                found = (tmp_path / "train" / name).stat()
                assert safe[found.st_ino] == found.st_size > 0
            super().save(path)

    log, engine = TrainingLog(tmp_path), Engine()
    log.resume(engine)
    monkeypatch.setattr(os, "fsync", fsync)
    for step in range(2):
        log.append({"step": step}, [{"step": step}])
        log.checkpoint(engine, step + 1)
    assert _saved(tmp_path) == ["step-000001", "step-000002"]


@pytest.mark.parametrize(
    "rest", ['{"step": 4, "lo', '{"step": 4}\n{"st', "\x00\x00", '\x00\x00\n{"step": 4}\n', '{"step": 4, "x": "\udcff']
)
def test_a_broken_last_line_does_not_matter(tmp_path: Path, rest: str) -> None:
    _log(tmp_path, 4, every=2)
    for name in ("metrics", "rollouts"):
        with (tmp_path / "train" / f"{name}.jsonl").open("ab") as stream:
            stream.write(rest.encode(errors="surrogateescape"))
    assert TrainingLog(tmp_path).resume(FakeEngine()) == 4
    assert _steps(tmp_path) == _steps(tmp_path, "rollouts") == [0, 1, 2, 3]


def _drop_first(lines: list[str]) -> list[str]:
    return lines[1:]


def _double(lines: list[str]) -> list[str]:
    return [lines[0], *lines]


def _break_middle(lines: list[str]) -> list[str]:
    return [lines[0], "{", *lines[2:]]


def _foreign(lines: list[str]) -> list[str]:
    return [lines[0], "null", '{"loss": 1}', *lines[1:]]


@pytest.mark.parametrize("damage", [_drop_first, _double, _break_middle, _foreign, lambda lines: []])
def test_a_damaged_folder_is_not_trained_on(tmp_path: Path, damage: Any) -> None:
    _log(tmp_path, 4, every=2)
    path = tmp_path / "train" / "metrics.jsonl"
    path.write_text("\n".join(damage(path.read_text().splitlines())))
    damaged = path.read_bytes()
    with pytest.raises(RunError, match=r"metrics\.jsonl: .*before checkpoint 4.*remove its train and checkpoints"):
        TrainingLog(tmp_path).resume(FakeEngine())
    assert path.read_bytes() == damaged


def test_a_missing_log_beside_checkpoints_is_damage(tmp_path: Path) -> None:
    _log(tmp_path, 2)
    (tmp_path / "train" / "metrics.jsonl").unlink()
    with pytest.raises(RunError, match="damaged"):
        TrainingLog(tmp_path).resume(FakeEngine())


def test_old_checkpoints_go_but_the_best_and_the_one_before_the_last_stay(tmp_path: Path) -> None:
    _log(tmp_path / "plain", 6)
    assert _saved(tmp_path / "plain") == ["step-000005", "step-000006"]
    _log(tmp_path / "scored", 6, scores={0: 0.1, 1: 0.7, 3: 0.7, 5: 0.2})
    assert _saved(tmp_path / "scored") == ["step-000002", "step-000005", "step-000006"]


def test_remains_of_a_killed_save_are_removed(tmp_path: Path) -> None:
    _log(tmp_path, 2)
    (tmp_path / "checkpoints" / ".step-000003.x.part").mkdir()
    (tmp_path / "checkpoints" / ".step-000003.x.part" / "weights").write_text("half")
    (tmp_path / "checkpoints" / ".step-000003.y.part").write_text("a file that was never given its name")
    assert TrainingLog(tmp_path).resume(FakeEngine()) == 2
    assert _saved(tmp_path) == ["step-000001", "step-000002"]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["state", "sha256.json"])
@pytest.mark.parametrize("harm", [_flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_of_a_damaged_checkpoint_the_one_before_is_taken_and_it_is_told(tmp_path: Path, file: str, harm: Any) -> None:
    _log(tmp_path, 6, every=2)
    harm(tmp_path / "checkpoints" / "step-000006" / file)
    told: list[str] = []
    engine = FakeEngine()
    assert TrainingLog(tmp_path, tell=told.append).resume(engine) == 4
    assert engine.at == "step-000004"
    assert _saved(tmp_path) == ["step-000004"]
    assert _steps(tmp_path) == _steps(tmp_path, "rollouts") == [0, 1, 2, 3]
    if (harm, file) == (Path.unlink, "sha256.json"):  # as a kill in front of the seal leaves it, which is no damage
        assert told == []
    else:
        (words,) = told
        assert f"step-000006/{file}" in words
        assert words.endswith("; going on from the checkpoint of step 4")


@pytest.mark.parametrize("name", ["metrics", "rollouts"])
def test_a_log_damaged_behind_an_older_checkpoint_is_gone_on_with_from_there(tmp_path: Path, name: str) -> None:
    _log(tmp_path, 6, every=2)
    path = tmp_path / "train" / f"{name}.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:5], lines[5].replace(b"5", b"6"), *lines[6:]]))
    told: list[str] = []
    assert TrainingLog(tmp_path, tell=told.append).resume(FakeEngine()) == 4
    assert f"{name}.jsonl: what is logged before checkpoint 6 is not what was logged; going on" in told[0]


def test_where_no_save_was_completed_training_begins_anew_and_says_so(tmp_path: Path) -> None:
    _log(tmp_path, 2, every=2)
    (tmp_path / "checkpoints" / "step-000002" / "sha256.json").unlink()
    told: list[str] = []
    engine = FakeEngine()
    assert TrainingLog(tmp_path, tell=told.append).resume(engine) == 0
    assert engine.at == "fresh"
    assert "no checkpoint was completed" in told[0]
    assert _saved(tmp_path) == []
    assert _steps(tmp_path) == []


def test_where_no_checkpoint_is_whole_nothing_is_trained_or_removed(tmp_path: Path) -> None:
    _log(tmp_path, 6, every=2)
    for step in (4, 6):
        _flip(tmp_path / "checkpoints" / f"step-{step:06d}" / "state")
    with pytest.raises(RunError, match=r"step-000006/state is not what was written.*remove its train and checkpoints"):
        TrainingLog(tmp_path).resume(FakeEngine())
    assert _saved(tmp_path) == ["step-000004", "step-000006"]
    assert _steps(tmp_path) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_best_is_refused_before_anything_is_trained(tmp_path: Path, gone: bool) -> None:
    _log(tmp_path, 6, every=2, scores={1: 0.9, 3: 0.2, 5: 0.3})
    best = tmp_path / "checkpoints" / "step-000002" / "state"
    if gone:
        shutil.rmtree(best.parent)
    else:
        _flip(best)
    with pytest.raises(RunError, match=r"step-000002.*best .*of this training, whose weights become the adapter"):
        TrainingLog(tmp_path).resume(FakeEngine())


@pytest.mark.parametrize("name", ["step-000004-copy", "step-", "step-4", "step-x", "step-0000004", "step-٠٠٠٠٠٤"])
def test_folders_of_other_names_are_no_checkpoints(tmp_path: Path, name: str) -> None:
    _log(tmp_path, 2)
    shutil.copytree(tmp_path / "checkpoints" / "step-000002", tmp_path / "checkpoints" / name)
    engine = FakeEngine()
    assert TrainingLog(tmp_path).resume(engine) == 2
    assert engine.at == "step-000002"


def test_other_versions_than_before_are_noted_with_the_next_step(tmp_path: Path) -> None:
    made_with: dict[str, Any] = {"torch": "1.0", "number of threads": 2}
    log, engine = TrainingLog(tmp_path, made_with=made_with), FakeEngine()
    log.resume(engine)
    log.append({"step": 0}, [])
    log.checkpoint(engine, 1)
    for now, words in (
        (made_with, []),
        ({}, []),
        (
            made_with | {"number of threads": 1, "torch": "2.0"},
            ["another torch (2.0, not 1.0), another number of threads (1, not 2)"],
        ),
    ):
        log = TrainingLog(tmp_path, made_with=now)
        log.resume(engine)
        rows: list[dict[str, Any]] = [{"step": 1}, {"step": 2}]
        for row in rows:
            log.append(row, [])
        assert [part for part in words if part not in str(rows[0].get("warnings"))] == []
        assert ("warnings" in rows[0]) is bool(words)
        assert "warnings" not in rows[1]


def test_patience(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path)
    log.resume(FakeEngine())
    seen = []
    for step, score in enumerate([0.1, 0.3, 0.2, 0.3, 0.4, 0.4, 0.4]):
        log.append({"step": step, "validation_score": score}, [])
        seen.append(log.out_of_patience(2))
    assert seen == [False, False, False, True, False, False, True]
    assert not log.out_of_patience(0)


def test_the_best_step_becomes_the_adapter(tmp_path: Path) -> None:
    log, engine = _log(tmp_path, 4, scores={1: 0.5, 2: 0.5, 3: 0.1}), FakeEngine()
    log.finish(engine)
    assert (tmp_path / "adapter" / "weights").read_text() == "step-000002"
    assert log.finished
    assert log.selected() == {"selected_step": 2, "selected_by": "validation"}


def test_without_validation_the_last_weights_become_the_adapter(tmp_path: Path) -> None:
    log, engine = _log(tmp_path, 2), FakeEngine()
    engine.at = "trained"
    log.finish(engine)
    assert (tmp_path / "adapter" / "weights").read_text() == "trained"
    assert log.selected() == {"selected_step": None, "selected_by": None}


def test_a_collapse_is_written_into_its_row_and_not_again_after_resuming(tmp_path: Path) -> None:
    log, engine = TrainingLog(tmp_path), FakeEngine()
    log.resume(engine)
    rows = [{"step": step, "invalid": 1.0} for step in range(12)]
    for row in rows:
        log.append(row, [])
    assert [step for step, row in enumerate(rows) if "warnings" in row] == [9]
    log.checkpoint(engine, 12)
    again = TrainingLog(tmp_path)
    again.resume(engine)
    row: dict[str, Any] = {"step": 12, "invalid": 1.0}
    again.append(row, [])
    assert "warnings" not in row
