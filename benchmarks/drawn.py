"""What drawing a few answers of each prompt to train on costs in exactness (``engine.drawn_continuations``).

    python benchmarks/drawn.py gradient --adapter runs/demo/candor-seed0/adapter --draws 8
    python benchmarks/drawn.py training --out runs/drawn --counts 3 6 12 --seeds 0 1 2

``gradient`` compares the gradient of one step from drawn answers with the exact one, and both with how far the exact
gradients of two draws of prompts are apart. ``training`` trains the demo's ``candor`` arm on drawn answers and exactly,
and scores it on validation. Both run on the local engine, which is given what a service would be.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from candor.data.splits import make_splits
from candor.engines.base import Batch, Objective, ObjectiveResult, OptimiserStep, Tokens, TokenScores
from candor.engines.load import load_engine
from candor.engines.local.engine import LocalEngine
from candor.engines.ragged import lengths_mask, padded
from candor.engines.tinker.drawn import draw, tree_of
from candor.means import Means
from candor.predictions.validation import validation_score
from candor.progress import Reporter
from candor.recipe.recipe import Recipe, load_recipe, resolve_arms
from candor.seeding import derive_seed
from candor.training.batches import draw_batch
from candor.training.loop import prepare, take_step, train

DEMO = Path(__file__).parents[1] / "recipes" / "demo.yaml"
Rows = list[list[tuple[Tokens, np.ndarray]]]


class Drawing:
    """A local engine that updates on drawn continuations, as the engine for services does."""

    def __init__(self, engine: LocalEngine, count: int, seed: int) -> None:
        """Take an engine; ``count`` continuations of each prompt are drawn."""
        self._engine, self._count, self._seed = engine, count, seed
        self._updates = 0
        self.trained: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def update(self, batch: Batch, objective: Objective, optimiser: OptimiserStep) -> Means:
        """One step on drawn continuations."""
        known = self._engine.logprobs(batch.prompts, batch.continuations, temperature=batch.temperature)
        rows, means = drawn(batch, objective, known, self._count, self._seed + self._updates)
        self._updates += 1
        self.trained.append(sum(map(len, rows)) / len(rows))
        self._engine.update(*carried(batch, rows), optimiser)
        return means


def drawn(batch: Batch, objective: Objective, known: Any, count: int, seed: int) -> tuple[Rows, Means]:
    """What is trained on of a batch, from the log-probabilities of all its continuations."""
    leaf = torch.from_numpy(padded(known)).requires_grad_()
    result = objective(TokenScores(leaf, leaf, torch.from_numpy(lengths_mask(known))), slice(0, len(batch.prompts)))
    (gradient_P_C_T,) = torch.autograd.grad(result.loss, leaf)
    rows = []
    for at, group in enumerate(batch.continuations):
        gradients = [gradient_P_C_T[at, place, : len(c)].numpy() for place, c in enumerate(group)]
        rng = np.random.default_rng(derive_seed(seed, "drawn", at))
        rows.append(draw(tree_of(group, known[at], gradients), count, rng))
    return rows, result.means


def carried(batch: Batch, rows: Rows) -> tuple[Batch, Objective]:
    """The rows as a batch, and the objective whose gradient is what they carry."""
    weights_P_C_T = torch.from_numpy(padded([[values for _, values in group] for group in rows]))

    def objective(scores: TokenScores, part: slice) -> ObjectiveResult:
        c, t = scores.logprobs_P_C_T.shape[1:]
        return ObjectiveResult((scores.logprobs_P_C_T * weights_P_C_T[part, :c, :t]).sum(), Means())

    return Batch(batch.prompts, [[tokens for tokens, _ in group] for group in rows], batch.temperature), objective


def gradient(engine: LocalEngine, batch: Batch, objective: Objective) -> torch.Tensor:
    """That of a step by every parameter of the adapter; the weights stay as they are."""
    found: list[torch.Tensor] = []
    optimiser: Any = engine._optimiser
    step = optimiser.step
    optimiser.step = lambda: found.extend(p.grad.flatten().clone() for p in engine._parameters)
    try:
        engine.update(batch, objective, OptimiserStep(0.0, 1e30))
    finally:
        optimiser.step = step
    return torch.cat(found)


def apart(one: torch.Tensor, other: torch.Tensor) -> tuple[float, float]:
    """Distance in units of the second one's norm, and cosine."""
    return float((one - other).norm() / other.norm()), float(torch.cosine_similarity(one, other, dim=0))


