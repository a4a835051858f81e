"""The ``data:`` section of a recipe: which sources, how many examples of each, what to do when something is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator

from candor.config import FILE_NAME, Config
from candor.types import LABELS, Label

SPLITS = ("train", "validation", "test", "calibration")
"""The order in which splits are filled; when labels run short the last one shrinks first."""

ANSWERED = SPLITS[1:]
"""Splits that both models answer."""

DRAWN = (*SPLITS, "warm_start")
"""Splits and, after them, what a warm start is trained on."""

OnBadRow: TypeAlias = Literal["error", "skip"]
NaEvidence: TypeAlias = Literal["none", "random", "retrieved"]
Part: TypeAlias = Literal["train", "dev", "test"]


def _label(value: Any) -> Any:
    if isinstance(value, Label) or not isinstance(value, str) or value.upper() not in LABELS:
        return value
    return Label(value.upper())


def _label_keys(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if any(isinstance(key, bool) for key in value):
        raise ValueError(
            "YAML reads an unquoted yes, no, true, false, on or off as a boolean; put such a key in quotes"
        )
    return {str(key) if isinstance(key, int | float) else key: label for key, label in value.items()}


LabelName: TypeAlias = Annotated[Label, BeforeValidator(_label)]
"""A label as written in a recipe: PASS, FAIL or NA."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=10_000_000)]
Counts: TypeAlias = Count | dict[LabelName, Count]
"""Examples per label, or one number: so many with the labels as they come."""

_FilePath: TypeAlias = Annotated[Path, Field(strict=False)]


class SandboxSource(Config):
    """A domain of the built-in synthetic world. ``domain`` is the source's own name unless given."""

    kind: Literal["sandbox"]
    domain: str | None = None


class FeverSource(Config):
    """FEVER claims with annotated sentences of its Wikipedia dump.

    ``na_evidence`` says what is shown with claims that have no annotated sentence: nothing (``none``, the published
    study), sentences of random pages (``random``) or the best BM25 sentences for the claim (``retrieved``).
    ``na_sentences`` is how many; ``matched`` draws the number from those of the annotated claims, so that it does
    not give the label away.
    """

    kind: Literal["fever"]
    na_evidence: NaEvidence = "retrieved"
    na_sentences: Annotated[int, Field(ge=1, le=100)] | Literal["matched"] = "matched"
    parts: Annotated[tuple[Literal["train", "dev"], ...], Field(strict=False, min_length=1)] = ("train", "dev")


class VitamincSource(Config):
    """VitaminC: one revised sentence per claim.

    ``parts`` are all that are found unless given. ``revisions`` keeps the real or the synthetic ones alone; the
    synthetic ones are made from FEVER claims. The archive of real pairs does not say which is which: leave ``all``.
    """

    kind: Literal["vitaminc"]
    parts: Annotated[tuple[Part, ...], Field(strict=False, min_length=1)] | None = None
    revisions: Literal["all", "real", "synthetic"] = "all"


class ClimatefeverSource(Config):
    """ClimateFEVER: five retrieved sentences per claim. Disputed claims become NA or are dropped."""

    kind: Literal["climatefever"]
    disputed: Literal["na", "drop"] = "na"


class CheckCovidSource(Config):
    """Check-COVID: claims of the news beside annotated sentences of an abstract."""

    kind: Literal["check-covid"]


class ScitabSource(Config):
    """SciTab: claims about a table of a paper. Caption, column names and rows are the evidence, a sentence each."""

    kind: Literal["scitab"]


class HealthverSource(Config):
    """HealthVer: answers found on the web beside an excerpt of an article. ``parts`` are all that are found."""

    kind: Literal["healthver"]
    parts: Annotated[tuple[Part, ...], Field(strict=False, min_length=1)] | None = None


class ScifactSource(Config):
    """SciFact: scientific claims beside abstracts that they cite; an example is a claim with one abstract.

    The test part has no labels.
    """

    kind: Literal["scifact"]
    parts: Annotated[tuple[Literal["train", "dev"], ...], Field(strict=False, min_length=1)] = ("train", "dev")


class AveritecSource(Config):
    """AVeriTeC: claims that fact-checkers took up, beside questions and answers from the web.

    Claims with evidence both ways (``Conflicting Evidence/Cherrypicking``) become NA or are dropped.
    """

    kind: Literal["averitec"]
    conflicting: Literal["na", "drop"] = "na"
    parts: Annotated[tuple[Literal["train", "dev"], ...], Field(strict=False, min_length=1)] = ("train", "dev")


