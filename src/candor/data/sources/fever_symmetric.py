"""FEVER-symmetric (Schuster et al., 2019, arXiv:1908.05267): FEVER pairs and others made from them.

Each claim stands there with evidence for and with evidence against it, so that the claim alone tells nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from candor.data.labels import known_label
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import require
from candor.data.rows import BadRows, field, identifier, record, text
from candor.data.text import unescape
from candor.recipe.data import FeverSymmetricSource
from candor.types import Example

_ADDED: Final = re.compile(r"000000[234]\Z")
"""What an added pair has behind the id of the FEVER pair that it was made from."""


def load(name: str, config: FeverSymmetricSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``fever_symmetric_dev.jsonl`` and ``fever_symmetric_test.jsonl``. The group is the FEVER pair."""
    loading = Loading(name, bad_rows)

    def parse(value: Any) -> Example:
        row = record(value)
        # Version 0.1 has its sentence under another key.
        sentence = text(row, "evidence_sentence" if "evidence_sentence" in row else "evidence")
        pair = identifier(row, "id")
        group = f"fever-symmetric:{_ADDED.sub('', pair)}"
        return Example(
            id=pair,
            dataset=name,
            claim=unescape(text(row, "claim")),
            evidence=(unescape(sentence),),
            label=known_label(field(row, "label"), "label"),
            group=group,
        )

    examples = [
        example
        for part in config.parts
        for example in loading.read(require(data_dir, "fever-symmetric", f"fever_symmetric_{part}.jsonl"), parse)
    ]
    return loading.done(examples, {"kind": config.kind, "parts": list(config.parts)})
