"""Predictions from a real server: `transformers serve` with a model made on the spot."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from toy import EXAMPLES, TEMPLATE, save_toy_model
from transformers import AutoTokenizer

from candor.cli.main import main
from candor.data.examples import write_examples
from candor.predictions.file import read_predictions
from candor.types import Validity

CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""The bare prompt, which the toy model was taught on."""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openai") is None, reason="transformers serve needs openai (extra 'dev')"
)


@contextlib.contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """Serve a model folder while the block runs; ended by its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).parent / "transformers"
    command = [str(program), "serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(600):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                opener.open(f"{url}/health", timeout=5).close()
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.slow
def test_what_transformers_serves_is_judged_like_a_model_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    model = save_toy_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(model)
    write_examples(tmp_path / "claims.jsonl", EXAMPLES)
    shared = ["predict", str(tmp_path / "claims.jsonl"), "-m", str(model), "--template", TEMPLATE.name, "-q"]
    theirs, ours = tmp_path / "theirs.jsonl", tmp_path / "ours.jsonl"
    with transformers_serve(model, tmp_path / "serve.log") as url, pytest.raises(SystemExit) as ended:
        main([*shared, "--endpoint", url, "--out", str(theirs), "--price-in", "1"])
    assert not ended.value.code, capfd.readouterr().err + (tmp_path / "serve.log").read_text()
    told = capfd.readouterr().out
    assert "10 of 10 answers have no label probabilities" in told
    assert "tokens: " in told
    with pytest.raises(SystemExit):
        main([*shared, "--device", "cpu", "--out", str(ours)])
    asked, here = read_predictions(theirs).predictions, read_predictions(ours).predictions
    assert [row.raw for row in asked] == [row.raw for row in here]
    assert [(row.label, row.confidence) for row in asked] == [(row.label, row.confidence) for row in here]
    assert {row.validity for row in asked} <= {Validity.CLEAN, Validity.READABLE}
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(theirs), str(ours), "--resamples", "2000"])
    assert not ended.value.code