class FeverSymmetricSource(Config):
    """FEVER-symmetric 0.2: each claim beside two sentences, one that supports and one that refutes it. None is NA."""

    kind: Literal["fever-symmetric"]
    parts: Annotated[tuple[Literal["dev", "test"], ...], Field(strict=False, min_length=1)] = ("dev", "test")


class StudySource(Config):
    """A prediction file of the published study: its claims, evidence and gold labels; its answers are not looked at.

    ``path`` is absolute, or relative to the working directory or else to the data folder.
    """

    kind: Literal["study"]
    path: _FilePath


class Columns(Config):
    """Which columns (or JSON keys) of a table hold what; case does not matter where no other is named alike.

    ``evidence`` is one column (a string, a list of strings, also as text that holds a list) or several. ``id`` and
    ``group`` are the columns of these names where the table has them; else, and where they are set to null, an id is
    made from the row's content, and the claim is the group.
    """

    claim: str = "claim"
    evidence: str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = "evidence"
    label: str = "label"
    id: str | None = "id"
    group: str | None = "group"


class TableForm(Config):
    """How a table is to be read.

    ``labels`` maps labels as the file writes them (case does not matter) to PASS, FAIL and NA, before the usual names;
    null leaves such rows out.
    """

    columns: Columns = Columns()
    labels: Annotated[dict[str, LabelName | None], BeforeValidator(_label_keys)] = Field(default_factory=dict)


class TableSource(TableForm):
    """One's own claims in a JSONL, JSON, CSV, TSV, Parquet or Arrow file, or a folder that ``datasets`` saved.

    ``path`` is absolute, or relative to the working directory or else to the data folder. Groups are the table's own
    unless ``groups`` names what they are groups of: tables and sources with the same name there share them.
    """

    kind: Literal["table"]
    path: _FilePath
    format: Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "arrow"] = "auto"
    groups: str | None = None


SourceConfig: TypeAlias = Annotated[
    SandboxSource
    | FeverSource
    | VitamincSource
    | ClimatefeverSource
    | CheckCovidSource
    | ScitabSource
    | HealthverSource
    | ScifactSource
    | AveritecSource
    | FeverSymmetricSource
    | StudySource
    | TableSource,
    Field(discriminator="kind"),
]


class DataConfig(Config):
    """The ``data:`` section of a recipe.

    Attributes:
        seed: decides which examples go where; the same seed and files give the same splits.
        sources: by name; the name becomes the examples' ``dataset``.
        train, validation, test, calibration: for each source the number of examples, per label or as they come.
            Checkpoints are chosen on validation, the abstention threshold on calibration.
        warm_start: the same, of what a warm start is trained on before all else; filled last.
        on_shortage: ``error``, or ``shrink``: take what there is; calibration gives way first, then test.
        on_bad_row: ``error``, or ``skip``: leave the row out, count and list it.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    sources: Annotated[dict[str, SourceConfig], Field(min_length=1)]
    train: dict[str, Counts] = Field(default_factory=dict)
    validation: dict[str, Counts] = Field(default_factory=dict)
    test: dict[str, Counts] = Field(default_factory=dict)
    calibration: dict[str, Counts] = Field(default_factory=dict)
    warm_start: dict[str, Counts] = Field(default_factory=dict)
    on_shortage: Literal["error", "shrink"] = "error"
    on_bad_row: OnBadRow = "error"

    @field_validator("sources")
    @classmethod
    def _names_of_files(cls, sources: dict[str, SourceConfig]) -> dict[str, SourceConfig]:
        for name in sources:
            if not FILE_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r}: files are named after a source, so its name is made of letters, digits, dots, dashes, "
                    "underscores, and begins with a letter or a digit"
                )
        return sources

    @model_validator(mode="after")
    def _splits_name_sources(self) -> DataConfig:
        for split in DRAWN:
            for name in self.counts(split):
                if name not in self.sources:
                    near = difflib.get_close_matches(name, self.sources, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(self.sources)}"
                    raise ValueError(f"{split}.{name}: no source has that name{hint}")
        return self

    def counts(self, split: str) -> dict[str, Counts]:
        """What a split asks of each source."""
        counts: dict[str, Counts] = getattr(self, split)
        return counts

    def asks(self, split: str) -> bool:
        """Whether a split asks for any examples."""
        return any(_total(counts) for counts in self.counts(split).values())

    def requested(self, source: str) -> int:
        """How many examples of a source all splits ask for together."""
        return sum(_total(self.counts(split).get(source, 0)) for split in DRAWN)


def _total(counts: Counts) -> int:
    return counts if isinstance(counts, int) else sum(counts.values())
