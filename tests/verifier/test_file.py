"""``candor verify`` as people call it: one claim, a file, bad rows, a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from toy_run import CLAIMS, write_claims
from typer.testing import CliRunner, Result

from candor.cli.main import app
from candor.errors import DataError
from candor.files import PART, journal_of
from candor.verifier import Verifier
from candor.verifier.file import verify_file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments)], env={"COLUMNS": "200"})


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.fixture(scope="module")
def verifier(trained_run: Path) -> Verifier:
    return Verifier.load(trained_run, device="cpu")


def test_one_claim(trained_run: Path, verifier: Verifier) -> None:
    arguments = ("--run", trained_run, "--claim", "x = 3", "-e", "x is 3", "-e", "ab", "--risk", 0.999)
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    verdict = json.loads(result.stdout)
    expected = verifier.verify("x = 3", ["x is 3", "ab"]).as_json()
    assert verdict["label"] == expected["label"]
    assert verdict["label_probs"] == pytest.approx(expected["label_probs"], abs=1e-5)
    words = run(*arguments).stdout
    assert words.startswith(verdict["label"])
    assert f"stated confidence {verdict['confidence']:.2f}" in words


def test_a_file_gives_a_line_for_each_row_in_order(verifier: Verifier, trained_run: Path, tmp_path: Path) -> None:
    claims, out = write_claims(tmp_path / "claims.jsonl"), tmp_path / "deep" / "verdicts.jsonl"
    result = run(claims, "--out", out, "--run", trained_run, "--batch-size", 4)
    assert result.exit_code == 0, result.output
    assert f"6 verdicts in {out}" in result.stdout
    found = rows_of(out)
    assert [row["id"] for row in found] == [f"0-{index}" for index in range(6)]
    assert [row["line"] for row in found] == list(range(1, 7))
    for row, verdict in zip(found, verifier.verify_batch(CLAIMS), strict=True):
        assert (row["label"], row["confidence"]) == (verdict.label.value, verdict.confidence)
        assert row["label_probs"] == pytest.approx(verdict.as_json()["label_probs"], abs=1e-5)
    assert not out.with_name(out.name + PART).exists()
    again = run(claims, "--out", out, "--run", trained_run)
    assert isinstance(again.exception, DataError)
    assert "is there already" in str(again.exception)


def test_columns_by_another_name(trained_run: Path, tmp_path: Path) -> None:
    claims, out = tmp_path / "claims.csv", tmp_path / "verdicts.jsonl"
    claims.write_text("key,text,e1,e2\na,x = 3,x is 3,ab\n,x = 4,,\n")
    columns = ["--column", "claim=text", "--column", "evidence=e1", "--column", "evidence=e2"]
    assert "no 'claim'" in run(claims, "--out", out, "--run", trained_run).stderr
    out.unlink()
    result = run(claims, "--out", out, "--run", trained_run, *columns)
    assert result.exit_code == 0, result.output
    assert [row["line"] for row in rows_of(out)] == [2, 3]


def test_bad_rows_are_named_and_cost_no_other_row(trained_run: Path, tmp_path: Path) -> None:
    claims, out = tmp_path / "claims.jsonl", tmp_path / "verdicts.jsonl"
    lines = [
        b'{"claim": "x = 3", "evidence": ["x is 3"]}',
        b"{not json",
        b"",
        b'{"id": "blank", "claim": " ", "evidence": []}',
        b'{"id": "none", "claim": "x"}',
        json.dumps({"id": "long", "claim": "x" * 900, "evidence": []}).encode(),
        b'\xff{"claim": "x"}',
        b'{"id": 7, "claim": "x = 3", "evidence": "x is 3"}',
    ]
    claims.write_bytes(b"\n".join(lines))
    result = run(claims, "--out", out, "--run", trained_run)
    assert result.exit_code == 1
    assert "2 verdicts in" in result.stdout
    assert "5 of 7 rows could not be used" in result.stderr
    found = rows_of(out)
    assert [row["line"] for row in found] == [1, 2, 4, 5, 6, 7, 8]
    assert [row.get("id") for row in found] == [None, None, "blank", "none", "long", None, "7"]
    errors = [row["error"] for row in found if "error" in row]
    for words, error in zip(("not JSON", "'claim' is empty", "no 'evidence'", "tokens", "UTF-8"), errors, strict=True):
        assert words in error
    assert f"bad row: {claims}:4: 'claim' is empty" in result.stderr
    assert found[0]["label_probs"] == pytest.approx(found[-1]["label_probs"], abs=1e-5)


def test_tables(trained_run: Path, tmp_path: Path) -> None:
    claims = tmp_path / "claims.csv"
    claims.write_text('id,claim,evidence\na,x = 3,"[""x is 3"", ""ab""]"\nb,x = 3,x is 3\nc,x = 3\n', encoding="utf-8")
    result = run(claims, "--out", tmp_path / "out.jsonl", "--run", trained_run)
    assert result.exit_code == 1
    found = rows_of(tmp_path / "out.jsonl")
    assert [row.get("id") for row in found] == ["a", "b", None]
    assert "2 cells, but the header has 3" in found[2]["error"]


def test_ends_of_lines_inside_of_an_id_or_a_claim_make_no_row(verifier: Verifier, tmp_path: Path) -> None:
    claims, out = tmp_path / "claims.jsonl", tmp_path / "out.jsonl"
    row = {"id": "a\u2028b", "claim": "x = 3\u2028or so", "evidence": ["x\u2029is 3"]}
    claims.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert verify_file(claims, out, verifier, batch_size=4).rows == 1
    (found,) = rows_of(out)
    assert (found["line"], found["id"]) == (1, "a\u2028b")


def test_a_second_process_does_not_write_between_the_first_ones_lines(verifier: Verifier, tmp_path: Path) -> None:
    claims, out = write_claims(tmp_path / "claims.jsonl"), tmp_path / "out.jsonl"
    with journal_of(out), pytest.raises(DataError, match="another process is at work"):
        verify_file(claims, out, verifier, batch_size=4)
    assert verify_file(claims, out, verifier, batch_size=4).rows == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claims.jsonl", "out.jsonl"]


class StopError(Exception):
    pass


@pytest.mark.parametrize("tail", ["", '{"line": 5, "lab'])
def test_going_on_gives_what_one_go_would_have(verifier: Verifier, tmp_path: Path, tail: str) -> None:
    claims = write_claims(tmp_path / "claims.jsonl", copies=3)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "verdicts.jsonl"
    verify_file(claims, whole, verifier, batch_size=2)

    def stop_early(rows: int, done: list[int] = []) -> None:  # noqa: B006
        done.append(rows)
        if sum(done) >= 4:
            raise StopError

    with pytest.raises(StopError):
        verify_file(claims, out, verifier, batch_size=2, on_batch=stop_early)
    part = out.with_name(out.name + PART)
    assert not out.exists()
    assert len(rows_of(part)) == 1 + 4
    with part.open("a") as stream:
        stream.write(tail)
    seen: list[tuple[int, int]] = []
    outcome = verify_file(claims, out, verifier, batch_size=2, on_total=lambda total, done: seen.append((total, done)))
    assert seen == [(18, 4)]
    assert (outcome.rows, outcome.resumed, outcome.bad) == (18, 4, 0)
    assert out.read_bytes() == whole.read_bytes()


def test_a_part_of_other_work_is_left_alone(verifier: Verifier, trained_run: Path, tmp_path: Path) -> None:
    claims, out = write_claims(tmp_path / "claims.jsonl"), tmp_path / "verdicts.jsonl"

    def stop(rows: int) -> None:
        raise StopError

    with pytest.raises(StopError):
        verify_file(claims, out, verifier, batch_size=2, on_batch=stop)
    other = Verifier.load(trained_run, device="cpu", risk=0.5)
    with pytest.raises(DataError, match="differs in verifier"):
        verify_file(claims, out, other, batch_size=2)
    write_claims(claims, copies=2)
    with pytest.raises(DataError, match="differs in claims_sha256"):
        verify_file(claims, out, verifier, batch_size=2)


@pytest.mark.slow
def test_a_killed_process_goes_on(trained_run: Path, tmp_path: Path) -> None:
    claims, out = write_claims(tmp_path / "claims.jsonl", copies=80), tmp_path / "verdicts.jsonl"
    part = out.with_name(out.name + PART)
    command = [sys.executable, "-m", "candor.cli", "verify", claims, "--out", out, "--run", trained_run]
    command += ["--batch-size", "2", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (part.is_file() and part.read_bytes().count(b"\n") > 3) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = part.read_bytes().count(b"\n") - 1
    assert 0 < done < 480
    result = run(claims, "--out", out, "--run", trained_run, "--batch-size", 200)
    assert result.exit_code == 0, result.output
    assert f"going on behind row {done} of 480" in result.stderr
    assert [row["id"] for row in rows_of(out)] == [f"{copy}-{index}" for copy in range(80) for index in range(6)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--claim", "x"), "--run"),
        (("--run", "r"), "--claim"),
        (("c.jsonl", "--claim", "x", "--run", "r"), "--claim"),
        (("c.jsonl", "--run", "r"), "--out"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_files_that_cannot_be_read(verifier: Verifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        verify_file(tmp_path / "none.jsonl", tmp_path / "out.jsonl", verifier, batch_size=1)


def test_a_json_list_gives_the_same_as_its_lines(verifier: Verifier, tmp_path: Path) -> None:
    lines = write_claims(tmp_path / "claims.jsonl")
    listed = tmp_path / "claims.json"
    listed.write_text(json.dumps([json.loads(line) for line in lines.read_text().splitlines()], indent=2))
    for claims in (lines, listed):
        outcome = verify_file(claims, tmp_path / f"{claims.name}.out", verifier, batch_size=4)
        assert (outcome.rows, outcome.bad) == (6, 0)
    assert rows_of(tmp_path / "claims.json.out") == rows_of(tmp_path / "claims.jsonl.out")
    listed.write_text('{"claim": "x"}')
    bad: list[str] = []
    verify_file(listed, tmp_path / "bad.out", verifier, batch_size=1, on_bad_row=bad.append)
    assert "a JSON list of rows was expected" in bad[0]


def test_a_file_of_claims_is_compared_with_those_of_the_threshold(verifier: Verifier, tmp_path: Path) -> None:
    claims = tmp_path / "claims.jsonl"
    lines = [json.dumps({"claim": f"x = {n}", "evidence": ["y", "z"] * (1 + n % 4)}) for n in range(20)]
    claims.write_text("\n".join([*lines, "{not json"]) + "\n", encoding="utf-8")
    outcome = verify_file(claims, tmp_path / "out.jsonl", verifier, batch_size=8)
    expected = verifier.resemblance([(f"x = {n}", ["y", "z"] * (1 + n % 4)) for n in range(20)])
    assert outcome.resemblance == expected
    assert (outcome.bad, expected.shifted) == (1, True)
    knowing_nothing = copy(verifier)
    knowing_nothing.calibration = None
    assert verify_file(claims, tmp_path / "other.jsonl", knowing_nothing, batch_size=8).resemblance is None


def test_the_command_warns_of_claims_from_elsewhere(trained_run: Path, tmp_path: Path) -> None:
    claims = tmp_path / "claims.jsonl"
    lines = [json.dumps({"claim": f"x = {n}", "evidence": ["y", "z"] * (1 + n % 4)}) for n in range(20)]
    claims.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = run(claims, "--out", tmp_path / "out.jsonl", "--run", trained_run)
    assert result.exit_code == 0, result.output
    assert "claims look unlike those the threshold was chosen on" in " ".join(result.stderr.split())


def test_a_table_without_rows_is_an_error(verifier: Verifier, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("claim,evidence\n")
    with pytest.raises(DataError, match=r"a\.csv: holds no row"):
        verify_file(tmp_path / "a.csv", tmp_path / "out.jsonl", verifier, batch_size=4)


def test_rows_that_a_quotation_mark_swallowed_are_named(verifier: Verifier, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('claim,evidence,label\nA,"e,PASS\nB,e",FAIL\nC,e,NA\n')
    verify_file(tmp_path / "a.csv", tmp_path / "out.jsonl", verifier, batch_size=4)
    first, second = rows_of(tmp_path / "out.jsonl")
    assert "a cell of several lines holds what looks like a row" in first["error"]
    assert "error" not in second
