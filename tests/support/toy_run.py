"""A finished run on the toy model, for tests of what is done with a trained one."""

from __future__ import annotations

import json
from pathlib import Path

from toy import save_toy_model, toy_recipe

from candor.progress import Reporter
from candor.runs.experiment import run_experiment

CLAIMS = [
    ("x = 3", ["x is 3", "ab"]),
    ("x = 1", ["x is 4"]),
    ("x = 2", []),
    ("a claim that says y", ["y", "z", "and more of it"]),
    ("x = 3", ["x is 3", "ab"]),
    ("héllo ✓", ["naïve — text"]),
]


def make_run(folder: Path) -> Path:
    """Train the toy model for a few steps, with validation and test answers."""
    model = save_toy_model(folder / "model")
    recipe = toy_recipe(
        model,
        "data.validation={toy: 60}",
        "data.test={toy: 12}",
        "train.steps=2",
        "train.kl_every=0",
        "evaluation.resamples=2000",
        "evaluation.batch_size=32",
        "stages=[data, base, train, trained, compare]",
        "engine.path=tree",
    )
    (run,) = run_experiment(recipe, folder / "run", reporter=Reporter(quiet=True))
    return run


def write_claims(path: Path, copies: int = 1) -> Path:
    """The claims as JSONL, each with an id."""
    rows = [
        {"id": f"{copy}-{index}", "claim": claim, "evidence": evidence}
        for copy in range(copies)
        for index, (claim, evidence) in enumerate(CLAIMS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
