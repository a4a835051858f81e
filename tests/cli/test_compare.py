"""The command ``candor compare``: one pair of files or many, findings in the terminal, as JSON and on a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from answer_files import HEADER, NA, PASS, Same, kept, write_pair

from candor.cli.main import main
from candor.metrics.check_results import check_results

RISE = [*kept(), Same(300, NA, PASS, NA)]
FEW = "--resamples=2000"


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_findings_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_pair(tmp_path, RISE)
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    assert _run(*files, "--in-domain", FEW, "--json", out, "--html", page) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "In domain, NA recall rises by more than 10 points, and nothing else is lost Holds. NA recall 0.0" in printed
    found = json.loads(out.read_text())
    check_results(found)
    assert [finding["outcome"] for finding in found["findings"]][:2] == ["holds", "undecided"]
    assert "base.jsonl against trained.jsonl" in page.read_text()


def test_several_datasets_in_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wiki = write_pair(tmp_path, RISE, name="wiki-")
    news = write_pair(tmp_path, RISE, replace(HEADER, dataset="news"), name="news-")
    out = tmp_path / "out.json"
    assert _run(*wiki, *news, "--trained-on", "wiki", FEW, "--json", out, "--html", tmp_path / "both.html") == 0
    found = json.loads(out.read_text())
    assert [one["role"] for one in found["comparisons"]] == ["in_domain", "out_of_domain"]
    assert [finding["outcome"] for finding in found["findings"]][:2] == ["holds", "holds"]
    text = (tmp_path / "both.html").read_text()
    assert "<title>both</title>" in text
    capsys.readouterr()
    arms = ("--arms", "a,b", "--datasets", "w", "--trained-on", "w")
    assert _run(*wiki, *wiki, *arms, FEW, "--json", out) == 0
    assert json.loads(out.read_text())["kind"] == "arms"
    printed = capsys.readouterr().out
    assert printed.startswith("a\nw (trained on)\n")
    assert "\nb\nw (trained on)\n" in printed


def test_models_are_compared_of_which_none_is_the_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = write_pair(tmp_path, RISE)
    out, page = tmp_path / "out.json", tmp_path / "board.html"
    assert _run(one, other, "--names", "small,large", FEW, "--json", out, "--html", page) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("wiki, 800 claims\n")
    assert "large minus small on wiki" in printed
    assert json.loads(out.read_text())["kind"] == "models"
    assert "<title>board</title>" in page.read_text()
    assert _run(one, other, "--names", "a,b", "--trained-on", "wiki", "--arms", "x") == 2
    assert "none is the base; leave out --arms, --trained-on" in " ".join(capsys.readouterr().err.split())


def test_wrong_use_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_pair(tmp_path, RISE)
    assert _run(*files, "--in-domain", "--trained-on", "wiki") == 2
    assert "leave out --in-domain" in capsys.readouterr().err
    assert _run(*files, "--validation", "one.jsonl") == 2
    assert "--validation one.jsonl: needs two files" in capsys.readouterr().err
    assert _run(files[0]) == 1
    assert "1 files: give the base model's and the trained model's" in capsys.readouterr().err
