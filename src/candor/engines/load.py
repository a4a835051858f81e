"""From a recipe's name of a model to an engine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from candor.engines.base import Engine
from candor.engines.hub import COMMIT, asked_once, commit_of
from candor.engines.local.engine import LocalEngine
from candor.engines.named import NAMED, identity, located
from candor.errors import DataError, ModelError
from candor.files import read_json
from candor.progress import Bar, Reporter
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.run_folder import RunFolder
from candor.seals import Seal

SANDBOX: Final = "sandbox"
"""What recipes call the sandbox's base model."""


def load_engine(
    model: ModelConfig,
    engine: EngineConfig,
    *,
    seed: int,
    adapter: Path | bool,
    reporter: Reporter,
    warm_start: Path | None = None,
) -> Engine:
    """Load a model; an adapter of the sandbox's is put on the very base model that it was trained on.

    Of a model on the hub, configuration, weights and tokenizer are those of one commit.

    Args:
        model: which model.
        engine: how it is run.
        seed: of a fresh adapter.
        adapter: a PEFT folder; ``True`` for a fresh one, ``False`` for the base alone.
        reporter: told while a model is made or fetched.
        warm_start: a PEFT folder whose function a fresh adapter begins with.

    Raises:
        ModelError: the model cannot be loaded, or the adapter is another's.
        DamagedError: the adapter's folder is sealed, and a file in it is not what was written.
    """
    if isinstance(adapter, Path):
        Seal(adapter).check()
    name = model.name
    if name == SANDBOX:
        folder = base_model_of(adapter, name, reporter) if isinstance(adapter, Path) else str(sandbox_model(reporter))
        model = model.model_copy(update={"name": folder})
    else:
        model = located(model, reporter)
    with asked_once(model.name):
        if name != SANDBOX:
            model = model.model_copy(update={"revision": commit_of(name, model.revision) or model.revision})
        return _engine(model, engine, seed=seed, adapter=adapter, warm_start=warm_start, name=name)


def _engine(
    model: ModelConfig, engine: EngineConfig, *, seed: int, adapter: Path | bool, warm_start: Path | None, name: str
) -> Engine:
    if engine.kind == "tinker":
        from candor.engines.tinker.engine import TinkerEngine

        if warm_start is not None:
            raise ModelError("warm_start: a service begins with a fresh adapter; set engine.kind: local")
        return TinkerEngine.from_config(model, engine, seed=seed, adapter=adapter, name=name)
    return LocalEngine.from_config(model, engine, seed=seed, adapter=adapter, warm_start=warm_start, name=name)


def pinned(run: RunFolder, model: ModelConfig) -> ModelConfig:
    """A run's model at the commit that the run was begun with, or where it was not begun yet, at today's.

    Args:
        run: the run's folder, where the commit is noted once a model was loaded.
        model: as the recipe names it.
    """
    if model.name == SANDBOX or model.name in NAMED:
        return model
    name, _, commit = (noted_base(run) or "").rpartition("@")
    if name == model.name and COMMIT.fullmatch(commit):
        return model.model_copy(update={"revision": commit})
    return model.model_copy(update={"revision": commit_of(model.name, model.revision) or model.revision})


def noted_base(run: RunFolder) -> str | None:
    """What a run says that its base model was; ``None`` where it says nothing.

    Raises:
        DataError: what it noted cannot be read.
    """
    if not run.engine.is_file():
        return None
    noted = read_json(run.engine)
    base = noted.get("base") if isinstance(noted, dict) else noted
    if not isinstance(noted, dict) or not isinstance(base, str | None):
        raise DataError("does not say which base model the run was begun with; restore it from a copy", file=run.engine)
    return base


def check_base(run: RunFolder, name: str) -> None:
    """Refuse a base model in a folder or file that is another than the run was begun with.

    Raises:
        ModelError: it is.
    """
    noted, here = noted_base(run), identity(name)
    if noted is not None and here is not None and noted.startswith(f"{name} (") and noted != here:
        raise ModelError(
            f"{run}: its adapter was trained on the base model {noted}, and here it is {here}; put the model back that "
            "was there"
        )


def sandbox_model(reporter: Reporter, cache_dir: Path | None = None) -> Path:
    """Folder of the sandbox's base model; one that did not come with candor is made (three minutes on one core).

    Args:
        reporter: told while it is made.
        cache_dir: where to look and to keep it; by default where it came with candor, then the user's cache.
    """
    from candor.sandbox.model import base_model_folder

    with contextlib.ExitStack() as stack:
        bars: list[Bar] = []

        def on_step(step: int, total: int, loss: float) -> None:
            if not bars:
                bars.append(stack.enter_context(reporter.bar("making the sandbox's base model (once)", total)))
            bars[0].advance(step - bars[0].done)

        return base_model_folder(cache_dir, on_step)


def base_model_of(adapter: Path, name: str, reporter: Reporter) -> str:
    """Where to load the model that an adapter was trained on.

    Versions of candor can make different sandbox models, and an adapter on another base than its own says nothing.

    Args:
        adapter: PEFT folder.
        name: the recipe's name of the model.
        reporter: told while a model is made or fetched.

    Raises:
        ModelError: the model cannot be had; or the sandbox's base model that the adapter needs is gone, and this
            version makes another.
    """
    if name != SANDBOX:
        return located(ModelConfig(name=name), reporter).name
    needed = Path(read_json(adapter / "adapter_config.json")["base_model_name_or_path"])
    if needed.is_dir():
        return str(needed)
    made = sandbox_model(reporter)
    if made.name != needed.name:
        raise ModelError(
            f"{adapter}: trained on the base model {needed.name}, which is not there any more, and this version of "
            f"candor makes {made.name}; run the experiment again"
        )
    return str(made)
