"""A trained model as a folder to share: the adapter, or the whole model with it merged in, and a model card."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import candor
from candor.engines.load import SANDBOX, base_model_of, pinned
from candor.engines.named import NAMED
from candor.engines.pretrained import choose_device, load_adapter, load_model, load_tokenizer
from candor.errors import RunError
from candor.files import atomic_folder, read_json, write_json, write_text
from candor.progress import Reporter
from candor.recipe.recipe import Recipe, load_run_recipe
from candor.run_folder import RunFolder
from candor.seals import seal_folder
from candor.verifier.abstention import calibration_claims, choose_abstention
from candor.verifier.card import model_card
from candor.verifier.verifier import EXPORTED, KNOWN_CLAIMS, trained_adapter

CARD: Final = "README.md"


def export_run(folder: Path, out: Path, *, merged: bool = False, reporter: Reporter | None = None) -> Path:
    """Write the trained model of a run into a folder that ``Verifier.load`` and the hub take.

    Args:
        folder: the run folder.
        out: the folder to make.
        merged: the whole model with the adapter added to its weights, in place of the adapter alone.
        reporter: told while the sandbox's base model is made.

    Returns:
        ``out``.

    Raises:
        RunError: the run has no trained model yet, or ``out`` is there already.
        ModelError: the base model cannot be loaded.
    """
    run = RunFolder(folder)
    if not run.is_run and (several := run.runs_below()):
        raise RunError(f"{run} holds several runs; choose one: {', '.join(map(str, several))}")
    if not run.is_run:
        raise RunError(f"{run} is no run folder (no {run.recipe.name} in it)")
    if out.exists():
        raise RunError(f"{out} is there already; remove it or name another folder")
    recipe = load_run_recipe(run.recipe)
    recipe = recipe.model_copy(update={"model": pinned(run, recipe.model)})
    adapter = trained_adapter(run, recipe)
    base = base_model_of(adapter, recipe.model.name, reporter or Reporter(quiet=True))
    results = read_json(run.results) if run.results.is_file() else None
    with atomic_folder(out) as target:
        if merged:
            _write_merged(recipe, base, adapter, target)
        else:
            shutil.copytree(adapter, target, dirs_exist_ok=True)
            (target / "adapter_model.safetensors").chmod(0o644)  # safetensors writes for its owner alone
            _name_base(target, recipe)
        about = _about(folder, recipe, merged=merged)
        write_json(target / EXPORTED, about)
        if (known := calibration_claims(folder, recipe)) is not None:
            write_json(target / KNOWN_CLAIMS, known.as_json())
        write_text(target / CARD, model_card(recipe, results, about, _drawn(run)))
        seal_folder(target, but=[CARD])  # which people may rewrite
    return out


def _drawn(run: RunFolder) -> dict[str, dict[str, int]]:
    """How many training examples of each label there were, by source, where the run's manifest says so."""
    splits = read_json(run.manifest).get("data", {}).get("splits", {}) if run.manifest.is_file() else {}
    return {name: notes["labels"] for name, notes in splits.get("train", {}).items() if "labels" in notes}


def _write_merged(recipe: Recipe, base: str, adapter: Path, target: Path) -> None:
    config = recipe.model.model_copy(update={"name": base})
    model = load_adapter(load_model(config, choose_device("cpu")), adapter)
    model.merge_and_unload().save_pretrained(str(target))
    load_tokenizer(base, revision=recipe.model.revision).save_pretrained(str(target))


def _name_base(target: Path, recipe: Recipe) -> None:
    """Call a base model as everyone can find it, not by where this machine keeps it."""
    path = target / "adapter_config.json"
    config = read_json(path)
    if recipe.model.name == SANDBOX:
        write_json(path, config | {"base_model_name_or_path": Path(config["base_model_name_or_path"]).name})
    elif recipe.model.name in NAMED:
        known = NAMED[recipe.model.name]
        write_json(path, config | {"base_model_name_or_path": known.hub, "revision": known.revision})


def _about(folder: Path, recipe: Recipe, *, merged: bool) -> dict[str, Any]:
    template = recipe.prompt.rendered()
    abstention = choose_abstention(folder, recipe)
    return {
        "name": f"{recipe.name} (seed {recipe.seeds[0]})",
        "merged": merged,
        "base_model": recipe.model.name,
        "revision": recipe.model.revision,
        "max_length": recipe.model.max_length,
        "template": template.name,
        "template_sha256": template.sha256,
        "template_words": None if isinstance(recipe.prompt.template, str) else template.words(),
        "chat": template.chat.as_json(),
        "abstention": None if abstention is None else abstention.as_json(),
        "created_by": f"candor {candor.__version__}",
    }
