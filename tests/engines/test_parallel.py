"""Under torchrun several processes give what one gives, and one of them writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from places import TESTS
from safetensors.torch import load_file
from toy import save_toy_model, toy_recipe
from two_processes import KINDS, train_kind

from candor.engines import parallel
from candor.errors import RunError
from candor.runs.experiment import run_experiment

SCRIPT = """
import sys
from pathlib import Path
import torch.distributed
from candor.engines import parallel
from two_processes import KINDS, fail_in_the_second, train_kind
parallel.start()
for kind in KINDS:
    train_kind(kind, Path(sys.argv[1]), Path(sys.argv[2]) / kind)
if torch.distributed.get_rank() == 1:
    print("second", parallel.world_size(), parallel.share(5), parallel.is_main())
    print("gathered", parallel.gather([torch.distributed.get_rank()]))
else:
    parallel.gather([torch.distributed.get_rank()])
fail_in_the_second(Path(sys.argv[1]))
parallel.stop()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def _rows(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "train" / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith("seconds_")} for row in rows]


def _texts(out: Path) -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in (out / "train" / "rollouts.jsonl").read_text().splitlines()]
    return [(row["id"], row["text"]) for row in rows]


@pytest.mark.slow
def test_two_processes_train_as_one(model: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        train_kind(kind, model, tmp_path / "one" / kind)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command += [str(script), str(model), str(tmp_path / "two")]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": os.pathsep.join([str(TESTS / "support"), *sys.path]),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "second 2 slice(2, 5, None) False" in done.stdout
    assert "gathered [0, 1]" in done.stdout
    for process in (0, 1):
        assert f"process {process} gave up: the loss of prompts 1 to 2 of the batch is nan" in done.stdout
    for kind in KINDS:
        one, two = tmp_path / "one" / kind, tmp_path / "two" / kind
        for alone, shared in zip(_rows(one), _rows(two), strict=True):
            assert shared == pytest.approx(alone, abs=1e-5, rel=1e-5)
        weights, expected = (load_file(out / "adapter" / "adapter_model.safetensors") for out in (two, one))
        assert weights.keys() == expected.keys()
        for name, value in weights.items():
            assert torch.allclose(value, expected[name], atol=1e-5)
        # One process writes: nothing is there twice, and nothing is left over.
        assert sorted(p.relative_to(two) for p in two.rglob("*")) == sorted(p.relative_to(one) for p in one.rglob("*"))
        assert _texts(two) == _texts(one)


def test_alone_everything_is_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    parallel.start()
    assert not torch.distributed.is_initialized()
    assert parallel.world_size() == 1
    assert parallel.is_main()
    assert parallel.share(5) == slice(0, 5)
    assert parallel.gather([1, 2]) == [1, 2]
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.ones(2)
    parallel.sum_gradients([weight])
    assert weight.grad.tolist() == [1, 1]
    parallel.barrier()
    parallel.stop()


def test_runs_in_processes_of_their_own_are_refused_under_torchrun(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "world_size", lambda: 2)
    with pytest.raises(RunError, match="--jobs 2 under torchrun"):
        run_experiment(toy_recipe(model), tmp_path / "out", jobs=2)
    assert not (tmp_path / "out").exists()
