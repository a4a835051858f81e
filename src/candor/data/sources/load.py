"""From a source of the recipe to examples."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from candor.data.loaded import LoadedSource
from candor.data.official.files import default_data_dir
from candor.data.rows import BadRows
from candor.data.sources import climatefever, fever, table, vitaminc
from candor.errors import DataError
from candor.recipe.data import ClimatefeverSource, OnBadRow, SandboxSource, SourceConfig, TableSource, VitamincSource
from candor.sandbox import world


def load_source(
    name: str,
    config: SourceConfig,
    *,
    data_dir: Path | None = None,
    on_bad_row: OnBadRow = "error",
    seed: int = 0,
    count: int | None = None,
    complete: bool = True,
    progress: Callable[[str], None] | None = None,
) -> LoadedSource:
    """Load all examples of a source.

    Args:
        name: becomes the examples' ``dataset``.
        config: one of the source models of :mod:`candor.recipe.data`.
        data_dir: where official files lie, and tables may; else ``data`` here or in the user's cache folder.
        on_bad_row: ``error`` or ``skip``.
        seed: decides what a sandbox generates and which pages fill ``na_evidence: random``.
        count: how many examples a sandbox source makes; other sources load all they have.
        complete: whether FEVER claims get their evidence at once. Without, the examples have none yet, and
            ``LoadedSource.completer`` fills it in for those that are wanted.
        progress: told in words what is being done.

    Raises:
        DataError: a file is missing, unreadable or holds a row that cannot be used.
    """
    bad_rows = BadRows(on_bad_row)
    folder = default_data_dir() if data_dir is None else data_dir
    if isinstance(config, SandboxSource):
        return _load_sandbox(name, config, seed, count)
    if isinstance(config, VitamincSource):
        loaded = vitaminc.load(name, config, folder, bad_rows)
    elif isinstance(config, ClimatefeverSource):
        loaded = climatefever.load(name, config, folder, bad_rows)
    elif isinstance(config, TableSource):
        loaded = table.load(name, config, folder, bad_rows)
    else:
        loaded = fever.load(name, config, folder, bad_rows, seed, progress)
    if complete and loaded.completer is not None:
        examples, failed = loaded.completer.complete(loaded.examples)
        skipped = loaded.skipped + tuple(row for _, row in failed)
        settings = {**loaded.settings, **loaded.completer.notes()}
        loaded = dataclasses.replace(
            loaded, examples=tuple(examples), skipped=skipped, settings=settings, completer=None
        )
    return loaded


def _load_sandbox(name: str, config: SandboxSource, seed: int, count: int | None) -> LoadedSource:
    if count is None:
        raise DataError(f"source {name!r} is a sandbox: say how many examples it is to make")
    started = time.perf_counter()
    domain = config.domain or name
    examples = tuple(
        dataclasses.replace(example, dataset=name, group=f"sandbox/{domain}:{example.group}")
        for example in world.generate(domain, count, seed)
    )
    settings = {"kind": config.kind, "domain": domain, "seed": seed}
    return LoadedSource(name, examples, seconds=time.perf_counter() - started, settings=settings)
