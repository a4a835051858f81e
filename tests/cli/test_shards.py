"""Shards on the command line: predictions and verdicts of parts, joined, are those of the whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_run import write_claims
from typer.testing import CliRunner, Result

from candor.cli.main import app
from candor.predictions.file import read_predictions
from candor.run_folder import RunFolder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})


def test_predictions_of_shards_are_those_of_the_whole(trained_run: Path, tmp_path: Path) -> None:
    claims = RunFolder(trained_run).examples("test")
    parts = [tmp_path / f"{number}.jsonl" for number in (1, 2, 3)]
    shared = ("predict", claims, "-m", trained_run, "-q")
    assert run(*shared, "--out", tmp_path / "whole.jsonl").exit_code == 0
    for number, part in enumerate(parts, start=1):
        assert run(*shared, "--shard", f"{number}/3", "--out", part).exit_code == 0
    compared = run("compare", parts[0], parts[1])
    assert compared.exit_code == 1
    assert "put all of them together with candor join" in str(compared.exception)
    longer = run(*shared, "--shard", "3/3", "--max-new-tokens", 30, "--out", tmp_path / "longer.jsonl")
    assert longer.exit_code == 0
    wrong = run("join", *parts[:2], tmp_path / "longer.jsonl", "--out", tmp_path / "joined.jsonl")
    assert "differs in max_new_tokens" in str(wrong.exception)
    joined = run("join", *parts[::-1], "--out", tmp_path / "joined.jsonl")
    assert joined.exit_code == 0, joined.output
    whole, together = (read_predictions(tmp_path / f"{name}.jsonl") for name in ("whole", "joined"))
    assert together.header == whole.header
    assert [row.id for row in together.predictions] == [row.id for row in whole.predictions]
    assert [row.raw for row in together.predictions] == [row.raw for row in whole.predictions]
    for one, other in zip(together.predictions, whole.predictions, strict=True):
        assert one.label_probs == pytest.approx(other.label_probs, abs=1e-5)
    assert f"{len(whole.predictions)} rows in" in joined.stdout


def test_verdicts_of_shards_are_those_of_the_whole(trained_run: Path, tmp_path: Path) -> None:
    claims = write_claims(tmp_path / "claims.jsonl")
    shared = ("verify", claims, "--run", trained_run, "-q")
    assert run(*shared, "--out", tmp_path / "whole.jsonl").exit_code == 0
    parts = [tmp_path / f"{number}.jsonl" for number in range(1, 5)]
    for number, part in enumerate(parts, start=1):
        result = run(*shared, "--shard", f"{number}/4", "--out", part)
        assert result.exit_code == 0, result.output
    assert run("join", *parts, "--out", tmp_path / "joined.jsonl").exit_code == 0
    whole, joined = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("whole", "joined")
    )
    assert [(row["id"], row["line"], row["label"]) for row in joined] == [
        (row["id"], row["line"], row["label"]) for row in whole
    ]


@pytest.mark.parametrize("command", ["predict", "verify"])
def test_wrong_shards_are_refused(trained_run: Path, tmp_path: Path, command: str) -> None:
    claims = RunFolder(trained_run).examples("test")
    shared = (command, claims, "-m", trained_run, "--out", tmp_path / "out.jsonl", "-q")
    wrong = run(*shared, "--shard", "4/3")
    assert wrong.exit_code == 2
    assert "the third of sixteen is 3/16" in wrong.output
    empty = run(*shared, "--shard", "99/99")
    assert empty.exit_code == 1
    assert "so shard 99/99 would be empty; take fewer shards" in str(empty.exception)
    assert not (tmp_path / "out.jsonl").exists()


def test_one_claim_has_no_shards(trained_run: Path) -> None:
    result = run("verify", "--run", trained_run, "--claim", "x = 3", "--shard", "1/2")
    assert result.exit_code == 2
    assert "one claim has no shards" in result.output
