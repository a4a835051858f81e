"""The command line end to end, on the toy model: what it does, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from toy import save_toy_model, toy_recipe

from candor.cli import main as cli
from candor.cli.main import main
from candor.recipe.recipe import dump
from candor.run_folder import RunFolder


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with two arms that takes seconds."""
    folder = tmp_path_factory.mktemp("cli")
    recipe = toy_recipe(
        save_toy_model(folder / "model"),
        "data.validation={toy: 20}",
        "data.test={toy: 20}",
        "train.steps=2",
        "train.kl_every=0",
        "evaluation.resamples=2000",
        "evaluation.batch_size=32",
    )
    values = dump(recipe) | {"arms": {"paper": {"reward": {"preset": "paper"}}, "rlcr": {"reward": {"preset": "rlcr"}}}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def _files(folder: Path) -> dict[str, float]:
    skipped = {"recipe.yaml", "report.html", "engine.json", "worker.log"}
    return {
        str(path.relative_to(folder)): path.stat().st_mtime
        for path in folder.rglob("*")
        if path.is_file() and path.name not in skipped and not {"figures", "tables"} & set(path.parts)
    }


@pytest.fixture(scope="module")
def finished(recipe_file: Path) -> Path:
    """The recipe's run, its arms in processes of their own."""
    out = recipe_file.parent / "run"
    with pytest.MonkeyPatch.context() as patch:
        # On any machine a thread for each, as this process has: with more the sums would be rounded otherwise.
        patch.setattr("candor.runs.workers.os.cpu_count", lambda: 2)
        assert _run("run", str(recipe_file), "--out", str(out), "--jobs", "2", "--quiet") == 0
    return out


@pytest.mark.slow
def test_a_run_leaves_everything_in_its_folder(finished: Path) -> None:
    for arm in ("paper-seed0", "rlcr-seed0"):
        for name in ("recipe.yaml", "manifest.json", "audit.json", "results.json", "adapter/adapter_config.json"):
            assert (finished / arm / name).is_file(), name
        rows = [json.loads(line) for line in (finished / arm / "train" / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [0, 1]
        results = json.loads((finished / arm / "results.json").read_text())
        assert [one["role"] for one in results["comparisons"]] == ["in_domain"]
    assert "<html" in (finished / "report.html").read_text(encoding="utf-8")
    base = "predictions/base/toy.jsonl"
    assert (finished / "paper-seed0" / base).read_bytes() == (finished / "rlcr-seed0" / base).read_bytes()


@pytest.mark.slow
def test_the_same_again_does_nothing_twice(finished: Path, recipe_file: Path) -> None:
    before = _files(finished)
    assert _run("run", str(recipe_file), "--out", str(finished), "--quiet") == 0
    assert _files(finished) == before


@pytest.mark.slow
def test_one_process_or_several_give_the_same(finished: Path, recipe_file: Path, tmp_path: Path) -> None:
    assert _run("run", str(recipe_file), "--out", str(tmp_path / "one"), "-q", "-o", "stages=[data,base,train]") == 0
    for arm in ("paper-seed0", "rlcr-seed0"):
        adapter = "adapter/adapter_model.safetensors"
        assert (tmp_path / "one" / arm / adapter).read_bytes() == (finished / arm / adapter).read_bytes()


@pytest.mark.slow
def test_another_recipe_is_not_mixed_in(finished: Path, recipe_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _run("run", str(recipe_file), "--out", str(finished), "-o", "train.steps=3") == 1
    assert "train.steps" in capfd.readouterr().err


@pytest.mark.slow
def test_two_processes_do_not_work_in_one_run_folder(
    finished: Path, recipe_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(recipe_file), "--out", str(finished), "--quiet"]
    with RunFolder(finished / "paper-seed0").working():
        assert _run(*command) == 1
        error = capfd.readouterr().err
        assert "paper-seed0: another process is at work in this run folder" in error
    assert _run(*command) == 0


@pytest.mark.slow
def test_a_worker_that_fails_is_named(recipe_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "fails"
    stages = "stages=[data,base,trained]"  # without training there is no adapter
    assert _run("run", str(recipe_file), "--out", str(out), "--jobs", "2", "-q", "-o", stages) == 1
    error = capfd.readouterr().err
    assert "paper-seed0" in error
    assert "no adapter" in error


@pytest.mark.slow
def test_compare_and_report(finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base, trained = (finished / "paper-seed0" / "predictions" / side / "toy.jsonl" for side in ("base", "trained"))
    page, results = tmp_path / "page.html", tmp_path / "results.json"
    arguments = ["--json", str(results), "--html", str(page), "--resamples", "2000", "--in-domain"]
    assert _run("compare", str(base), str(trained), *arguments) == 0
    assert "NA recall" in capfd.readouterr().out
    assert json.loads(results.read_text())["role"] == "in_domain"
    assert page.is_file()
    assert _run("report", str(finished / "paper-seed0"), "--out", str(tmp_path / "one.html")) == 0
    assert (tmp_path / "one.html").is_file()


@pytest.mark.slow
def test_predict_writes_what_compare_reads(finished: Path, recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.jsonl"
    data = finished / "paper-seed0" / "data" / "test.jsonl"
    model, template = str(recipe_file.parent / "model"), yaml.safe_load(recipe_file.read_text())["prompt"]["template"]
    assert _run("predict", str(data), "-m", model, "--template", template, "--out", str(out), "-q") == 0
    header, *rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (header["dataset"], len(rows)) == ("toy", 20)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "nosuch"], 2, "no such recipe"),
        (["run", "demo", "-o", "train.stepz=1"], 2, "did you mean steps?"),
        (["run", "demo", "-o", "sampling.temperature=0"], 2, "greater than 0"),
        (["bogus"], 2, "No such command"),
        (["run"], 2, "recipe"),
        (["report", "nowhere"], 1, "nowhere"),
        (["compare", "a", "b"], 1, "no such file"),
        (["predict", "claims.csv", "-m", "sandbox", "--out", "o"], 1, "claims.csv"),
    ],
)
def test_errors_take_one_line_and_the_right_code(
    arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == code
    error = capfd.readouterr().err
    assert words in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"name": "no/such/model"}}, "model.name"),
        ({"data": {"sources": {"toy": {"kind": "table", "path": "EMPTY"}}}}, "holds no row"),
    ],
)
def test_wrong_models_and_empty_files_are_named(
    recipe_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], change: dict[str, Any], words: str
) -> None:
    values = yaml.safe_load(recipe_file.read_text())
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    if "data" in change:
        change["data"]["sources"]["toy"]["path"] = str(empty)
        values["data"]["sources"] = change["data"]["sources"]
    else:
        values["model"]["name"] = change["model"]["name"]
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    assert _run("run", str(path), "--out", str(tmp_path / "run"), "-q") == 1
    error = capfd.readouterr().err.strip()
    assert words in error
    assert "\n" not in error


