"""What a run uses from outside of candor: named and hashed in its manifest, and compared when it is gone on with."""

from __future__ import annotations

from typing import Any

from candor.errors import RunError
from candor.extensions import load_extension
from candor.files import read_json
from candor.recipe.data import FunctionSource
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder


def outside(recipe: Recipe) -> list[dict[str, Any]]:
    """Every function of somebody else's that a recipe names, with its source's hash.

    Raises:
        RecipeError: one cannot be found.
    """
    found = [load_extension("reward", own.term) for own in recipe.reward.own]
    found += [load_extension("metric", spec) for spec in recipe.evaluation.metrics]
    datasets = [source for source in recipe.data.sources.values() if isinstance(source, FunctionSource)]
    found += [load_extension("dataset", source.load) for source in datasets]
    return [extension.as_json() for extension in found]


def check_outside(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to go on with a run whose code from outside has changed since it was begun.

    Raises:
        RunError: it has; names the function and its file.
        RecipeError: it cannot be found any more.
    """
    if not folder.manifest.is_file():
        return
    before = {(one["kind"], one["spec"]): one["sha256"] for one in read_json(folder.manifest).get("outside", [])}
    for now in outside(recipe):
        then = before.get((now["kind"], now["spec"]), now["sha256"])
        if then != now["sha256"]:
            raise RunError(
                f"{folder}: the code of the {now['kind']} {now['spec']} has changed since the run was begun "
                f"({now['file']}, SHA-256 {str(then)[:12]} then, {str(now['sha256'])[:12]} now); put it back, choose "
                "another folder with --out, or remove this one"
            )
