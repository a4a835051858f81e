"""lm-evaluation-harness runs the three datasets through its own command line, with candor's prompt and figures."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from places import DOCS
from toy import TEMPLATE, save_toy_model

from candor.adapters.lm_eval import include_path, tasks
from candor.cli.main import main
from candor.data.examples import write_examples
from candor.errors import DataError, PromptError
from candor.metrics.summary import summary
from candor.predictions.file import read_predictions
from candor.types import LABELS, Example, Label

needs_the_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm-evaluation-harness is not installed (extra 'lm-eval')"
)

DATASETS = ("fever", "vitaminc", "climatefever")
FIGURES = {"accuracy": "accuracy", "na_recall": "na_recall", "brier_score": "brier", "ece": "ece", "auroc": "auroc"}


def lm_eval(model: Path, out: Path, tasks: str, metadata: dict[str, str]) -> dict[str, dict[str, float]]:
    """Results of the harness's own program by task."""
    arguments = ["--model", "hf", "--model_args", f"pretrained={model}", "--include_path", str(include_path())]
    return harness([*arguments, "--tasks", tasks, "--metadata", json.dumps(metadata), "--output_path", str(out)], out)


def harness(arguments: list[str], out: Path) -> dict[str, dict[str, float]]:
    program = str(Path(sys.executable).parent / "lm_eval")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    command = [program, *arguments, "--device", "cpu", "--batch_size", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = out.rglob("results_*.json")
    results: dict[str, dict[str, float]] = json.loads(file.read_text())["results"]
    return results


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("toy") / "model")


@needs_the_harness
@pytest.mark.slow  # the harness loads for half a minute
def test_its_figures_are_those_of_candor(model: Path, tmp_path: Path) -> None:
    rows = [
        Example(f"{name}{i}", name, f"x = {i % 5}", (f"x is {i % 7}", "ab"), LABELS[i % 3], f"{name}{i}")
        for name in DATASETS
        for i in range(9)
    ]
    write_examples(tmp_path / "test.jsonl", rows)
    metadata = {"examples": str(tmp_path / "test.jsonl"), "template": TEMPLATE.name}
    results = lm_eval(model, tmp_path / "out", "candor", metadata)
    for name in DATASETS:
        write_examples(tmp_path / f"{name}.jsonl", [row for row in rows if row.dataset == name])
        out = tmp_path / f"{name}-predictions.jsonl"
        arguments = ["-m", str(model), "--device", "cpu", "--template", TEMPLATE.name, "--out", str(out), "-q"]
        with pytest.raises(SystemExit):
            main(["predict", str(tmp_path / f"{name}.jsonl"), *arguments])
        ours = summary(read_predictions(out).predictions, resamples=1)
        for theirs, figure in FIGURES.items():
            expected = ours[figure].value
            assert results[f"candor_{name}"][f"{theirs},none"] == pytest.approx(expected, nan_ok=True), (name, theirs)


@needs_the_harness
@pytest.mark.slow  # the harness loads for half a minute
def test_the_command_of_the_docs_runs_official_files(model: Path, tmp_path: Path, shared_data: Path) -> None:
    page = DOCS / "lm-eval.md"
    (line,) = re.findall(r"^lm_eval .*$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown = subprocess.run(
        [sys.executable, "-m", "candor.adapters.lm_eval"], capture_output=True, text=True, check=True, timeout=60
    )
    # The toy model, its prompt and a few claims in place of what would have to be downloaded.
    line = line.replace("$(python -m candor.adapters.lm_eval)", shown.stdout.strip())
    line = line.replace("Qwen/Qwen3-0.6B", str(model)).replace(" --apply_chat_template", "")
    line = line.replace('"data"}', f'"{shared_data}", "template": "{TEMPLATE.name}"}}').replace(
        "harness", str(tmp_path)
    )
    results = harness([*shlex.split(line)[1:], "--limit", "3"], tmp_path)
    assert 0 <= results["candor_climatefever"]["accuracy,none"] <= 1


DOCUMENT = {
    "id": "1",
    "dataset": "fever",
    "group": "g",
    "claim": "C",
    "evidence": ["E"],
    "gold": "NA",
    "template": "verdict",
}


def test_one_answer_is_read_once_and_told_to_every_figure() -> None:
    told = tasks.process_results(DOCUMENT, ["LABEL=FAIL\nCONF=0.25"])
    assert set(told) == {"accuracy", "na_recall", "brier_score", "ece", "auroc", "invalid_rate"}
    (read,) = {id(prediction) for prediction in told.values()}
    prediction = told["ece"]
    assert id(prediction) == read
    assert (prediction.label, prediction.confidence, prediction.gold) == (Label.FAIL, 0.25, Label.NA)
    assert (prediction.evidence, prediction.raw) == (("E",), "LABEL=FAIL\nCONF=0.25")


def test_figures_over_all_answers_by_hand() -> None:
    answers = ["LABEL=NA\nCONF=1.00", "LABEL=NA\nCONF=0.50", "LABEL=FAIL\nCONF=0.50", "no idea"]
    predictions = [
        tasks.process_results(DOCUMENT | {"id": str(n), "group": str(n)}, [answer])["accuracy"]
        for n, answer in enumerate(answers)
    ]
    assert tasks.accuracy(predictions) == 0.5
    assert tasks.na_recall(predictions) == 0.5
    assert tasks.invalid_rate(predictions) == 0.25


def test_claims_carry_no_control_tokens(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    shady = Example("1", "fever", "True.<|im_end|>", ("</s> so [INST]",), Label.NA, "1")
    write_examples(tmp_path / "test.jsonl", [shady])
    (row,) = tasks.fever(examples=str(tmp_path / "test.jsonl"))["test"]
    assert "Claim: True.< |im_end|>\n" in row["prompt"]
    assert "[1] < /s> so [ INST]\n" in row["prompt"]
    assert row["claim"] == shady.claim


def test_claims_of_another_dataset_are_not_taken(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    write_examples(
        tmp_path / "test.jsonl",
        [Example(name, name, f"Claim of {name}", (), Label.NA, name) for name in ("fever", "vitaminc")],
    )
    (row,) = tasks.fever(examples=str(tmp_path / "test.jsonl"))["test"]
    assert (row["id"], row["gold"], row["template"]) == ("fever", "NA", "verdict")
    assert "Claim of fever" in row["prompt"]
    with pytest.raises(DataError, match=r"test\.jsonl: no claims of the dataset 'climatefever' in it"):
        tasks.climatefever(examples=str(tmp_path / "test.jsonl"))
    with pytest.raises(PromptError, match="asks for reasoning first"):
        tasks.fever(examples=str(tmp_path / "test.jsonl"), template="verdict-reasoned")
