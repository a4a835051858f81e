"""``candor data`` and ``candor audit``: fetch and look at data, and see what shortcuts would score on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from candor.cli.tables import ColumnOption, LabelOption, table_form
from candor.data.audit import audit
from candor.data.draw import Split
from candor.data.inputs import NAMED_SOURCES, load_named, read_splits
from candor.data.loaded import LoadedSource, kept_sha256
from candor.data.official.download import fetch as fetch_files
from candor.data.official.download import find_official, stand_ins
from candor.data.official.files import OFFICIAL_DATASETS, OFFICIAL_FILES, OfficialFile, default_data_dir
from candor.data.splits import check_asked, make_splits
from candor.errors import CandorError, DataError, MissingFileError, ModelError
from candor.files import write_json
from candor.progress import Reporter
from candor.recipe.data import OnBadRow
from candor.recipe.recipe import Recipe, dump, find_recipe, load_recipe, resolve_arms
from candor.run_folder import RunFolder
from candor.sandbox.world import DOMAINS
from candor.types import LABELS, Example

if TYPE_CHECKING:
    from candor.runs.prompt_lengths import PromptMeter

app = typer.Typer(help="Fetch official files, list what is there, show examples.", no_args_is_help=True)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder with official files. Default: ./data or the user cache.")
]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Leave bad rows out instead of stopping.")]


def _console() -> Console:
    return Console(highlight=False)


@app.command()
def fetch(
    dataset: Annotated[str, typer.Argument(help="a dataset of `candor data list`, or all")],
    data_dir: DataDir = None,
) -> None:
    """Fetch official files that are not there yet; takes up what was cut off.

    Example: candor data fetch climatefever
    """
    console = _console()
    for item in fetch_files(dataset, data_dir or default_data_dir()):
        checked = "SHA-256 as published" if item.file.sha256 else "its SHA-256 is kept, since none is published"
        state = f"fetched, {checked}" if item.new else "already there"
        console.print(f"{item.file.dataset}/{item.file.name}: {state}: {escape(str(item.place))}", soft_wrap=True)
    for name, known in OFFICIAL_DATASETS.items():
        if dataset in (name, "all"):
            by_hand = f"; not fetched: {known.by_hand}" if known.by_hand else ""
            console.print(f"{name}: licence {known.licence}{by_hand}", soft_wrap=True)


@app.command("list")
def list_(data_dir: DataDir = None, skip_bad_rows: SkipBadRows = False) -> None:
    """List official files and datasets with their counts.

    Example: candor data list --data-dir data
    """
    console = _console()
    data_dir = data_dir or default_data_dir()
    there = Column("there", overflow="fold")
    files = Table("file", there, "size", title=f"Official files in {escape(str(data_dir))}", title_justify="left")
    for file in OFFICIAL_FILES:
        files.add_row(*_file_row(data_dir, file))
    console.print(files)
    notes = Column("notes", overflow="fold")
    columns = ("dataset", "examples", *(label.value for label in LABELS), "rows/s", notes)
    counts = Table(*columns, title="Datasets", title_justify="left")
    for name in NAMED_SOURCES:
        counts.add_row(name, *_count_row(name, data_dir, "skip" if skip_bad_rows else "error"))
    console.print(counts)
    licences = "; ".join(f"{name}: {known.licence}" for name, known in OFFICIAL_DATASETS.items())
    console.print(f"Licences of the data. {licences}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="a dataset, a sandbox domain, or a file of claims")],
    data_dir: DataDir = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many examples to show.")] = 1,
    skip_bad_rows: SkipBadRows = False,
    column: ColumnOption = None,
    label: LabelOption = None,
) -> None:
    """Show counts and examples of a dataset, one of each label first.

    Examples: candor data show climatefever -n 3; candor data show mine.csv --column claim=text --label yes=PASS
    """
    console = _console()
    on_bad_row: OnBadRow = "skip" if skip_bad_rows else "error"
    form = table_form(column, label)
    if Path(name).exists():
        splits = read_splits(
            name,
            form=form,
            on_bad_row=on_bad_row,
            progress=lambda words: console.print(escape(words)),
        )
        examples = [example for split in splits.values() for mine in split.values() for example in mine]
    else:
        if form is not None:
            raise DataError("--column and --label are for tables, and there is no such file", file=name)
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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Measure prompts in tokens of this model: a folder, a hub id or 'sandbox'. Its tokenizer is loaded, "
            "never its weights. Default: the recipe's model.",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length", min=16, help="Longest sequence in tokens, answer included. Default: the model's own."
        ),
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Prompt template. Default: the recipe's, else 'verdict'.")
    ] = None,
    column: ColumnOption = None,
    label: LabelOption = None,
) -> None:
    """Measure what shortcuts score without reading claim and evidence together, what repeats, and what would be cut.

    Examples: candor audit recipes/mixed.yaml; candor audit claims.csv --model ./my-model --max-length 2048
    """
    say = Reporter().say
    path = Path(target)
    is_recipe = path.suffix in (".yaml", ".yml") or not (path.exists() or target in NAMED_SOURCES)
    if override and not is_recipe:
        raise DataError("-o changes a recipe, and this is none", file=target)
    form = table_form(column, label)
    if form is not None and is_recipe:
        raise DataError("--column and --label are for tables; a recipe says columns: and labels: itself", file=target)
    run = RunFolder(path)
    place = find_recipe(target) if is_recipe else run.recipe if run.is_run else None
    options = {
        "model.name": model,
        "model.max_length": max_length,
        "prompt.template": template,
        "data.on_bad_row": "skip" if skip_bad_rows else None,
    }
    changes = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
    if model is not None:
        changes.append("model.revision=null")  # the recipe's is of its own model
    recipe = None if place is None else load_recipe(place, [*(override or ()), *changes])
    # A model that was named here has to be there; one that a recipe names need not be on the machine that audits.
    meter, prompt = _meter(recipe, model, max_length, template, needed=model is not None)
    splits: dict[str, Split]
    if is_recipe and recipe is not None:
        _say_what_arms_change(recipe, say)
        check_asked(recipe.data, recipe.stages)
        splits = dict(make_splits(recipe.data, data_dir=data_dir, progress=say).items())
    else:
        on_bad_row: OnBadRow = "skip" if skip_bad_rows else "error"
        splits = read_splits(target, data_dir=data_dir, form=form, on_bad_row=on_bad_row, progress=say)
    say("measuring shortcuts and lengths")
    result = audit(
        splits,
        seed=0 if recipe is None else recipe.data.seed,
        count_tokens=None if meter is None else meter.count,
        max_length=None if meter is None else meter.max_tokens,
        prompt=prompt,
    )
    if json_file is not None:
        write_json(json_file, result)
    print_audit(_console(), result)


def _meter(
    recipe: Recipe | None, model: str | None, max_length: int | None, template: str | None, *, needed: bool
) -> tuple[PromptMeter | None, dict[str, Any]]:
    """What measures prompts, and its description: where there is none, why."""
    if recipe is None and model is None:
        if max_length is not None or template is not None:
            raise DataError("--max-length and --template say nothing without a tokenizer; give --model, too")
        return None, {"model": None, "unknown": "no model is named"}
    from candor.runs.prompt_lengths import meter_of_model, meter_of_recipe

    try:
        if recipe is not None:
            meter = meter_of_recipe(recipe)
        else:
            meter = meter_of_model(str(model), template=template or "verdict", max_length=max_length)
    except ModelError as error:
        if needed or recipe is None:
            raise
        return None, {"model": recipe.model.name, "unknown": str(error)}
    return meter, meter.notes()


def _say_what_arms_change(recipe: Recipe, say: Callable[[str], None]) -> None:
    whole = dump(recipe)
    for name, arm in resolve_arms(recipe).items():
        own = [part for part in ("data", "model", "prompt") if dump(arm)[part] != whole[part]]
        if own:
            say(
                f"arm {name} has {' and '.join(own)} of its own, which this audit leaves out; its run is audited itself"
            )


def print_audit(console: Console, result: Mapping[str, Any]) -> None:
    """Print an audit: a table for each dataset, lengths, repeats across splits, warnings."""
    prompt = result["prompt"]
    if "unknown" in prompt and prompt["model"] is None:
        console.print(
            "Lengths are told in words; --model NAME or FOLDER tells them in tokens, and what would be cut.",
            soft_wrap=True,
        )
    for name, dataset in result["datasets"].items():
        labels = ", ".join(f"{count} {label}" for label, count in dataset["labels"].items())
        console.print(f"\n[bold]{escape(name)}[/bold]: {dataset['n']} examples ({labels}), {dataset['groups']} groups")
        if dataset["scored_examples"] < dataset["n"]:
            console.print(f"shortcuts are scored on {dataset['scored_examples']} of them")
        table = Table("shortcut", "label right", "NA or not right")
        for shortcut, scores in dataset["shortcuts"].items():
            table.add_row(shortcut, *(_score(scores[metric]) for metric in ("accuracy", "na_accuracy")))
        console.print(table)
        console.print(_lengths(dataset, prompt), soft_wrap=True)
    for pair, counts in result["repeats"].items():
        console.print(
            f"{escape(pair)}: of {counts['of']} examples {counts['claims']} share a claim, {counts['groups']} a group, "
            f"{counts['evidence_sentences']} an evidence sentence"
        )
    for warning in result["warnings"]:
        console.print(f"[bold yellow]![/bold yellow] {escape(warning)}")
    if not result["warnings"]:
        console.print("No shortcut and no repeat worth a warning.")


def _lengths(dataset: Mapping[str, Any], prompt: Mapping[str, Any]) -> str:
    """Lengths of a dataset's prompts in tokens and what would be cut, or else of its claims and evidence in words."""
    tokens = dataset.get("prompt_tokens")
    if tokens is None:
        return f"claim and evidence: {_spread(dataset['words'])} words"
    measured = (
        f"prompts: {_spread(tokens)} tokens (tokenizer of {escape(prompt['model'])}, template {prompt['template']})"
    )
    if tokens["max_length"] is None:
        return f"{measured}; neither model nor tokenizer says how many fit: give --max-length"
    fit = (
        f"{measured}; {tokens['max_length']:,} fit ({prompt['max_length']:,} less {prompt['answer_room']:,} for the "
        "answer)"
    )
    if not tokens["too_long"]:
        return f"{fit}, none is cut"
    return (
        f"{fit}; longer: {tokens['too_long']:,}, evidence sentences cut: {tokens['sentences_cut']:,}, too long even "
        f"without evidence: {tokens['never_fit']:,}"
    )


