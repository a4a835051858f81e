"""Which properties of a base model decide whether a stated confidence transfers.

    python benchmarks/base_models.py [NAME ...] [--out runs/bases] [--jobs 2]

Makes base models of the sandbox that lack an early verdict, an honest minority of confidences, or both, trains each on
one domain with ``recipes/sandbox/bases.yaml``, and prints the tables of ``benchmarks/objectives.py``, with one row for
each base model; "nothing (base)" is the first of them, untrained. What is there already is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from objectives import read_runs, table

from candor.progress import Reporter
from candor.recipe.recipe import find_recipe, load_recipe
from candor.report.page import report_run
from candor.runs.experiment import run_experiment
from candor.sandbox.model import DEFAULT, base_model_folder

LACKING: dict[str, dict[str, Any]] = {
    "complete": {},
    "no-early-verdict": {"verdict_layers": ()},
    "no-honest-minority": {"honest_share": 0.0},
    "neither": {"verdict_layers": (), "honest_share": 0.0},
}


def main() -> None:
    """Make the models, train on each, print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(LACKING)}; all if none is given")
    parser.add_argument("--out", type=Path, default=Path("runs/bases"))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(LACKING):
        parser.error(f"unknown base model {', '.join(sorted(unknown))}; known: {', '.join(LACKING)}")
    for name in arguments.names or LACKING:
        print(f"base model: {name}", flush=True)
        folder = base_model_folder(config=dataclasses.replace(DEFAULT, **LACKING[name]))
        recipe = load_recipe(find_recipe("sandbox/bases"), [f"model.name={folder}", f"arms={{{name}: {{}}}}"])
        run_experiment(recipe, arguments.out, jobs=arguments.jobs, reporter=Reporter())
    report_run(arguments.out)  # each experiment above has reported its own model alone
    arms, datasets, figures = read_runs(arguments.out)
    print("\n\n".join(table(dataset, arms, figures) for dataset in datasets))


if __name__ == "__main__":
    main()
