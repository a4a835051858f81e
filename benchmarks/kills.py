"""Trainings that are killed again and again, beside one that was left alone: what differs in the end, and what is left.

python benchmarks/kills.py --kills 200    # some seconds for each kill on one core

A process is ended by SIGKILL at a random moment behind the first step that it took itself, and the same call goes on,
until the run is finished; then the next run begins. Every finished run is compared with the one that was left alone,
file by file: names, weights, rollouts, figures and answers, but for seconds and what holds them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from candor.progress import Reporter
from candor.recipe.recipe import Recipe, recipe_from
from candor.run_folder import RunFolder

SHORTEST_WAIT_S = 0.005
"""Between two looks at whether a process has begun to train."""

WORK: dict[str, Any] = {
    "name": "kills",
    "model": {"name": "sandbox", "device": "cpu", "lora": {"rank": 4, "alpha": 8}},
    "prompt": {"template": "sandbox"},
    "data": {
        "sources": {"wiki": {"kind": "sandbox"}},
        "train": {"wiki": 40},
        "validation": {"wiki": 12},
        "test": {"wiki": 12},
    },
    "sampling": {"group_size": 2, "max_new_tokens": 10},
    "objective": {"preset": "candor", "ends": 2},
    "train": {
        "steps": 24,
        "prompts_per_step": 2,
        "checkpoint_every": 3,
        "validate_every": 8,
        "kl_every": 0,
        "optimiser": {"learning_rate": 0.01},
    },
    "evaluation": {"max_new_tokens": 10, "batch_size": 12, "resamples": 2000},
    "stages": ["data", "base", "train", "trained", "compare"],
}


def work(recipe: Recipe, out: Path) -> None:
    """Run the recipe, or go on with it, in one thread and without a word."""
    import torch

    from candor.runs.experiment import run_experiment

    torch.set_num_threads(1)
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for the life of the process
    run_experiment(recipe, out, reporter=Reporter(quiet=True))


def kill_until_done(processes: Any, recipe: Recipe, out: Path, *, kills: int, chance: random.Random) -> int:
    """Kill a run at random moments of its training until it is done or was killed often enough; returns how often."""
    metrics = RunFolder(out).metrics
    killed = 0
    while True:
        process = processes.Process(target=work, args=(recipe, out))
        before = metrics.stat().st_mtime_ns if metrics.is_file() else 0
        process.start()
        while process.is_alive() and (not metrics.is_file() or metrics.stat().st_mtime_ns == before):
            time.sleep(SHORTEST_WAIT_S)
        begun = time.monotonic()
        if killed < kills:
            process.join(chance.expovariate(1.0) * 0.15)
        else:
            process.join()
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            killed += 1
            print(f"\r{killed} kills of this run, the last {time.monotonic() - begun:.2f} s into its training", end="")
        elif process.exitcode == 0:
            return killed
        else:
            raise SystemExit(f"{out}: a rerun ended with exit code {process.exitcode}")


def content(folder: Path) -> dict[str, Any]:
    """What must not depend on kills: every file by its path, without seconds and hashes over them."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path == RunFolder(folder).metrics:
            rows = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
            found[name] = [{key: v for key, v in row.items() if not key.startswith("seconds_")} for row in rows]
        elif path.name == "sha256.json":
            found[name] = sorted(json.loads(path.read_text())["files"])
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def main() -> None:
    """Kill, compare, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200, help="in all")
    parser.add_argument("--each", type=int, default=12, help="most kills of one run")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["candor.runs.experiment", "candor.engines.local.engine", "peft", "transformers"])
    recipe = recipe_from(WORK)
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"  # the same name for all: results say where they were found
        kill_until_done(processes, recipe, out, kills=0, chance=chance)
        expected = content(out)
        shutil.rmtree(out)
        killed = runs = different = litter = 0
        while killed < args.kills:
            killed += kill_until_done(processes, recipe, out, kills=min(args.each, args.kills - killed), chance=chance)
            runs += 1
            found = content(out)
            differing = sorted(name for name in expected | found if found.get(name) != expected.get(name))
            different += bool(differing)
            litter += len(found.keys() - expected.keys())
            print(
                f"\rrun {runs}: {killed} kills so far, {len(differing)} files differ {differing[:5] or ''}", flush=True
            )
            shutil.rmtree(out)
    print(f"{killed} kills in {runs} runs: {different} runs differ from the one left alone, {litter} files of litter")
    sys.exit(bool(different or litter))


if __name__ == "__main__":
    main()
