"""``candor init``: a recipe for a table of one's own claims, with what could be found out filled in."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from candor.cli.tables import ColumnOption, LabelOption, table_form
from candor.errors import DataError
from candor.files import write_text
from candor.types import LABELS, Label

MODEL: Final = "Qwen/Qwen3-0.6B"

_SHARES: Final = {"train": 0.6, "validation": 0.1, "test": 0.3}
_MOST: Final = {"train": 1000, "validation": 150, "test": 500}
"""Claims of one label: more cost time and move little."""
_PROMPTS: Final = 16
_PASSES: Final = 4
_STEPS: Final = (20, 160)


def init(
    claims: Annotated[
        Path, typer.Argument(help="a table of claims, evidence and labels: CSV, TSV, JSONL, Parquet ...")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Recipe to write. Default: print it.")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Name, folder, GGUF file or hub id.")] = MODEL,
    column: ColumnOption = None,
    label: LabelOption = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a recipe for one's own claims: columns, labels and counts are found out and explained in comments.

    Examples: candor init claims.csv --out mine.yaml; candor init claims.csv --label "1=PASS" --label "0=FAIL"
    """
    from candor.data.proposal import file_name, propose_form
    from candor.data.sources.load import load_source
    from candor.recipe.data import TableSource

    if not claims.is_file():
        raise DataError("no such file", file=claims)
    if out is not None and out.exists() and not force:
        raise DataError("is there; choose another --out, or write over it with --force", file=out)
    found = propose_form(claims, table_form(column, label))
    name = file_name(claims.name)
    source = TableSource(kind="table", path=claims, columns=found.form.columns, labels=found.form.labels)
    loaded = load_source(name, source, on_bad_row="skip")
    if loaded.skipped:
        typer.echo(loaded.skipped_in_words(), err=True)
    for note in found.notes:
        typer.echo(note, err=True)
    counts = Counter(example.label for example in loaded.examples)
    text = recipe_text(name, source, counts, len(loaded.skipped), found.guessed, model)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_text(out, text)
    typer.echo(f"{out}: {len(loaded.examples):,} claims; next: candor audit {out}, then candor run {out}")


def recipe_text(
    name: str, source: object, counts: Mapping[Label, int], bad_rows: int, guessed: Mapping[str, Label], model: str
) -> str:
    """The recipe as YAML with comments.

    Args:
        name: of the recipe and of its source.
        source: a :class:`~candor.recipe.data.TableSource`.
        counts: usable claims of each label.
        bad_rows: rows that cannot be used.
        guessed: labels that could mean two things.
        model: ``model.name``.
    """
    asked = {split: {lb: _asked(split, counts[lb]) for lb in LABELS if counts[lb]} for split in _SHARES}
    train = sum(asked["train"].values())
    steps = min(max(math.ceil(_PASSES * train / _PROMPTS), _STEPS[0]), _STEPS[1])
    lines = [
        f"# Made by `candor init` from {sum(counts.values()):,} claims. Every key there is: docs/recipe.md, or",
        "# `candor recipes reference`; `candor recipes schema` for editors. Before training: `candor audit` this file.",
        f"name: {_written(name)}",
        "model:",
        f"  name: {_written(model)}   # a name (`candor models`), a folder, a GGUF file, or an id on the hub",
    ]
    if model == "sandbox":
        lines += ["prompt: {template: sandbox}   # what its base model was made for"]
    lines += ["data:", "  sources:", f"    {_written(name)}:", *(f"      {line}" for line in _source(source, guessed))]
    lines.append(
        "  # What shares a claim, or a group, is never in two splits. Shares do as well, instead of the counts:"
    )
    lines.append("  # split: {train: 0.6, validation: 0.1, test: 0.3}")
    for split, by_label in asked.items():
        written = ", ".join(f"{lb.value}: {number}" for lb, number in by_label.items())
        lines.append(f"  {split + ':':12}{{{_written(name)}: {{{written}}}}}{_remark(split, by_label)}")
    lines.append("  on_shortage: shrink   # where groups leave fewer than that, all counts shrink in proportion")
    if bad_rows:
        lines.append(f"  on_bad_row: skip      # {bad_rows:,} rows cannot be used; the manifest lists them")
    lines += [
        "train:",
        f"  steps: {steps}   # of {_PROMPTS} claims: about {steps * _PROMPTS / max(train, 1):.0f} passes",
        f"  prompts_per_step: {_PROMPTS}",
        "  # The learning rate goes by the model's size (docs/models.md); to set it: optimiser: {learning_rate: 1e-4}",
        "# Where the base model does not answer in the asked form (the run says so), it is taught that first:",
        f"# warm_start: {{train: {{steps: 20, prompts_per_step: {_PROMPTS}}}}}, with claims of its own under data:",
        f"#   warm_start: {{{_written(name)}: 60}}",
    ]
    return "\n".join(lines) + "\n"


def _asked(split: str, count: int) -> int:
    return min(max(int(_SHARES[split] * count), 1), _MOST[split])


def _remark(split: str, by_label: Mapping[Label, int]) -> str:
    if split == "train":
        missing = [lb.value for lb in LABELS if lb not in by_label]
        return f"   # none is {' or '.join(missing)}, so that cannot be learned" if missing else ""
    if split == "validation":
        return "   # the abstention threshold is chosen on these"
    least, number = min(by_label.items(), key=lambda item: item[1])
    margin = 100 * 1.96 * math.sqrt(0.25 / number)  # the widest half interval of a share
    return f"   # {number} {least.value} tell a share to within {margin:.0f} points at most"


def _source(source: object, guessed: Mapping[str, Label]) -> list[str]:
    from candor.recipe.data import Columns, TableSource

    assert isinstance(source, TableSource)
    lines = ["kind: table", f"path: {_written(str(source.path))}"]
    usual = Columns()
    columns = {key: value for key, value in source.columns if value != getattr(usual, key)}
    if columns:
        written = ", ".join(f"{key}: {_written(value)}" for key, value in columns.items())
        lines.append(f"columns: {{{written}}}")
    if source.labels:
        lines.append("labels:")
        for text, label in source.labels.items():
            sure = "   # a guess: it can mean two things, look at some rows" if text in guessed else ""
            lines.append(f"  {json.dumps(text, ensure_ascii=False)}: {'null' if label is None else label.value}{sure}")
    return lines


def _written(value: object) -> str:
    """A value as YAML writes it: plain where that cannot be misread."""
    if isinstance(value, tuple):
        return f"[{', '.join(_written(item) for item in value)}]"
    text = json.dumps(value, ensure_ascii=False)
    plain = (
        isinstance(value, str) and value.replace("/", "").replace("_", "").replace("-", "").replace(".", "").isalnum()
    )
    ambiguous = not isinstance(value, str) or not value[0].isalpha() or value.casefold() in _NOT_PLAIN
    return value if isinstance(value, str) and plain and not ambiguous else text


_NOT_PLAIN: Final = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})
