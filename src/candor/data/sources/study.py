"""Claims, evidence and gold labels of the published study's prediction files; its answers are not looked at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from candor.data.cells import sentences_of
from candor.data.labels import label_key, read_label
from candor.data.layouts import layout_of
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import DataPath
from candor.data.rows import BadRows, field, identifier, record, text
from candor.data.text import claim_group, display_title, main_page, page_group, unescape
from candor.errors import DataError
from candor.recipe.data import StudySource
from candor.types import LABEL_NAMES_WITH_DISPUTED, Example

KEYS: Final = frozenset({"claim", "evidence_texts", "golden_label"})
"""What every row of such a file has."""

_LABELS: Final = {label_key(name): label for name, label in LABEL_NAMES_WITH_DISPUTED.items()}
_SENTENCE: Final = re.compile(r"\[(?P<title>[^\]\n]+)\] (?P<sentence>.+)", re.DOTALL)
_FEVER_TITLE: Final = re.compile(r"[^\s\[\]]+")
"""FEVER writes a title without spaces; ClimateFEVER writes it as people do."""


def load(name: str, config: StudySource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load a file of predictions as claims.

    Sentences of FEVER are shown as the source ``fever`` shows them, and the group is the page that the claim is
    about, as there. Elsewhere the claim is the group.
    """
    loading = Loading(name, bad_rows)
    candidates = [config.path] if config.path.is_absolute() else [config.path, data_dir / config.path]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DataError(f"no such file; looked for {' and '.join(map(str, candidates))}", file=config.path)

    def parse(value: Any) -> Example | None:
        row = record(value)
        claim = text(row, "claim")
        gold = read_label(field(row, "golden_label"), "golden_label", _LABELS)
        if gold is None:
            return None
        pages, evidence = _shown(sentences_of(field(row, "evidence_texts"), "evidence_texts"))
        group = page_group(main_page(claim, pages)) if pages else claim_group(claim)
        return Example(identifier(row, "id"), name, claim, evidence, gold, group)

    examples = list(loading.read(DataPath(path), parse, layout_of(path)))
    return loading.done(examples, {"kind": config.kind})


def _shown(texts: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
    """Pages of FEVER's sentences and the sentences as they are shown; texts of other datasets are split into theirs."""
    found = [_SENTENCE.fullmatch(one) for one in texts]
    fever = [match for match in found if match is not None and _FEVER_TITLE.fullmatch(match["title"])]
    if texts and len(fever) == len(texts) and not any("\n" in one for one in texts):
        titles = [match["title"] for match in fever]
        return titles, tuple(f"[{display_title(match['title'])}] {unescape(match['sentence'])}" for match in fever)
    sentences = []
    for one in texts:
        lines = one.split("\n")
        sentences += lines if all(_SENTENCE.fullmatch(line) for line in lines) else [one]
    return [], tuple(sentences)
