"""HealthVer (Sarrouti et al., 2021, EMNLP Findings): claims about health beside excerpts of scientific articles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.data.labels import known_label
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import present
from candor.data.rows import BadRows, field, identifier, record, text
from candor.recipe.data import HealthverSource
from candor.types import Example


def load(name: str, config: HealthverSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``healthver_train.csv`` and its like. Evidence is the row's excerpt, the group its question.

    Excerpts recur with many claims of a question, so a question must not be in two splits.
    """
    loading = Loading(name, bad_rows)

    def parse(value: Any) -> Example:
        row = record(value)
        return Example(
            id=identifier(row, "id"),
            dataset=name,
            claim=text(row, "claim"),
            evidence=(text(row, "evidence"),),
            label=known_label(field(row, "label"), "label"),
            group=f"healthver:{identifier(row, 'topic_ip')}",
        )

    paths = present(
        data_dir, "healthver", {part: f"healthver_{part}.csv" for part in ("train", "dev", "test")}, config.parts
    )
    examples = [example for path in paths.values() for example in loading.read(path, parse, "csv")]
    return loading.done(examples, {"kind": config.kind, "parts": list(paths)})
