"""``candor data`` and ``candor audit``: fetch and look at data, and see what shortcuts would score on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from candor.data.audit import audit
from candor.data.config import OnBadRow
from candor.data.download import fetch as fetch_files
from candor.data.download import find_official
from candor.data.inputs import NAMED_SOURCES, load_named, read_splits
from candor.data.loaded import LoadedSource, kept_sha256
from candor.data.official import OFFICIAL_DATASETS, OFFICIAL_FILES, OfficialFile, default_data_dir
from candor.data.sandbox import DOMAINS
from candor.data.splits import Split, make_splits
from candor.errors import CandorError, DataError
from candor.files import write_json
from candor.recipe import find_recipe, load_recipe
from candor.types import LABELS, Example

app = typer.Typer(help="Fetch official files, list what is there, show examples.", no_args_is_help=True)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder with official files. Default: ./data or the user cache.")
]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave bad rows out instead of stopping.")]


def _console() -> Console:
    return Console(highlight=False)


def _status() -> Console:
    return Console(stderr=True, highlight=False)


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="fever, vitaminc, climatefever or all")],
    data_dir: DataDir = None,
) -> None:
    """Fetch official files that are not there yet; takes up what was cut off.

    Example: candor data fetch climatefever
    """
    console = _console()
    for item in fetch_files(dataset, data_dir or default_data_dir()):
        state = "fetched, SHA-256 as published" if item.new else "already there"
        console.print(f"{item.file.dataset}/{item.file.name}: {state}: {escape(str(item.place))}", soft_wrap=True)


@app.command("list")
def list_(data_dir: DataDir = None, skip_bad_rows: SkipBadRows = False) -> None:
    """List official files and datasets with their counts.

    Example: candor data list --data-dir data
    """
    console = _console()
    data_dir = data_dir or default_data_dir()
    files = Table("file", "there", "size", title=f"Official files in {escape(str(data_dir))}", title_justify="left")
    for file in OFFICIAL_FILES:
        files.add_row(*_file_row(data_dir, file))
    console.print(files)
    columns = ("dataset", "examples", *(label.value for label in LABELS), "rows/s", "notes")
    counts = Table(*columns, title="Datasets", title_justify="left")
    for name in NAMED_SOURCES:
        counts.add_row(name, *_count_row(name, data_dir, "skip" if skip_bad_rows else "error"))
    console.print(counts)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="a dataset, a sandbox domain, or a file of claims")],
    data_dir: DataDir = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many examples to show.")] = 1,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Show counts and examples of a dataset, one of each label first.

    Example: candor data show climatefever -n 3
    """
    console = _console()
    on_bad_row: OnBadRow = "skip" if skip_bad_rows else "error"
    if Path(name).exists():
        splits = read_splits(name, on_bad_row=on_bad_row)
        examples = [example for split in splits.values() for mine in split.values() for example in mine]
    else:
        loaded = load_named(name, data_dir=data_dir, on_bad_row=on_bad_row, complete=False)
        _print_source(console, loaded)
        examples = list(loaded.examples)
        if loaded.completer is not None:
            examples, _ = loaded.completer.complete(_first_of_each_label(examples, number))
    for example in _first_of_each_label(examples, number):
        _print_example(console, example)


