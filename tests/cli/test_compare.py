"""The command ``candor compare``: one pair of files or many, findings in the terminal, as JSON and on a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from answer_files import FAIL, HEADER, NA, PASS, Same, kept, write_pair

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


def test_figures_under_stated_class_shares_and_what_a_reader_must_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Base answers every NA example PASS: of half NA examples it is half right, of a tenth nine times of ten."""
    answers = [*(Same(300, label, label, label) for label in (PASS, FAIL)), Same(300, NA, PASS, NA)]
    files = write_pair(tmp_path, answers)
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    shares = ("--class-shares", "pass=.45, FAIL=.45, NA=.1")
    assert _run(*files, "--in-domain", FEW, *shares, "--json", out, "--html", page) == 0
    found = json.loads(out.read_text())
    check_results(found)
    assert found["reweighted"]["shares"] == {"PASS": 0.45, "FAIL": 0.45, "NA": 0.1}
    assert found["reweighted"]["base"]["accuracy"]["value"] == pytest.approx(0.9)
    assert found["reweighted"]["differences"]["accuracy"]["value"] == pytest.approx(0.1)
    assert found["metrics"]["base"]["accuracy"]["value"] == pytest.approx(2 / 3)
    printed = capsys.readouterr().out
    assert "wiki (trained on): 45 % PASS, 45 % FAIL and 10 % NA" in printed
    # The terminal is narrow: what it has no room for is not explained.
    assert '"sees" names' not in " ".join(printed.split())
    assert "Under other class shares" in page.read_text()
    assert _run(*files, "--in-domain", FEW, "--json", out) == 0
    assert json.loads(out.read_text())["reweighted"] is None
    capsys.readouterr()
    silent = [*answers, Same(5, PASS, None, PASS)]
    assert _run(*write_pair(tmp_path, silent), "--in-domain", FEW) == 0
    printed = " ".join(capsys.readouterr().out.split())
    told = printed.partition("Warnings ")[2]
    assert "base: 5 of 905 answers hold no label; each counts as wrong." in told


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ("PASS=.5,FAIL=.5", "needs PASS, FAIL, NA, each at least 0, 1 in all"),
        ("PASS=.5,FAIL=.5,NA", "needs a number for each label"),
        ("PASS=.5,FAIL=.5,PASS=.5", "a label stands twice"),
        ("PASS=nan,FAIL=.5,NA=.5", "needs PASS, FAIL, NA, each at least 0, 1 in all"),
    ],
)
def test_class_shares_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shares: str, words: str
) -> None:
    assert _run(*write_pair(tmp_path, RISE), FEW, "--class-shares", shares) != 0
    assert words in " ".join(capsys.readouterr().err.split())


def test_wrong_use_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_pair(tmp_path, RISE)
    assert _run(*files, "--in-domain", "--trained-on", "wiki") == 2
    assert "leave out --in-domain" in capsys.readouterr().err
    assert _run(*files, "--validation", "one.jsonl") == 2
    assert "--validation one.jsonl: needs two files" in capsys.readouterr().err
    assert _run(files[0]) == 1
    assert "1 files: give the base model's and the trained model's" in capsys.readouterr().err
