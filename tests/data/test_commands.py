from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from fever_files import write_fever
from typer.testing import CliRunner, Result

from candor.data import commands
from candor.data.download import Fetched
from candor.data.official import OFFICIAL_FILES, DataPath
from candor.errors import DataError

app = typer.Typer()
app.add_typer(commands.app, name="data")
app.command("audit")(commands.audit_command)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_list_says_what_is_there(shared_data: Path) -> None:
    result = run("data", "list", "--data-dir", shared_data)
    assert result.exit_code == 0
    assert "candor data fetch fever" in result.stdout
    (vitaminc,) = [line for line in result.stdout.splitlines() if "34,481" in line]
    assert all(number in vitaminc for number in ("17,306", "9,907", "7,268"))


def test_list_without_a_data_folder(tmp_path: Path) -> None:
    result = run("data", "list", "--data-dir", tmp_path / "none")
    assert result.exit_code == 0
    assert "candor data fetch climatefever" in result.stdout
    assert "wiki" in result.stdout


def test_show(shared_data: Path, tmp_path: Path) -> None:
    result = run("data", "show", "climatefever", "-n", 3, "--data-dir", shared_data)
    assert result.exit_code == 0
    assert "1,535 examples (654 PASS, 253 FAIL, 628 NA)" in result.stdout
    assert all(f"\n{label}  " in result.stdout for label in ("PASS", "FAIL", "NA"))
    result = run("data", "show", "fever", "-n", 2, "--data-dir", write_fever(tmp_path))
    assert isinstance(result.exception, DataError)
    assert "shared_task_dev.jsonl" in str(result.exception)


def test_show_prints_markup_as_it_is(tmp_path: Path) -> None:
    row = {"claim": "[red]Danger[/red] [/]", "evidence": "[bold]x", "label": "NA"}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    result = run("data", "show", tmp_path / "mine.jsonl")
    assert "[red]Danger[/red] [/]" in result.stdout
    assert "[bold]x" in result.stdout


def test_audit_prints_and_writes_figures(shared_data: Path, tmp_path: Path) -> None:
    published = shared_data / "published" / "fever_base_results.json.gz"
    result = run("audit", published, "--json", tmp_path / "audit.json")
    assert result.exit_code == 0
    assert "99.4%  (98.7% - 99.7%)" in result.stdout
    assert "! fever_base_results: the rule" in result.stdout
    figures = json.loads((tmp_path / "audit.json").read_text())
    assert figures["datasets"]["fever_base_results"]["labels"] == {"PASS": 250, "FAIL": 250, "NA": 500}


def test_audit_of_a_table_and_of_bad_input(tmp_path: Path) -> None:
    rows = "".join(f"Claim {n},Evidence {n},{('yes', 'PASS', 'NA')[n % 3]}\n" for n in range(60))
    (tmp_path / "mine.csv").write_text("claim,evidence,label\n" + rows)
    result = run("audit", tmp_path / "mine.csv")
    assert isinstance(result.exception, DataError)
    assert "mine.csv:2: 'label' is 'yes', no known label" in str(result.exception)
    assert run("audit", tmp_path / "mine.csv", "--skip-bad-rows").exit_code == 0
    assert "no such recipe" in str(run("audit", tmp_path / "none").exception)
    assert "-o changes a recipe" in str(run("audit", tmp_path / "mine.csv", "-o", "a=b").exception)


def test_audit_of_a_run(tmp_path: Path) -> None:
    example = {"id": "1", "dataset": "d", "claim": "C", "evidence": ["E"], "label": "NA", "group": "g"}
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}.jsonl").write_text(json.dumps(example) + "\n")
    result = run("audit", tmp_path)
    assert result.exit_code == 0
    assert "1 of 1 examples of test share their claim with train" in result.stdout


def test_fetch_says_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = [Fetched(OFFICIAL_FILES[4], DataPath(tmp_path / "climate-fever.jsonl"), new) for new in (True, False)]
    monkeypatch.setattr(commands, "fetch_files", lambda dataset, folder: done)
    result = run("data", "fetch", "climatefever", "--data-dir", tmp_path)
    assert "climatefever/climate-fever.jsonl: fetched, SHA-256 as published" in result.stdout
    assert "already there" in result.stdout