def audit_command(
    target: Annotated[
        str, typer.Argument(help="a recipe, a run's folder, a file of claims or predictions, or a dataset's name")
    ],
    data_dir: DataDir = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--override", "-o", help="key=value of a recipe; may be repeated")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Measure what shortcuts score without reading claim and evidence together, and what repeats across splits.

    Examples: candor audit recipes/mixed.yaml; candor audit predictions.json.gz --json audit.json
    """
    status = _status()

    def say(words: str) -> None:
        status.print(words, style="dim")

    splits: dict[str, Split]
    path = Path(target)
    if path.suffix in (".yaml", ".yml") or not (path.exists() or target in NAMED_SOURCES):
        config = load_recipe(find_recipe(target), override or ()).data
        splits = dict(make_splits(config, data_dir=data_dir, progress=say).items())
    else:
        if override:
            raise DataError("-o changes a recipe, and this is none", file=target)
        on_bad_row: OnBadRow = "skip" if skip_bad_rows else "error"
        splits = read_splits(target, data_dir=data_dir, on_bad_row=on_bad_row, progress=say)
    result = audit(splits)
    if json_file is not None:
        write_json(json_file, result)
    print_audit(_console(), result)


def print_audit(console: Console, result: Mapping[str, Any]) -> None:
    """Print an audit: a table for each dataset, repeats across splits, warnings."""
    for name, dataset in result["datasets"].items():
        labels = ", ".join(f"{count} {label}" for label, count in dataset["labels"].items())
        console.print(f"\n[bold]{escape(name)}[/bold]: {dataset['n']} examples ({labels}), {dataset['groups']} groups")
        if dataset["scored_examples"] < dataset["n"]:
            console.print(f"shortcuts are scored on {dataset['scored_examples']} of them")
        table = Table("shortcut", "label right", "NA or not right")
        for shortcut, scores in dataset["shortcuts"].items():
            table.add_row(shortcut, *(_score(scores[metric]) for metric in ("accuracy", "na_accuracy")))
        console.print(table)
        tokens = dataset.get("prompt_tokens")
        if tokens:
            console.print(
                f"prompt tokens: median {tokens['median']:.0f}, 95 % {tokens['p95']:.0f}, max {tokens['max']}"
            )
    for pair, counts in result["repeats"].items():
        console.print(
            f"{pair}: of {counts['of']} examples {counts['claims']} share a claim, {counts['groups']} a group, "
            f"{counts['evidence_sentences']} an evidence sentence"
        )
    for warning in result["warnings"]:
        console.print(f"[bold yellow]![/bold yellow] {escape(warning)}")
    if not result["warnings"]:
        console.print("No shortcut and no repeat worth a warning.")


def _score(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "too few examples"
    low, high = score["interval"]
    return f"{score['value']:6.1%}  ({low:.1%} - {high:.1%})"


def _file_row(data_dir: Path, file: OfficialFile) -> tuple[str, str, str]:
    name = f"{file.dataset}/{file.name}"
    if not data_dir.is_dir():
        return name, "no", ""
    place = find_official(data_dir, file)
    if place is None:
        return name, "no", ""
    path = place.path
    kept = kept_sha256(path) if path.is_file() else None
    size = f"{path.stat().st_size / 1e6:,.1f} MB" if path.is_file() else "folder"
    return name, f"{escape(str(place))}{' (checksum kept)' if kept else ''}", size


def _count_row(name: str, data_dir: Path, on_bad_row: OnBadRow) -> tuple[str, ...]:
    empty = ("", *("" for _ in LABELS), "")
    try:
        loaded = load_named(name, data_dir=data_dir, on_bad_row=on_bad_row, complete=False)
    except CandorError as error:
        missing = name in OFFICIAL_DATASETS and "candor data fetch" in str(error)
        return (*empty, f"run: candor data fetch {name}" if missing or not data_dir.is_dir() else escape(str(error)))
    notes = loaded.notes()
    return (
        f"{notes['examples']:,}",
        *(f"{notes['labels'][label.value]:,}" for label in LABELS),
        f"{loaded.rows_per_second:,.0f}" if loaded.files else "",
        _remark(name, loaded),
    )


def _remark(name: str, loaded: LoadedSource) -> str:
    if name in DOMAINS:
        return f"sandbox, seed {loaded.settings['seed']}"
    bad = [f"{len(loaded.skipped)} bad rows left out"] if loaded.skipped else []
    return "; ".join([escape(Path(file.path).name) for file in loaded.files] + bad)


def _print_source(console: Console, loaded: LoadedSource) -> None:
    notes = loaded.notes()
    labels = ", ".join(f"{count:,} {label}" for label, count in notes["labels"].items())
    console.print(f"[bold]{escape(loaded.name)}[/bold]: {notes['examples']:,} examples ({labels})")
    for file in loaded.files:
        console.print(
            f"{escape(file.path)}: {file.rows:,} rows, {loaded.rows_per_second:,.0f} rows/s, SHA-256 {file.sha256}",
            soft_wrap=True,
        )
    if loaded.skipped:
        console.print(f"{len(loaded.skipped)} bad rows left out, first: {escape(str(loaded.skipped[0]))}")


def _first_of_each_label(examples: Sequence[Example], number: int) -> list[Example]:
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.label, example)
    chosen = [*first.values()]
    known = {example.id for example in chosen}
    chosen += [example for example in examples[: number + len(chosen)] if example.id not in known]
    return chosen[:number]


def _print_example(console: Console, example: Example) -> None:
    console.print()
    console.print(f"[bold]{example.label}[/bold]  {escape(example.claim)}")
    console.print(f"id {escape(example.id)}, group {escape(example.group)}, evidence {example.evidence_source}")
    for sentence in example.evidence:
        console.print(f"  - {escape(sentence)}")
    if not example.evidence:
        console.print("  (no evidence is shown)")
