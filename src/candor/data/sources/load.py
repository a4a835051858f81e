"""From a source of the recipe to examples."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from candor.data.loaded import LoadedSource
from candor.data.official.files import default_data_dir
from candor.data.rows import BadRows
from candor.data.sources import (
    averitec,
    check_covid,
    climatefever,
    fever,
    fever_symmetric,
    function,
    healthver,
    hf,
    scifact,
    scitab,
    study,
    table,
    vitaminc,
)
from candor.errors import DataError
from candor.recipe import data as sources
from candor.recipe.data import FeverSource, OnBadRow, SandboxSource, SourceConfig
from candor.sandbox import world

_LOADERS: Final[Mapping[type[Any], Callable[[str, Any, Path, BadRows], LoadedSource]]] = {
    sources.VitamincSource: vitaminc.load,
    sources.ClimatefeverSource: climatefever.load,
    sources.CheckCovidSource: check_covid.load,
    sources.ScitabSource: scitab.load,
    sources.HealthverSource: healthver.load,
    sources.ScifactSource: scifact.load,
    sources.AveritecSource: averitec.load,
    sources.FeverSymmetricSource: fever_symmetric.load,
    sources.StudySource: study.load,
    sources.TableSource: table.load,
    sources.HfSource: hf.load,
    sources.FunctionSource: function.load,
}
"""What loads a source that needs no seed."""


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
    if isinstance(config, FeverSource):
        loaded = fever.load(name, config, folder, bad_rows, seed, progress)
    else:
        loaded = _LOADERS[type(config)](name, config, folder, bad_rows)
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
