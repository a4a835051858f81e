"""Every command and every program of the how-to pages runs as it is written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_models import save_chat_model
from chat_server import serve_chat
from fake_run import write_run
from fever_files import write_fever
from places import DOCS, README
from pytest_httpserver import HTTPServer
from running import FakeVerifier, running
from toy import toy_tokenizer
from typer.testing import CliRunner

from candor.cli.main import app
from candor.extensions import load_extension
from candor.files import read_jsonl
from candor.recipe.recipe import find_recipe, load_run_recipe
from candor.run_folder import RunFolder
from candor.verifier import Verifier


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.splitlines() if line]


@pytest.fixture
def workplace(trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs/mine and claims.jsonl in it, as the pages have them."""
    shutil.copytree(trained_run, tmp_path / "runs" / "mine", ignore=shutil.ignore_patterns("checkpoints"))
    (tmp_path / "claims.jsonl").write_text(blocks("verify", "jsonl")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def label_claims(workplace: Path) -> None:
    """Give the claims of claims.jsonl a gold label."""
    rows = [json.loads(line) | {"label": "NA"} for line in blocks("verify", "jsonl")[0].splitlines()]
    (workplace / "claims.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def call(line: str) -> str:
    """Run one line that starts with ``candor``, perhaps with variables in front."""
    words = shlex.split(line)
    variables = dict(word.split("=", 1) for word in words[: words.index("candor")])
    result = CliRunner().invoke(app, words[words.index("candor") + 1 :], env=variables)
    assert result.exit_code == 0, f"{line}: {result.output}{result.exception}"
    return result.output


@pytest.mark.slow
def test_the_readme_on_a_thinking_chat_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's recipe as it is written, on a small Qwen3 with the chat template and the ends of Qwen3-0.6B."""
    save_chat_model(tmp_path / "Qwen" / "Qwen3-0.6B", "qwen3")
    (recipe,) = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.M | re.S)
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")
    rows = [f"Claim {n} <|im_end|>,Evidence {n}.,{('PASS', 'FAIL', 'NA')[n % 3]}" for n in range(18)]
    (tmp_path / "claims.csv").write_text("\n".join(["claim,evidence,label", *rows]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    call(
        "candor run mine.yaml -o train.steps=1 -o train.prompts_per_step=2 -o evaluation.batch_size=4 "
        "-o data.train.mine=4 -o data.validation.mine=2 -o data.test.mine=2 -o evaluation.resamples=2000"
    )
    path = RunFolder(tmp_path / "runs" / "mine").predictions("trained", "test", "mine")
    header, *answers = [json.loads(line) for line in path.read_text().splitlines()]
    assert header["rendered_sha256"]
    assert len(answers) == 2
    said = call("candor verify --run runs/mine --claim x --evidence y --json")
    verdict = json.loads(said[said.index("{") :])
    assert 0 <= verdict["valid_mass"] <= 1


def test_extend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompt, dataset, reward and metric of one's own, from the page's own text to the report."""
    monkeypatch.chdir(tmp_path)
    load_extension.cache_clear()
    for language in ("python", "text", "yaml"):
        first, _, rest = blocks("extend", language)[0].partition("\n")
        Path(first.removeprefix("# ")).write_text(rest)
    rows = [f"Claim {n},Evidence {n},{('true', 'false', 'nei')[n % 3]}" for n in range(60)]
    Path("mine.csv").write_text("\n".join(["q,e,l", *rows]).replace("true", "supports").replace("false", "refutes"))
    small = ["-o", "train.steps=2", "-o", "evaluation.resamples=2000", "-q"]
    for line in commands("extend"):
        arguments = shlex.split(line)[1:]
        result = CliRunner().invoke(app, arguments + (small if arguments[0] == "run" else []))
        assert result.exit_code == 0, (line, result.output, result.exception)
    run = RunFolder(Path("runs/extended"))
    page = run.report.read_text()
    for name in ("my_module:na_share", "my_module:quiet", "my_prompt"):
        assert name in page
    manifest = json.loads(run.manifest.read_text())
    assert {one["kind"] for one in manifest["outside"]} == {"reward", "metric", "dataset"}
    assert manifest["prompt"]["template"] == "my_prompt"
    logged = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert any("reward_quiet" in row for row in logged)
    Path("my_prompt.txt").unlink()  # the run has the words itself
    assert load_run_recipe(run.recipe).prompt.words().instructions.startswith("Does the evidence")


def test_verify(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("candor.verifier.hub.push_folder", lambda folder, repo, **_: f"{folder.resolve()} -> {repo}")
    told = [call(line) for line in commands("verify")]
    assert len(told) == 10
    assert told[-1].strip() == f"{workplace / 'mine-adapter'} -> me/mine-adapter"
    assert len((workplace / "verdicts.jsonl").read_text().splitlines()) == 2
    labels = [[row["label"] for row in read_jsonl(workplace / name)] for name in ("verdicts.jsonl", "all.jsonl")]
    assert labels[0] == labels[1]
    assert (workplace / "mine-merged" / "model.safetensors").is_file()
    assert (workplace / "mine-adapter" / "adapter_config.json").is_file()


def test_the_programs_of_verify(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program in blocks("verify", "python"):
        exec(compile(program, "docs/verify.md", "exec"), {})
    assert "Abstention(risk=0.2" in capsys.readouterr().out


@pytest.mark.parametrize("number", range(6))
def test_the_programs_of_python(
    number: int, workplace: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    """Each program of the page stands alone; the first trains the demo, and for fewer steps here."""
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    monkeypatch.setenv("NO_PROXY", "*")
    program = blocks("python", "python")[number]
    if "candor.run(" in program:
        monkeypatch.setattr("candor.runs.experiment.run_experiment", lambda recipe, out, **_: [out])
    with contextlib.ExitStack() as stack:
        if "candor.Client" in program:
            service = stack.enter_context(running(FakeVerifier()))
            program = program.replace("http://127.0.0.1:8000", service.url)
        if "ask_endpoint" in program:
            label_claims(workplace)
            program = program.replace("http://127.0.0.1:8000", serve_chat(httpserver).url)
        exec(compile(program, f"docs/python.md, program {number + 1}", "exec"), {})
    assert len(blocks("python", "python")) == 6


def test_the_program_of_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    for arm in ("paper", "candor"):
        write_run(tmp_path / "runs" / "demo" / f"{arm}-seed0", count=8)
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("tutorial", "python")
    exec(compile(program, "docs/tutorial.md", "exec"), {})


def test_the_program_of_the_readme(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.M | re.S)
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out.split()[0] in ("PASS", "FAIL", "NA")


def test_serve(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[dict[str, Any]] = []

    def serve(verifier: Verifier, settings: Any, **place: Any) -> None:
        served.append({"token": settings.token, "host": place["host"], "port": place["port"]})

    monkeypatch.setattr("candor.serve.server.serve", serve)
    for line in commands("serve"):
        if "candor serve" in line:
            call(line)
    assert served == [
        {"token": None, "host": "127.0.0.1", "port": 8000},
        {"token": "secret", "host": "0.0.0.0", "port": 8080},
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_serve_is_asked(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Verifier.load("runs/mine", device="cpu")) as service:
        told = []
        for line in commands("serve"):
            if line.startswith("curl"):
                words = shlex.split(line.replace("http://127.0.0.1:8000", service.url))
                environment = {**os.environ, "no_proxy": "*"}
                done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=environment)
                told.append(done.stdout)
    assert '"label":' in told[0]
    assert '"status":"ok"' in told[1]
    assert "candor_requests_total" in told[2]


def test_endpoint(workplace: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("MY_KEY", "secret")
    label_claims(workplace)
    first, second, third = commands("endpoint")
    server = serve_chat(httpserver)
    for line in (first, third):
        call(re.sub(r"http\S+/v1", f"{server.url}/v1", line))
    assert server.keys == {None, "Bearer secret"}
    (workplace / "large.jsonl").rename(workplace / "ours.jsonl")
    call(second)
    assert (workplace / "comparison.html").is_file()


def test_tracking(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (extra 'log')")
    pytest.importorskip("wandb", reason="W&B is not installed (extra 'log')")
    shutil.copy(workplace / "runs" / "mine" / "recipe.yaml", workplace / "mine.yaml")
    values = yaml.safe_load((workplace / "mine.yaml").read_text()) | {"name": "mine"}
    (workplace / "mine.yaml").write_text(yaml.safe_dump(values))
    (workplace / "runs" / "mine" / "recipe.yaml").write_text(yaml.safe_dump(values))
    (workplace / "runs" / "mine" / "sha256.json").unlink()  # which notes the recipe as it was
    install, first, look, second = commands("tracking")
    call(first)
    call(second)
    assert any((workplace / look.split()[-1]).glob("events.out.tfevents.*"))
    assert any((workplace / "runs" / "mine" / "wandb").glob("offline-run-*"))
    assert "[log]" in install


@pytest.mark.parametrize(("page", "number"), [("trl", 0), ("trl", 1), ("trl-confidence", 0)])
def test_trl(page: str, number: int, workplace: Path) -> None:
    """Every program as it is written, on a small Qwen3 where it names one that would have to be downloaded."""
    pytest.importorskip("trl", reason="TRL is not installed (extra 'bench')")
    save_chat_model(workplace / "Qwen" / "Qwen3-0.6B", "qwen3")
    programs = blocks(page, "python")
    assert len(programs) == {"trl": 2, "trl-confidence": 1}[page]
    space: dict[str, Any] = {}
    exec(compile(programs[number], f"docs/{page}.md, program {number + 1}", "exec"), space)
    assert space["trainer"].state.global_step == 2


def test_trainers(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs write two trainers' files and are the third's; the answers of one are taken back."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda name: toy_tokenizer())
    pytest.importorskip("verifiers", reason="verifiers is not installed (extra 'verifiers')")
    found = []
    *with_files, taskset = blocks("trainers", "python")
    for program in with_files:
        exec(compile(program, "docs/trainers.md", "exec"), {})
        found.append(pandas.read_parquet("train.parquet"))
    space: dict[str, Any] = {}
    exec(compile(taskset, "docs/trainers.md", "exec"), space)
    assert all(name in space for name in space["__all__"])
    assert [name for name in ("reward_model", "reward_spec") for frame in found if name in frame] == [
        "reward_model",
        "reward_spec",
    ]
    answered = [
        {"input": f"user {row['prompt'][0]['content']} assistant", "output": "LABEL=NA\nCONF=0.50"}
        for row in pandas.read_parquet("test.parquet").to_dict("records")
    ]
    (workplace / "validation").mkdir()
    (workplace / "validation" / "160.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answered))
    taken, compared = commands("trainers")
    assert f"{len(answered)} predictions in theirs.jsonl" in call(taken)
    shutil.copy("theirs.jsonl", workplace / "runs" / "mine" / "predictions" / "base" / "mine.jsonl")
    assert "NA recall" in call(compared)


def small_study(name: str, folder: Path) -> None:
    """A file with the name of a published recipe and all it says, but for its size, model and other datasets."""
    write_fever(folder / "data")
    values = yaml.safe_load(find_recipe(name).read_text())
    values["model"]["name"] = str(save_chat_model(folder / "model", "qwen3"))
    values["data"]["sources"] = {"fever": {**values["data"]["sources"]["fever"], "parts": ["train"]}}
    values["data"] |= {split: {"fever": {"PASS": 1, "FAIL": 1, "NA": 1}} for split in ("train", "test")}
    values["train"] |= {"steps": 1, "prompts_per_step": 2}
    values["sampling"] |= {"group_size": 2, "max_new_tokens": 16}
    values["evaluation"] = {"max_new_tokens": 16, "resamples": 2000}
    (folder / name).write_text(yaml.safe_dump(values))


@pytest.mark.slow
def test_study_on_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line but the downloads, with two processes for eight GPUs, a model and a FEVER made on the spot."""
    monkeypatch.chdir(tmp_path)
    small_study("paper-fever", tmp_path)
    alone = ["--nnodes", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--nproc_per_node", "2"]
    told = []
    for line in commands("study-on-gpus"):
        words = shlex.split(line)
        if words[:3] == ["candor", "data", "fetch"]:
            continue
        if words[0] == "torchrun":
            start = [sys.executable, "-m", "torch.distributed.run", *alone, *words[words.index("-m") :]]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
            done = subprocess.run([*start, "-q"], env=environment, capture_output=True, text=True, timeout=400)
            assert done.returncode == 0, done.stderr[-3000:]
        else:
            told.append(call(line))
    assert "cost on 8" in told[0]
    assert "runs/paper-fever/report.html" in told[1]
    assert (tmp_path / "paper-fever-adapter" / "adapter_config.json").is_file()
    assert RunFolder(tmp_path / "runs" / "candor-fever").results.is_file()
