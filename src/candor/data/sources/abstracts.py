"""Abstracts of scientific articles, in the form in which SciFact and those after it publish them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from candor.data.rows import RowError, field, identifier, kind_of, record


def abstract_of(key: str) -> Callable[[Any], tuple[str, tuple[str, ...]]]:
    """From a row of a corpus to its id, which stands at ``key``, and the sentences of its abstract."""

    def parse(value: Any) -> tuple[str, tuple[str, ...]]:
        row = record(value)
        sentences = field(row, "abstract")
        if not isinstance(sentences, list) or not all(isinstance(sentence, str) for sentence in sentences):
            raise RowError(f"'abstract' must be a list of texts, not {kind_of(sentences)}")
        return identifier(row, key), tuple(sentence.strip() for sentence in sentences)

    return parse
