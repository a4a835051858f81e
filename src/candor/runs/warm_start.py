"""What a run's training goes on from: a short supervised training of its own, or an adapter that is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from safetensors.torch import load_file, save_file

from candor.data.examples import read_examples
from candor.data.splits import traces
from candor.engines.named import NAMED
from candor.errors import RunError
from candor.files import atomic_folder, read_json, write_json
from candor.recipe.recipe import Recipe, dump, load_run_recipe, recipe_from
from candor.recipe.warm_start import ReadyWarmStart, TrainedWarmStart
from candor.run_folder import RunFolder
from candor.seals import Seal, seal_folder
from candor.types import Example

PACKAGED: Final = Path(__file__).parent / "warm_starts"
"""Adapters that come with candor, in folders named as recipes name them."""

TRAINED_ON: Final = "trained_on.json"
"""Beside an adapter: on which kinds of sources it was trained, and traces of its examples' claims and groups."""


def training_recipe(recipe: Recipe, config: TrainedWarmStart) -> Recipe:
    """The recipe of the warm start's own training: the run's, with another objective and schedule."""
    own = dump(config)
    values = dump(recipe) | {"objective": own["objective"], "train": own["train"], "warm_start": None}
    split = {name: share for name, share in values["data"]["split"].items() if name != "warm_start"}
    values["data"] = values["data"] | {"warm_start": {}, "split": split}
    return recipe_from(values, place="warm_start")


def find_adapter(config: ReadyWarmStart) -> Path:
    """Folder of an adapter by its path or its name.

    Raises:
        RunError: there is none; names those that come with candor.
    """
    for folder in (Path(config.adapter), PACKAGED / config.adapter):
        if (folder / "adapter_config.json").is_file():
            return folder
    known = sorted(path.name for path in PACKAGED.iterdir()) if PACKAGED.is_dir() else []
    raise RunError(
        f"warm_start.adapter: no PEFT folder {config.adapter!r}; by name there are: {', '.join(known) or 'none'}"
    )


def seen_before(recipe: Recipe, adapter: Path) -> frozenset[str] | None:
    """Traces of the claims and groups that a ready adapter was trained on; ``None`` where it does not say.

    Raises:
        RunError: it was trained on another kind of source than the recipe trains on, which would then be no unseen one.
    """
    path = adapter / TRAINED_ON
    if not path.is_file():
        return None
    noted = read_json(path)
    kinds = {recipe.data.sources[name].kind for name in recipe.trained_on()}
    others = sorted(set(noted["kinds"]) - kinds)
    if others:
        raise RunError(
            f"warm_start.adapter: {adapter.name} was trained on {', '.join(others)}, which this recipe does not train "
            "on: a domain that the warm start has seen is none that is unseen. Train one here (data.warm_start), or "
            "train on that source, too"
        )
    return frozenset(noted["traces"])


def note_trained_on(adapter: Path, recipe: Recipe, examples: Iterable[Example]) -> None:
    """Write beside an adapter what it was trained on, so that others can keep away from it."""
    examples = list(examples)
    kinds = sorted({recipe.data.sources[example.dataset].kind for example in examples})
    noted: dict[str, Any] = {"kinds": kinds, "examples": len(examples), "traces": sorted(traces(examples))}
    write_json(adapter / TRAINED_ON, noted)
    seal_folder(adapter)


def copy_adapter(source: Path, to: Path) -> None:
    """Put a copy of an adapter's folder there, whole or not at all.

    Raises:
        DamagedError: its files are not what was written.
    """
    Seal(source).check()
    with atomic_folder(to) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)


def pack(run: Path, out: Path, name: str) -> Path:
    """Make a run's adapter one that recipes go on from: small, with the base model's public name and what it has seen.

    Args:
        run: folder of a finished run.
        out: where the folder ``name`` is made; :data:`PACKAGED` for one that comes with candor.
        name: as recipes are to call it.

    Returns:
        The folder.

    Raises:
        RunError: the run has no adapter yet.
    """
    folder = RunFolder(run)
    if not folder.is_trained:
        raise RunError(f"{folder}: its training is not at its end; run the same recipe again to go on")
    recipe = load_run_recipe(folder.recipe)
    # What was looked at to choose its values counts as seen.
    seen = [e for split in ("train", "validation") for e in read_examples(folder.examples(split))]
    with atomic_folder(out / name) as target:
        shutil.copytree(folder.adapter, target, dirs_exist_ok=True)
        weights = target / "adapter_model.safetensors"
        save_file({key: value.bfloat16() for key, value in load_file(weights).items()}, weights, {"format": "pt"})
        weights.chmod(0o644)  # safetensors writes for its owner alone
        settings = read_json(target / "adapter_config.json")
        known = NAMED.get(recipe.model.name)
        if known is not None:
            settings |= {"base_model_name_or_path": known.hub, "revision": known.revision}
        write_json(target / "adapter_config.json", settings)
        shutil.copyfile(folder.recipe, target / folder.recipe.name)
        note_trained_on(target, recipe, seen)
    return out / name
