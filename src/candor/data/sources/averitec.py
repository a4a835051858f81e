"""AVeriTeC (Schlichtkrull et al., 2023, arXiv:2305.13117): real claims beside questions and answers from the web."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from candor.data.labels import label_key, read_label
from candor.data.loaded import LoadedSource, Loading
from candor.data.official.files import require
from candor.data.rows import BadRows, RowError, field, kind_of, record, text
from candor.data.text import claim_group
from candor.recipe.data import AveritecSource
from candor.types import Example, Label

_CONFLICTING: Final = label_key("Conflicting Evidence/Cherrypicking")


def load(name: str, config: AveritecSource, data_dir: Path, bad_rows: BadRows) -> LoadedSource:
    """Load ``train.json`` and ``dev.json``. Evidence is each answer behind its question, in the file's order.

    The group is the fact-checking article that the claim was taken from, where the file names it, else the claim.
    Claims have no ids there; theirs are part and place in the file.
    """
    loading = Loading(name, bad_rows)
    labels = {_CONFLICTING: Label.NA if config.conflicting == "na" else None}
    examples: list[Example] = []
    conflicting = 0
    for part in config.parts:
        place = 0

        def parse(value: Any, part: str = part) -> Example | None:
            nonlocal place, conflicting
            place += 1
            row = record(value)
            claim = text(row, "claim")
            conflicting += label_key(field(row, "label")) == _CONFLICTING
            gold = read_label(row["label"], "label", labels)
            article = row.get("fact_checking_article")
            group = f"article:{article}" if isinstance(article, str) and article.strip() else claim_group(claim)
            if gold is None:
                return None
            return Example(f"{part}-{place}", name, claim, tuple(_answers(field(row, "questions"))), gold, group)

        examples += loading.read(require(data_dir, "averitec", f"{part}.json"), parse, "json")
    settings = {"kind": config.kind, "parts": list(config.parts), "conflicting": config.conflicting}
    return loading.done(examples, settings | {"conflicting_claims": conflicting})


def _answers(questions: Any) -> Iterator[str]:
    if not isinstance(questions, list):
        raise RowError(f"'questions' must be a list, not {kind_of(questions)}")
    for item in questions:
        question = record(item)
        answers = field(question, "answers")
        if not isinstance(answers, list):
            raise RowError(f"'answers' must be a list, not {kind_of(answers)}")
        for answer in map(record, answers):
            words = [text(question, "question"), text(answer, "answer"), str(answer.get("boolean_explanation") or "")]
            yield " ".join(" ".join(words).split())