def measure(
    recipe: Recipe, adapter: Path | None, counts: list[int], draws: int, data_dir: Path | None
) -> Iterator[str]:
    """A row of the table for every count."""
    examples = [
        e for group in dict(make_splits(recipe.data, data_dir=data_dir).items())["train"].values() for e in group
    ]
    engine = load_engine(recipe.model, recipe.engine, seed=0, adapter=adapter or True, reporter=Reporter(quiet=True))
    assert isinstance(engine, LocalEngine)
    run = prepare(recipe, engine, examples, 0)
    steps = [take_step(run, draw_batch(run, step), step) for step in range(2)]
    batch, objective = steps[0].batch, steps[0].objective
    exact = gradient(engine, batch, objective)
    other = gradient(engine, steps[1].batch, steps[1].objective)
    known = engine.logprobs(batch.prompts, batch.continuations)
    yield "| drawn | trained a prompt | distance to the exact gradient | cosine | mean of all draws, distance |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for count in counts:
        found, trained = [], []
        for seed in range(draws):
            rows, _ = drawn(batch, objective, known, count, seed)
            trained.append(sum(map(len, rows)) / len(rows))
            found.append(gradient(engine, *carried(batch, rows)))
        each = np.array([apart(one, exact) for one in found])
        together, _ = apart(torch.stack(found).mean(0), exact)
        yield (
            f"| {count} | {np.mean(trained):.1f} | {np.median(each[:, 0]):.3f} | {np.median(each[:, 1]):.3f} | "
            f"{together:.3f} |"
        )
    far, cosine = apart(other, exact)
    yield f"| other prompts, exact | {len(batch.continuations[0])} | {far:.3f} | {cosine:.3f} | |"


def trainings(recipe: Recipe, out: Path, counts: list[int], seeds: list[int]) -> Iterator[str]:
    """A row for every training: its score on validation, and what it trained on."""
    yield "| drawn | seed | trained a prompt | accuracy less Brier score on validation |"
    yield "| ---: | ---: | ---: | ---: |"
    splits = dict(make_splits(recipe.data).items())
    examples = [e for group in splits["train"].values() for e in group]
    validation = {name: list(splits["validation"][name]) for name in recipe.trained_on()}
    for seed in seeds:
        for count in (0, *counts):
            exact = load_engine(recipe.model, recipe.engine, seed=seed, adapter=True, reporter=Reporter(quiet=True))
            assert isinstance(exact, LocalEngine)
            engine: Any = Drawing(exact, count, seed) if count else exact
            train(recipe, engine, examples, out / f"{count}-seed{seed}", seed=seed)
            score = validation_score(exact, validation, recipe)
            trained = f"{np.mean(engine.trained):.1f}" if count else "303"
            yield f"| {count or 'all'} | {seed} | {trained} | {score:.4f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gradient", "training"])
    parser.add_argument("--recipe", default=str(DEMO))
    parser.add_argument("--arm", default="candor")
    parser.add_argument("--override", "-o", action="append", default=[])
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[3, 6, 12, 24])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/drawn"))
    given = parser.parse_args()
    recipe = resolve_arms(load_recipe(given.recipe, given.override))[given.arm]
    if given.what == "gradient":
        lines = measure(recipe, given.adapter, given.counts, given.draws, given.data_dir)
    else:
        lines = trainings(recipe, given.out, given.counts, given.seeds)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