def test_debug_shows_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert _run("--debug", "report", "nowhere") == 1
    assert "Traceback" in capfd.readouterr().err


def _wait_for(condition: Callable[[], object], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_stops_where_it_can_go_on(recipe_file: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "candor.cli", "run", str(recipe_file), "--out", str(out), "-o", "train.steps=400"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    metrics = out / "paper-seed0" / "train" / "metrics.jsonl"
    _wait_for(lambda: metrics.is_file() and metrics.read_text())
    process.send_signal(number)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130
    assert b"run the same command again" in error
    steps = len(metrics.read_text().splitlines())
    assert (out / "paper-seed0" / "checkpoints" / f"step-{steps:06d}").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_runs_at_once_end_with_their_command_and_the_same_command_goes_on(
    recipe_file: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "stopped"
    # On the prefix tree, where sixty steps take seconds.
    arguments = ["run", str(recipe_file), "--out", str(out), "--jobs", "2", "-q"]
    arguments += ["-o", "train.steps=60", "-o", "engine.path=tree"]
    logs = [out / f"{arm}-seed0" / "train" / "metrics.jsonl" for arm in ("paper", "rlcr")]
    with subprocess.Popen([sys.executable, "-m", "candor.cli", *arguments], start_new_session=True) as process:
        try:
            _wait_for(lambda: all(log.is_file() and log.read_text() for log in logs))
            process.send_signal(number)
            assert process.wait(300) == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        finally:
            process.kill()
    # Nobody is at work there any more; but workers whose command was killed outright end when the machine gets to it.
    _wait_for(lambda: _run(*arguments) == 0, 60 if number == signal.SIGKILL else 0)
    for log in logs:
        assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(60))
    assert not list(out.rglob("*.part"))


def test_a_hang_up_that_our_starter_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cli._stop_on_signal() as should_stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not should_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_in_any_command_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 130
    assert "run the same command again to go on" in capsys.readouterr().err
