"""ClimateFEVER (Diggelmann et al., 2020, arXiv:2012.00614): real claims, each with five retrieved sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import require
from candor.data.rows import BadRows, RowError, field, identifier, kind_of, label, record, text
from candor.data.text import claim_group, display_title
from candor.recipe.data import ClimatefeverSource
from candor.types import LABEL_NAMES_WITH_DISPUTED, Example


def load(name: str, config: ClimatefeverSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``climate-fever.jsonl``. Evidence is each of the five sentences with its article, in the file's order."""
    loading = Loading(name, bad_rows)
    disputed_claims = 0

    def parse(value: Any) -> Example | None:
        nonlocal disputed_claims
        row = record(value)
        gold = label(field(row, "claim_label"), LABEL_NAMES_WITH_DISPUTED, "claim_label")
        claim = text(row, "claim")
        example = Example(
            id=identifier(row, "claim_id"),
            dataset=name,
            claim=claim,
            evidence=_evidence(field(row, "evidences")),
            label=gold,
            group=claim_group(claim),
        )
        disputed = str(row["claim_label"]).casefold() == "disputed"
        disputed_claims += disputed
        return None if disputed and config.disputed == "drop" else example

    path = require(data_dir, "climatefever", "climate-fever.jsonl")
    examples = list(loading.read(path, parse))
    settings = {"kind": config.kind, "disputed": config.disputed, "disputed_claims": disputed_claims}
    return loading.done(examples, settings)


def _evidence(items: Any) -> tuple[str, ...]:
    if not isinstance(items, list):
        raise RowError(f"'evidences' must be a list, not {kind_of(items)}")
    sentences = []
    for item in items:
        row = record(item)
        sentences.append(f"[{display_title(text(row, 'article'))}] {text(row, 'evidence')}")
    return tuple(sentences)
