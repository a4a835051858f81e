"""Examples from whatever a person points at: a run, a file of examples or predictions, a table, a dataset by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from candor.data.arrow import is_dataset_folder
from candor.data.draw import Split
from candor.data.examples import parse_example
from candor.data.layouts import layout_of, read_rows
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import OFFICIAL_DATASETS, DataPath
from candor.data.rows import BadRows
from candor.data.sources import study
from candor.data.sources.load import load_source
from candor.data.sources.table import REPEATED_ID, guarded, row_parser
from candor.data.splits import Progress
from candor.errors import DataError
from candor.recipe.data import (
    SPLITS,
    AveritecSource,
    CheckCovidSource,
    ClimatefeverSource,
    Columns,
    FeverSource,
    FeverSymmetricSource,
    HealthverSource,
    OnBadRow,
    SandboxSource,
    ScifactSource,
    ScitabSource,
    SourceConfig,
    StudySource,
    TableForm,
    TableSource,
    VitamincSource,
)
from candor.run_folder import RunFolder
from candor.sandbox.world import DOMAINS
from candor.types import LABELS, Example

SANDBOX_EXAMPLES = 3000
"""Examples made of a sandbox domain that is named without a number."""

NAMED_SOURCES: dict[str, SourceConfig] = {
    "fever": FeverSource(kind="fever"),
    "vitaminc": VitamincSource(kind="vitaminc"),
    "climatefever": ClimatefeverSource(kind="climatefever"),
    "check-covid": CheckCovidSource(kind="check-covid"),
    "scitab": ScitabSource(kind="scitab"),
    "healthver": HealthverSource(kind="healthver"),
    "scifact": ScifactSource(kind="scifact"),
    "averitec": AveritecSource(kind="averitec"),
    "fever-symmetric": FeverSymmetricSource(kind="fever-symmetric"),
    **{domain: SandboxSource(kind="sandbox") for domain in DOMAINS},
}
"""Sources that need no more than a name."""

_EXAMPLE_KEYS = {"id", "dataset", "group", "claim", "evidence", "label"}
_PREDICTIONS = TableForm(columns=Columns(label="gold", id="id", group="group"))


def read_splits(
    target: str,
    *,
    data_dir: Path | None = None,
    form: TableForm | None = None,
    on_bad_row: OnBadRow = "error",
    progress: Progress | None = None,
) -> dict[str, Split]:
    """Read examples by split and dataset.

    Args:
        target: the folder of a run; a file of examples, of predictions (ours or the published study's, gzipped or
            not) or a table; a folder that ``datasets`` saved; or the name of an official dataset or a sandbox domain.
        data_dir: where official files lie.
        form: columns and labels of a table, where they are not the usual ones.
        on_bad_row: ``error`` or ``skip``.
        progress: told in words what is being done.

    Returns:
        One split called ``all``, unless ``target`` is a run.

    Raises:
        DataError: there is no such thing, it cannot be read, or ``form`` is given for what is no table.
    """
    path = Path(target)
    if path.is_file() or is_dataset_folder(path):
        loaded = read_file(path, form=form, on_bad_row=on_bad_row)
        _say_skipped(loaded, progress)
        return {"all": _by_dataset(loaded.examples)}
    if form is not None:
        raise DataError("--column and --label are for tables, and this is none", file=target)
    if path.is_dir():
        run = RunFolder(path)
        # The folder with the examples alone is taken as well.
        files = [run.examples(split) if run.data.is_dir() else path / run.examples(split).name for split in SPLITS]
        present = {split: file for split, file in zip(SPLITS, files, strict=True) if file.is_file()}
        if not present:
            names = ", ".join(file.name for file in files)
            raise DataError(f"not the folder of a run: none of {names} is there", file=files[0].parent)
        return {split: _by_dataset(read_file(file).examples) for split, file in present.items()}
    loaded = load_named(target, data_dir=data_dir, on_bad_row=on_bad_row, progress=progress)
    _say_skipped(loaded, progress)
    return {"all": {target: list(loaded.examples)}}


def load_named(
    name: str,
    *,
    data_dir: Path | None,
    on_bad_row: OnBadRow = "error",
    complete: bool = True,
    progress: Progress | None = None,
) -> LoadedSource:
    """Load an official dataset or a sandbox domain with its usual settings.

    Raises:
        DataError: there is none of that name, or it cannot be loaded.
    """
    if name not in NAMED_SOURCES:
        raise DataError(
            f"no such file or folder, and no dataset of that name; datasets are {', '.join(OFFICIAL_DATASETS)}, "
            f"and of the sandbox {', '.join(DOMAINS)}",
            file=name,
        )
    return load_source(
        name,
        NAMED_SOURCES[name],
        data_dir=data_dir,
        on_bad_row=on_bad_row,
        count=SANDBOX_EXAMPLES,
        complete=complete,
        progress=progress,
    )


def _say_skipped(loaded: LoadedSource, progress: Progress | None) -> None:
    if loaded.skipped and progress is not None:
        progress(loaded.skipped_in_words())


def stream_examples(target: str, *, form: TableForm | None = None) -> Iterator[Example]:
    """The examples of :func:`read_splits`, one after the other and, of a file, in its order; not all are in memory.

    Raises:
        DataError: as :func:`read_splits`, when what is wrong is come to.
    """
    path = Path(target)
    if path.is_file():
        name, layout = path.name.partition(".")[0], layout_of(path)
        kind, parse = ("table", None) if form is not None else _kind_of(path, layout)
        if kind == "table":
            form = form or TableForm()
            parse = guarded(row_parser(name, form, group_prefix=path.name), form, layout)
        if parse is not None:
            loading = Loading(name, BadRows("error"))
            return loading.read(DataPath(path), parse, layout, hint=REPEATED_ID if kind == "table" else "")
    splits = read_splits(target, form=form)
    return (example for split in splits.values() for group in split.values() for example in group)


def read_file(path: Path, *, form: TableForm | None = None, on_bad_row: OnBadRow = "error") -> LoadedSource:
    """Read examples from one file, by what its first row looks like, or from a folder that ``datasets`` saved.

    Args:
        path: the file or folder.
        form: columns and labels of a table, where they are not the usual ones.
        on_bad_row: ``error`` or ``skip``.

    Raises:
        DataError: the file is missing, of no known form, or holds a bad row.
    """
    name = path.name.partition(".")[0]
    if form is None and not path.is_dir():
        layout = layout_of(path)
        kind, parse = _kind_of(path, layout)
        if kind == "study":
            return load_source(name, StudySource(kind="study", path=path), on_bad_row=on_bad_row)
        if parse is not None:
            loading = Loading(name, BadRows(on_bad_row))
            return loading.done(list(loading.read(DataPath(path), parse, layout)), {"kind": "file", "format": layout})
    form = form or TableForm()
    config = TableSource(kind="table", path=path, columns=form.columns, labels=form.labels)
    return load_source(name, config, on_bad_row=on_bad_row)


def _kind_of(path: Path, layout: str) -> tuple[str, Callable[[Any], Example | None] | None]:
    """Whether a file is of candor's own, the study's or a table; and how a row of one of our own is read."""
    first = _first_row(DataPath(path), layout)
    if layout == "jsonl" and first.keys() >= _EXAMPLE_KEYS and _is_example(first):
        return "own", parse_example
    if first.keys() >= study.KEYS:
        return "study", None
    if first.get("candor") == "predictions":
        parse = row_parser(str(first.get("dataset")), _PREDICTIONS, group_prefix=path.name.partition(".")[0])
        return "own", lambda row: None if row == first else parse(row)
    return "table", None


def _is_example(row: dict[str, Any]) -> bool:
    """Whether a row, good or bad, is one of ours, and not one of a table that has the same columns."""
    return isinstance(row["evidence"], list) and isinstance(row["id"], str) and str(row["label"]).upper() in LABELS


def _first_row(source: DataPath, layout: str) -> dict[str, Any]:
    """The first row of a JSON file, empty where there is none; tables are told by their header later."""
    if layout not in ("json", "jsonl"):
        return {}
    with source.open() as stream:
        first = next(read_rows(stream, layout), (1, None))[1]
    return first if isinstance(first, dict) else {}


def _by_dataset(examples: Iterable[Example]) -> Split:
    split: Split = defaultdict(list)
    for example in examples:
        split[example.dataset].append(example)
    return dict(split)
