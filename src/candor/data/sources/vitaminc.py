"""VitaminC (Schuster et al., 2021, arXiv:2103.08541): claims beside a sentence before or after a Wikipedia revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import present
from candor.data.rows import BadRows, RowError, field, identifier, label, record, text
from candor.data.text import page_group
from candor.recipe.data import VitamincSource
from candor.types import LABEL_NAMES, Example

_PARTS = ("train", "dev", "test")


def load(name: str, config: VitamincSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load the parts of VitaminC. Evidence is the row's sentence, the group its page."""
    loading = Loading(name, bad_rows)

    def parse(value: Any) -> Example | None:
        row = record(value)
        example = Example(
            id=identifier(row, "unique_id"),
            dataset=name,
            claim=text(row, "claim"),
            evidence=(text(row, "evidence"),),
            label=label(field(row, "label"), LABEL_NAMES, "label"),
            group=page_group(text(row, "page")),
        )
        if config.revisions == "all":
            return example
        revision = text(row, "revision_type")
        if revision not in ("real", "synthetic"):
            raise RowError(f"'revision_type' is {revision!r}, neither 'real' nor 'synthetic'")
        return example if revision == config.revisions else None

    paths = present(data_dir, "vitaminc", {part: f"{part}.jsonl" for part in _PARTS}, config.parts)
    examples = [example for path in paths.values() for example in loading.read(path, parse)]
    settings = {"kind": config.kind, "parts": list(paths), "revisions": config.revisions}
    return loading.done(examples, settings)