def _spread(lengths: Mapping[str, Any]) -> str:
    return f"median {lengths['median']:,.0f}, 95 % {lengths['p95']:,.0f}, longest {lengths['max']:,}"


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
        others = stand_ins(data_dir, file)
        used = ", ".join(escape(_short(str(other))) for other in others)
        size = f"{others[0].path.stat().st_size / 1e6:,.1f} MB" if others and others[0].path.is_file() else ""
        return name, f"no, but {used} is used" if others else "no", size
    path = place.path
    kept = kept_sha256(path) if path.is_file() else None
    size = f"{path.stat().st_size / 1e6:,.1f} MB" if path.is_file() else "folder"
    return name, f"{escape(str(place))}{' (checksum kept)' if kept else ''}", size


def _count_row(name: str, data_dir: Path, on_bad_row: OnBadRow) -> tuple[str, ...]:
    empty = ("", *("" for _ in LABELS), "")
    try:
        loaded = load_named(name, data_dir=data_dir, on_bad_row=on_bad_row, complete=False)
    except CandorError as error:
        known = OFFICIAL_DATASETS.get(name)
        if known is not None and (isinstance(error, MissingFileError) or not data_dir.is_dir()):
            return (*empty, escape(known.by_hand or f"run: candor data fetch {name}"))
        return (*empty, escape(str(error)))
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
    disputed = loaded.settings.get("disputed_claims")
    counted = [f"{disputed} of the NA are disputed"] if disputed else []
    return "; ".join([escape(_short(file.path)) for file in loaded.files] + counted + bad)


def _short(path: str) -> str:
    """The name of a file, or of an archive and the file in it."""
    archive, _, member = path.partition("!")
    return Path(archive).name + (f"!{Path(member).name}" if member else "")


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
        console.print(escape(loaded.skipped_in_words()), soft_wrap=True)


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
