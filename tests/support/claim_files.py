"""Files of claims in the forms that candor reads: rows, and a source loaded from a few of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from candor.data.loaded import LoadedSource
from candor.data.sources.load import load_source
from candor.recipe.data import ClimatefeverSource, TableSource


def climate_row(number: int = 0, label: str = "SUPPORTS", **changes: Any) -> dict[str, Any]:
    evidence = [{"article": f"Article {n}", "evidence": f"Sentence {n} ."} for n in range(5)]
    return {"claim_id": str(number), "claim": f"Claim {number}.", "claim_label": label, "evidences": evidence} | changes


def vitaminc_row(number: int = 0, label: str = "REFUTES", **changes: Any) -> dict[str, Any]:
    return {
        "unique_id": f"u{number}",
        "label": label,
        "claim": f"Claim {number} .",
        "evidence": f"Evidence {number} .",
        "page": "Some Page",
        "revision_type": "real",
    } | changes


def jsonl(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def climate(folder: Path, content: bytes, on_bad_row: Any = "error", **values: Any) -> LoadedSource:
    folder.mkdir(exist_ok=True)
    (folder / "climate-fever.jsonl").write_bytes(content)
    config = ClimatefeverSource.model_validate({"kind": "climatefever", **values})
    return load_source("climatefever", config, data_dir=folder, on_bad_row=on_bad_row)


def table(path: Path, content: bytes, on_bad_row: Any = "error", **values: Any) -> LoadedSource:
    path.write_bytes(content)
    config = TableSource.model_validate({"kind": "table", "path": str(path), **values})
    return load_source("mine", config, on_bad_row=on_bad_row)


COLUMNS = {"claim": "text", "evidence": ["e1", "e2"], "label": "verdict", "id": "key", "group": "topic"}
ROW = {"claim": "A claim.", "evidence": "A sentence.", "label": "supports"}
