"""A training of the demo on a real SkyRL server and on the local engine, from the same adapter and seed.

    .venv-tinker/bin/python benchmarks/tinker_curves.py --steps 20 --out runs/tinker-curves
    .venv-tinker/bin/python benchmarks/tinker_curves.py --arm candor --drawn 3 --prompts 4 --out runs/tinker-candor

Prints both learning curves side by side, and how far the log-probabilities of the two engines are apart for the same
tokens: before training, and after it on the adapter that the server trained. ``make test-tinker`` makes the
environment that this needs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from running_server import RunningServer

from candor.data.splits import make_splits
from candor.engines.base import Engine, Sampling
from candor.engines.local.engine import LocalEngine
from candor.engines.tinker.engine import TinkerEngine
from candor.files import read_jsonl, write_json
from candor.prompts.probe import LABEL_PROBE
from candor.recipe.engine import EngineConfig
from candor.recipe.recipe import Recipe, load_recipe, resolve_arms
from candor.sandbox.model import base_model_folder
from candor.training.loop import prepare, train

FIGURES = (
    "reward",
    "accuracy",
    "share_NA",
    "confidence",
    "invalid",
    "entropy",
    "grad_norm",
    "loss",
    "brier",
    "log_valid",
)
BACKEND = {"max_lora_adapters": 4, "max_lora_rank": 32, "sample_max_num_sequences": 64, "train_micro_batch_size": 32}


def recipe_of(arm: str, steps: int, prompts: int | None, seed: int) -> Recipe:
    """An arm of the demo; without clipping, which the server does not do."""
    overrides = [f"seeds=[{seed}]", "model.lora.alpha=32", "train.max_grad_norm=1e6", f"train.steps={steps}"]
    overrides += [f"train.prompts_per_step={prompts}"] if prompts else []
    return resolve_arms(load_recipe(Path(__file__).parents[1] / "recipes" / "demo.yaml", overrides))[arm]


def difference(one: Engine, other: Engine, recipe: Recipe, examples: list[Any], count: int = 32) -> dict[str, float]:
    """Largest and mean difference of log-probabilities of the same sampled tokens, and the number of tokens."""
    prompts = [encoded.tokens for encoded in prepare(recipe, one, examples[:count], 0).labelled.encoded]
    drawn = one.rollout(prompts, 4, Sampling(1.0, recipe.sampling.max_new_tokens, seed=7), LABEL_PROBE)
    tokens = [[rollout.tokens for rollout in group] for group in drawn]
    pairs = zip(one.logprobs(prompts, tokens), other.logprobs(prompts, tokens), strict=True)
    apart = np.concatenate([np.abs(a - b) for g, h in pairs for a, b in zip(g, h, strict=True)])
    return {"largest": float(apart.max()), "mean": float(apart.mean()), "tokens": float(apart.size)}


def main() -> None:
    """Train twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arm", choices=["paper", "candor"], default="paper")
    parser.add_argument("--prompts", type=int, help="of a step; default: the recipe's")
    parser.add_argument("--drawn", type=int, help="answers that the service trains of a prompt; default: all")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    recipe, folder = recipe_of(given.arm, given.steps, given.prompts, given.seed), base_model_folder()
    model = recipe.model.model_copy(update={"name": str(folder)})
    examples = [e for group in dict(make_splits(recipe.data).items())["train"].values() for e in group]
    with RunningServer(folder, given.out / "server", backend=BACKEND) as server:
        service = EngineConfig(kind="tinker", base_url=server.url, drawn_continuations=given.drawn)
        there = TinkerEngine.from_config(model, service, seed=given.seed)
        there.save_adapter(given.out / "start")
        here = LocalEngine.from_config(model, EngineConfig(), adapter=given.out / "start")
        results: dict[str, Any] = {"before": difference(there, here, recipe, examples)}
        for name, engine in (("service", there), ("local", here)):
            started = time.perf_counter()
            train(recipe, engine, examples, given.out / name, seed=given.seed)
            results[f"seconds_{name}"] = time.perf_counter() - started
        trained = LocalEngine.from_config(model, EngineConfig(), adapter=given.out / "service" / "adapter")
        results["after"] = difference(there, trained, recipe, examples)
        there.close()
    rows = {name: read_jsonl(given.out / name / "train" / "metrics.jsonl") for name in ("service", "local")}
    names = [name for name in FIGURES if name in rows["local"][0]]
    print("step  " + "  ".join(f"{name:>17}" for name in names) + "   (service / local)")
    for one, other in zip(rows["service"], rows["local"], strict=True):
        print(f"{one['step']:4}  " + "  ".join(f"{one[name]:8.3f}/{other[name]:8.3f}" for name in names))
    print(results)
    write_json(given.out / "curves.json", results | rows)


if __name__ == "__main__":
    main()
