"""The runs that an experiment consists of: every arm at every seed, each in a folder that is its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from candor.engines import parallel
from candor.errors import RunError
from candor.files import remove, write_text
from candor.recipe.recipe import Recipe, dump, load_run_recipe, resolve_arms, to_yaml
from candor.run_folder import RunFolder

SHARED_BY_ARMS: Final = ("model", "engine", "prompt", "data", "warm_start", "evaluation")
"""Arms that agree in these have the same data and base predictions, which are then made once."""


@dataclass(frozen=True, slots=True)
class Member:
    """One arm at one seed."""

    recipe: Recipe
    arm: str
    seed: int
    folder: RunFolder


def members(recipe: Recipe, out: Path) -> list[Member]:
    """Every arm at every seed with its folder; a single one has ``out`` itself."""
    arms = resolve_arms(recipe)
    alone = len(arms) == 1 and len(recipe.seeds) == 1 and not recipe.arms
    found = []
    for arm, resolved in arms.items():
        for seed in recipe.seeds:
            name = "-".join(part for part in (arm, f"seed{seed}") if part)
            values = dump(resolved) | {"seeds": [seed]}
            if not alone:  # the group has one page together; `candor report FOLDER` makes that of a single member
                values["stages"] = [stage for stage in resolved.stages if stage != "report"]
            found.append(Member(Recipe.model_validate(values), arm, seed, RunFolder(out if alone else out / name)))
    return found


def claim_folder(member: Member) -> None:
    """Write the resolved recipe into the run's folder, or check that it is the one that lies there.

    Raises:
        RunError: another recipe lies there; names what differs.
        DamagedError: the recipe that lies there is not what was written.
    """
    path, seal = member.folder.recipe, member.folder.seal
    text = to_yaml(member.recipe)
    if path.is_file():
        seal.check([path])
        there = dump(load_run_recipe(path))  # with what recipes have come to know since
        here = dump(member.recipe)
        differing = [key for key in _differences(there, here) if key.split(".")[0] not in ("stages", "description")]
        if differing and _nothing_done(member.folder):
            # What failed on its way to the first finished stage leaves nothing that the corrected run could mix with.
            if parallel.is_main():
                for left in (member.folder.data, member.folder.engine, member.folder.audit):
                    remove(left)
        elif differing:
            raise RunError(
                f"{member.folder} holds a run of another recipe (it differs in {', '.join(differing[:5])}); "
                "choose another folder with --out, or remove this one"
            )
    elif seal.expected(path) not in (None, hashlib.sha256(text.encode()).hexdigest()):
        raise RunError(
            f"{path} is gone, and the run was begun with another recipe; restore it from a copy, choose another folder "
            "with --out, or remove this one"
        )
    if parallel.is_main():
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)
        seal.add([path])


def _nothing_done(folder: RunFolder) -> bool:
    """Whether no stage of a run was finished: its first one ends with the manifest."""
    made = (folder.manifest, folder.answers, folder.checkpoints, folder.adapter, folder.metrics)
    return not any(path.exists() for path in (*made, folder.warm_start.path))


def _differences(there: Any, here: Any, place: str = "") -> list[str]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        keys = sorted(set(there) | set(here))
        return [
            found
            for key in keys
            for found in _differences(there.get(key), here.get(key), f"{place}.{key}" if place else str(key))
        ]
    return [] if there == here else [place]
