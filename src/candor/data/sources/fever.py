"""FEVER (Thorne et al., 2018, arXiv:1803.05355): written claims with annotated sentences of Wikipedia pages."""

from __future__ import annotations

import dataclasses
import functools
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pooch

from candor.data.loaded import MAX_LISTED, Completion, LoadedSource, Loading
from candor.data.official.files import find_dump, require
from candor.data.rows import (
    BadRows,
    RowError,
    SkippedRow,
    field,
    identifier,
    kind_of,
    label,
    record,
    text,
    writable,
)
from candor.data.text import claim_group, digest, main_page, page_group
from candor.data.wiki.index import Sentence, WikiIndex, build_wiki_index, dump_identity
from candor.data.wiki.retrieval import Retriever
from candor.errors import DataError
from candor.recipe.data import FeverSource
from candor.types import LABEL_NAMES, Example, Label

_FILES = {"train": "train.jsonl", "dev": "shared_task_dev.jsonl"}
_INDEX = "wiki.sqlite"

Reference: TypeAlias = tuple[str, int]
"""Page title and line of an annotated sentence."""


def load(
    name: str,
    config: FeverSource,
    data_dir: Path,
    bad_rows: BadRows,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> LoadedSource:
    """Load FEVER claims. Their evidence is looked up by ``complete``, for those that are wanted alone.

    The group is the page that the claim is about: of the pages that annotators cite, the one whose title the claim
    names first, else the most cited. (Pages cited together would link nearly all claims into one group.) Claims
    without annotated sentences are their own group.
    """
    loading = Loading(name, bad_rows)
    references: dict[str, tuple[Reference, ...]] = {}

    def parse(value: Any) -> Example:
        row = record(value)
        claim = text(row, "claim")
        gold = label(field(row, "label"), LABEL_NAMES, "label")
        cited = _references(field(row, "evidence"))
        if gold is not Label.NA and not cited:
            raise RowError(f"the label is {row['label']!r}, but no sentence is annotated")
        example_id = identifier(row, "id")
        references[example_id] = tuple(dict.fromkeys(cited))
        group = page_group(main_page(claim, [title for title, _ in cited])) if cited else claim_group(claim)
        return Example(example_id, name, claim, (), gold, group)

    examples = [
        example for part in config.parts for example in loading.read(require(data_dir, "fever", _FILES[part]), parse)
    ]
    settings = {
        "kind": config.kind,
        "parts": list(config.parts),
        "na_evidence": config.na_evidence,
        "na_sentences": config.na_sentences,
    }
    return loading.done(examples, settings, _Evidence(config, references, data_dir, loading, seed, progress))


def open_wiki_index(data_dir: Path, bad_rows: BadRows, progress: Callable[[str], None] | None = None) -> WikiIndex:
    """The wiki index of a data folder, built from its dump if need be.

    The index lies beside the dump, or in the user's cache folder where the data folder cannot be written.

    Raises:
        DataError: there is neither index nor dump, the index is not that of the dump, or lacks bad rows that
            are errors.
    """
    dump = find_dump(data_dir)
    beside = data_dir / "fever" / _INDEX
    if beside.is_file():
        index = WikiIndex(beside)
        if dump is not None:
            index.check_dump(dump)
        _refuse_skipped(index, bad_rows)
        return index
    if dump is None:
        raise DataError(
            f"no wiki-pages.zip there, and no {beside.name}; run `candor data fetch fever --data-dir {data_dir}`",
            file=data_dir,
        )
    if os.access(beside.parent if beside.parent.is_dir() else data_dir, os.W_OK):
        path = beside
    else:
        path = Path(pooch.os_cache("candor")) / f"wiki-{dump_identity(dump)[:16]}.sqlite"
    build_wiki_index(dump, path, on_bad_row=bad_rows.on_bad_row, progress=progress)
    index = WikiIndex(path)
    _refuse_skipped(index, bad_rows)
    return index


def _refuse_skipped(index: WikiIndex, bad_rows: BadRows) -> None:
    """Bad rows are errors for whoever says so, also where another run left them out of the index."""
    skipped = index.skipped()
    if skipped and bad_rows.on_bad_row == "error":
        shard, line, reason = skipped[0]
        raise DataError(
            f"was built without bad rows of the dump ({len(skipped):,}, first: {shard}:{line}: {reason}); "
            "on_bad_row: skip accepts it",
            file=index.path,
        )


def _references(evidence: Any) -> list[Reference]:
    """Annotated sentences of all annotators, in order, repeats included."""
    cited: list[Reference] = []
    for annotation in _items(evidence, "evidence"):
        for sentence in _items(annotation, "an annotation of evidence"):
            parts = _items(sentence, "a sentence of evidence")
            if len(parts) != 4:
                raise RowError(f"a sentence of evidence has {len(parts)} parts, not 4")
            title, number = parts[2:]
            if title is None and number is None:
                continue
            if not isinstance(title, str) or not isinstance(number, int) or isinstance(number, bool):
                raise RowError(f"a sentence of evidence must name a page and a line, not {title!r}, {number!r}")
            cited.append((writable(title, "evidence"), number))
    return cited


def _items(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise RowError(f"{what} must be a list, not {kind_of(value)}")
    return value


class _Evidence:
    """Looks up evidence: annotated sentences, or for claims that have none what ``na_evidence`` says.

    The wiki index is opened, and if need be built, when the first claim wants its evidence.
    """

    def __init__(
        self,
        config: FeverSource,
        references: Mapping[str, tuple[Reference, ...]],
        data_dir: Path,
        loading: Loading,
        seed: int,
        progress: Callable[[str], None] | None,
    ) -> None:
        self._config = config
        self._references = references
        self._data_dir = data_dir
        self._loading = loading
        self._seed = seed
        self._progress = progress
        self._missing_sentences = 0
        self._annotated_counts = sorted(len(cited) for cited in references.values() if cited)

    @functools.cached_property
    def _index(self) -> WikiIndex:
        return open_wiki_index(self._data_dir, self._loading.bad_rows, self._progress)

    @functools.cached_property
    def _retriever(self) -> Retriever:
        return Retriever(self._index)

    def notes(self) -> dict[str, Any]:
        """What the evidence was taken from, and how many annotated sentences the dump lacks."""
        index = self._index
        skipped = index.skipped()
        return {
            "wiki_index": str(index.path),
            "wiki_dump": index.dump,
            "wiki_pages": index.pages,
            "wiki_skipped_rows": len(skipped),
            "wiki_skipped": [
                {"file": file, "line": line, "reason": reason} for file, line, reason in skipped[:MAX_LISTED]
            ],
            "missing_sentences": self._missing_sentences,
        }

    def complete(self, examples: Sequence[Example]) -> Completion:
        """Examples with evidence, in order; those whose annotated sentences the dump lacks are rejected."""
        completed: list[Example] = []
        failed: list[tuple[str, SkippedRow]] = []
        for example in examples:
            cited = self._references[example.id]
            if not cited:
                evidence = tuple(map(str, self._na_evidence(example)))
                source: str = self._config.na_evidence
            else:
                found = [self._index.sentence(title, number) for title, number in cited]
                evidence = tuple(str(sentence) for sentence in found if sentence is not None)
                source = "annotated"
                self._missing_sentences += len(cited) - len(evidence)
                if not evidence:
                    file, line = self._loading.place(example.id)
                    places = ", ".join(f"{title}:{number}" for title, number in cited)
                    reason = f"none of the annotated sentences is in the wiki dump: {places}"
                    self._loading.bad_rows.reject(file, line, reason)
                    failed.append((example.id, SkippedRow(file, line, reason)))
                    continue
            completed.append(dataclasses.replace(example, evidence=evidence, evidence_source=source))
        return completed, failed

    def _na_evidence(self, example: Example) -> list[Sentence]:
        if self._config.na_evidence == "none":
            return []
        # Seeded by the example itself: the same whatever else is drawn, and in which order.
        rng = random.Random(digest(self._seed, example.id, example.claim))
        if self._config.na_sentences != "matched":
            count = self._config.na_sentences
        elif self._annotated_counts:
            count = rng.choice(self._annotated_counts)
        else:
            raise DataError(
                f"source {example.dataset!r}: na_sentences: matched needs claims with annotated sentences, and "
                "there are none; give a number"
            )
        if self._config.na_evidence == "retrieved":
            return self._retriever.search(example.claim, count)
        return [self._index.random_sentence(rng) for _ in range(count)]
