"""Check-COVID (Wang et al., 2023, arXiv:2305.18265): claims of the news beside sentences of scientific abstracts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from candor.data.labels import known_label
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import require
from candor.data.rows import BadRows, RowError, field, identifier, kind_of, record, text
from candor.data.sources.abstracts import abstract_of
from candor.recipe.data import CheckCovidSource
from candor.types import Example


def load(name: str, config: CheckCovidSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``Check-COVID_all.json``. Evidence are the annotated sentences of the abstract, which is the group."""
    loading = Loading(name, bad_rows)
    abstracts = loading.lookup(require(data_dir, "check-covid", "corpus.json"), abstract_of("cord_id"))

    def parse(value: Any) -> Example:
        row = record(value)
        document = identifier(row, "cord_id")
        if document not in abstracts:
            raise RowError(f"'cord_id' is {document!r}, which the corpus lacks")
        gold = known_label(field(row, "label"), "label")
        evidence = tuple(abstracts[document][place] for place in _places(row, len(abstracts[document])))
        return Example(identifier(row, "id"), name, text(row, "claim"), evidence, gold, f"cord:{document}")

    examples = list(loading.read(require(data_dir, "check-covid", "Check-COVID_all.json"), parse))
    return loading.done(examples, {"kind": config.kind})


def _places(row: dict[str, Any], sentences: int) -> list[int]:
    """Places of the annotated sentences in their abstract, in its order."""
    items = field(row, "evidence_set")
    if not isinstance(items, list):
        raise RowError(f"'evidence_set' must be a list, not {kind_of(items)}")
    places = {field(record(item), "sent_index") for item in items}
    for place in places:
        if not isinstance(place, int) or not 0 <= place < sentences:
            raise RowError(f"'sent_index' is {place!r}, but the abstract has {sentences} sentences")
    return sorted(places)
