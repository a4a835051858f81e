"""SciFact (Wadden et al., 2020, arXiv:2004.14974): scientific claims beside the abstracts that they cite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from candor.data.labels import known_label
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import require
from candor.data.rows import BadRows, RowError, field, identifier, kind_of, record, text
from candor.data.sources.abstracts import abstract_of
from candor.recipe.data import ScifactSource
from candor.types import Example, Label


def load(name: str, config: ScifactSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``claims_train.jsonl``, ``claims_dev.jsonl`` and ``corpus.jsonl``: an example for each claim and abstract.

    Evidence is the whole abstract, whatever the label: which sentences are shown gives nothing away. An abstract in
    which nobody found evidence makes the claim NA. The group is the abstract.
    """
    loading = Loading(name, bad_rows)
    abstracts = loading.lookup(require(data_dir, "scifact", "corpus.jsonl"), abstract_of("doc_id"))

    def parse(value: Any) -> list[Example]:
        row = record(value)
        claim, claim_id = text(row, "claim"), identifier(row, "id")
        return [
            Example(f"{claim_id}-{document}", name, claim, abstracts[document], gold, f"s2orc:{document}")
            for document, gold in _judged(row, abstracts)
        ]

    examples = [
        example
        for part in config.parts
        for example in loading.read_many(require(data_dir, "scifact", f"claims_{part}.jsonl"), parse)
    ]
    return loading.done(examples, {"kind": config.kind, "parts": list(config.parts)})


def _judged(row: dict[str, Any], abstracts: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Label]]:
    """The documents of a claim, each with its label."""
    evidence = field(row, "evidence")
    if not isinstance(evidence, dict):
        raise RowError(f"'evidence' must be an object, not {kind_of(evidence)}; the test part has no labels")
    cited = field(row, "cited_doc_ids")
    if not isinstance(cited, list):
        raise RowError(f"'cited_doc_ids' must be a list, not {kind_of(cited)}")
    for document in dict.fromkeys([*map(str, cited), *evidence]):
        if document not in abstracts:
            raise RowError(f"document {document!r} is not in the corpus")
        labels = {_label(rationale) for rationale in evidence.get(document, [])}
        if len(labels) > 1:
            raise RowError(f"document {document!r} has rationales both ways")
        yield document, labels.pop() if labels else Label.NA


def _label(rationale: Any) -> Label:
    label = known_label(field(record(rationale), "label"), "label")
    if label is Label.NA:
        raise RowError("a rationale's label must be SUPPORT or CONTRADICT")
    return label
