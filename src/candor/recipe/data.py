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
"""The order in which splits are filled; with ``on_shortage: in_order`` the last one gives way first."""

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
    made: dict[Any, Any] = {}
    for key, label in value.items():
        name = str(key) if isinstance(key, int | float) else key
        if made.setdefault(name, label) != label:
            raise ValueError(f"{name!r} stands in it twice, as a number and as text")
    return made


LabelName: TypeAlias = Annotated[Label, BeforeValidator(_label)]
"""A label as written in a recipe: PASS, FAIL or NA."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=10_000_000)]
Counts: TypeAlias = Count | dict[LabelName, Count]
"""Examples per label, or one number: so many with the labels as they come."""

SplitName: TypeAlias = Literal["train", "validation", "test", "calibration", "warm_start"]
Share: TypeAlias = Annotated[float, Field(gt=0, le=1)]
Asked: TypeAlias = Counts | Share
"""What a split asks of a source: counts, or as a float a share of all its examples."""

_FilePath: TypeAlias = Annotated[Path, Field(strict=False)]


class SandboxSource(Config):
    """A domain of the built-in synthetic world. ``domain`` is the source's own name unless given."""

    kind: Literal["sandbox"]
    domain: str | None = Field(default=None, description="wiki, revision or climate; default: the source's name")


class FeverSource(Config):
    """FEVER claims with annotated sentences of its Wikipedia dump.

    ``na_evidence`` says what is shown with claims that have no annotated sentence: nothing (``none``, the published
    study), sentences of random pages (``random``) or the best BM25 sentences for the claim (``retrieved``).
    ``na_sentences`` is how many; ``matched`` draws the number from those of the annotated claims, so that it does
    not give the label away.
    """

    kind: Literal["fever"]
    na_evidence: NaEvidence = Field(
        default="retrieved", description="evidence of NA claims: none, of random pages, or the best by BM25"
    )
    na_sentences: Annotated[int, Field(ge=1, le=100)] | Literal["matched"] = Field(
        default="matched", description="sentences of NA claims; matched: as many as annotated claims have"
    )
    parts: Annotated[tuple[Literal["train", "dev"], ...], Field(strict=False, min_length=1)] = Field(
        default=("train", "dev"), description="official files to read"
    )


class VitamincSource(Config):
    """VitaminC: one revised sentence per claim.

    ``parts`` are all that are found unless given. ``revisions`` keeps the real or the synthetic ones alone; the
    synthetic ones are made from FEVER claims. The archive of real pairs does not say which is which: leave ``all``.
    """

    kind: Literal["vitaminc"]
    parts: Annotated[tuple[Part, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="official files to read; default: all that are found"
    )
    revisions: Literal["all", "real", "synthetic"] = Field(default="all", description="which revisions are kept")


class ClimatefeverSource(Config):
    """ClimateFEVER: five retrieved sentences per claim. Disputed claims become NA or are dropped."""

    kind: Literal["climatefever"]
    disputed: Literal["na", "drop"] = Field(default="na", description="what disputed claims become")


class CheckCovidSource(Config):
    """Check-COVID: claims of the news beside annotated sentences of an abstract."""

    kind: Literal["check-covid"]


class ScitabSource(Config):
    """SciTab: claims about a table of a paper. Caption, column names and rows are the evidence, a sentence each."""

    kind: Literal["scitab"]


class HealthverSource(Config):
    """HealthVer: answers found on the web beside an excerpt of an article. ``parts`` are all that are found."""

    kind: Literal["healthver"]
    parts: Annotated[tuple[Part, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="official files to read; default: all that are found"
    )


class ScifactSource(Config):
    """SciFact: scientific claims beside abstracts that they cite; an example is a claim with one abstract.

    The test part has no labels.
    """

    kind: Literal["scifact"]
    parts: Annotated[tuple[Literal["train", "dev"], ...], Field(strict=False, min_length=1)] = Field(
        default=("train", "dev"), description="official files to read"
    )


class AveritecSource(Config):
    """AVeriTeC: claims that fact-checkers took up, beside questions and answers from the web.

    Claims with evidence both ways (``Conflicting Evidence/Cherrypicking``) become NA or are dropped.
    """

    kind: Literal["averitec"]
    conflicting: Literal["na", "drop"] = Field(default="na", description="what claims with evidence both ways become")
    parts: Annotated[tuple[Literal["train", "dev"], ...], Field(strict=False, min_length=1)] = Field(
        default=("train", "dev"), description="official files to read"
    )


class FeverSymmetricSource(Config):
    """FEVER-symmetric 0.2: each claim beside two sentences, one that supports and one that refutes it. None is NA."""

    kind: Literal["fever-symmetric"]
    parts: Annotated[tuple[Literal["dev", "test"], ...], Field(strict=False, min_length=1)] = Field(
        default=("dev", "test"), description="official files to read"
    )


class StudySource(Config):
    """A prediction file of the published study: its claims, evidence and gold labels; its answers are not looked at.

    ``path`` is absolute, or relative to the working directory or else to the data folder.
    """

    kind: Literal["study"]
    path: _FilePath = Field(description="the file: absolute, or below the working directory or the data folder")


class Columns(Config):
    """Which columns (or JSON keys) of a table hold what; case does not matter where no other is named alike.

    ``evidence`` is one column (a string, a list of strings, also as text that holds a list) or several. ``id`` and
    ``group`` are the columns of these names where the table has them; else, and where they are set to null, an id is
    made from the row's content, and the claim is the group.
    """

    claim: str = Field(default="claim", description="column of the claim")
    evidence: str | Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = Field(
        default="evidence", description="column or columns of the evidence"
    )
    label: str = Field(default="label", description="column of the label")
    id: str | None = Field(default="id", description="column of an id; null: made from the row's content")
    group: str | None = Field(
        default="group", description="column of what must not be in two splits; null: the claim itself"
    )


class TableForm(Config):
    """How a table is to be read.

    ``labels`` maps labels as the file writes them (case does not matter) to PASS, FAIL and NA, before the usual names;
    null leaves such rows out.
    """

    columns: Columns = Field(default=Columns(), description="which column holds what")
    labels: Annotated[dict[str, LabelName | None], BeforeValidator(_label_keys)] = Field(
        default_factory=dict, description="what the file's labels stand for: PASS, FAIL, NA; null leaves such rows out"
    )


class TableSource(TableForm):
    """One's own claims in a JSONL, JSON, CSV, TSV, Parquet or Arrow file, or a folder that ``datasets`` saved.

    ``path`` is absolute, or relative to the working directory or else to the data folder. Groups are the table's own
    unless ``groups`` names what they are groups of: tables and sources with the same name there share them.
    """

    kind: Literal["table"]
    path: _FilePath = Field(description="the file: absolute, or below the working directory or the data folder")
    format: Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "arrow"] = Field(
        default="auto", description="layout of the file; auto: by its name"
    )
    groups: str | None = Field(default=None, description="what the groups are groups of; shared with sources alike")


class HfSource(TableForm):
    """A dataset of the Hugging Face hub by its id, or a folder that ``datasets`` saved, read with ``datasets``.

    Labels that a dataset keeps as numbers with names (``ClassLabel``) are read by their names.
    """

    kind: Literal["hf"]
    path: str = Field(min_length=1, description="an id on the hub, such as OWNER/NAME, or a folder")
    name: str | None = Field(default=None, description="configuration of the dataset")
    parts: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="its own splits to read; default: all"
    )
    revision: str | None = Field(default=None, description="commit or tag on the hub")
    groups: str | None = Field(default=None, description="what the groups are groups of; shared with sources alike")


class FunctionSource(TableForm):
    """Rows that a function of one's own returns: mappings with claim, evidence and label, as a table's rows."""

    kind: Literal["function"]
    load: str = Field(min_length=1, description="module:function, or the name of an entry point in candor.datasets")
    options: dict[str, Any] = Field(default_factory=dict, description="arguments of the function")
    groups: str | None = Field(default=None, description="what the groups are groups of; shared with sources alike")


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
    | TableSource
    | HfSource
    | FunctionSource,
    Field(discriminator="kind"),
]


class DataConfig(Config):
    """The ``data:`` section of a recipe."""

    seed: int = Field(
        default=0, ge=0, description="decides which examples go where; the same seed and files, the same splits"
    )
    sources: dict[str, SourceConfig] = Field(
        min_length=1, description="by name; the name becomes the examples' dataset"
    )
    train: dict[str, Counts] = Field(
        default_factory=dict, description="for each source the number of examples, by label or as they come"
    )
    validation: dict[str, Counts] = Field(
        default_factory=dict, description="the same; checkpoints are chosen on it where train.validate_every says so"
    )
    test: dict[str, Counts] = Field(default_factory=dict, description="the same; what is compared and reported")
    calibration: dict[str, Counts] = Field(
        default_factory=dict, description="the same; the abstention threshold is chosen on it"
    )
    warm_start: dict[str, Counts] = Field(
        default_factory=dict, description="the same; what a warm start is trained on before all else, filled last"
    )
    split: dict[SplitName, Share] = Field(
        default_factory=dict,
        description="shares of every source that no split asks counts of, as {train: 0.6, validation: 0.1, test: 0.3}; "
        "what shares a claim or a group stays together",
    )
    on_shortage: Literal["error", "shrink", "in_order"] = Field(
        default="error",
        description="shrink: what there is, shared out in proportion to the counts; in_order: the splits are filled "
        "one by one, calibration gives way first, then test",
    )
    on_bad_row: OnBadRow = Field(default="error", description="skip: leave the row out, count and list it")

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
            for name in getattr(self, split):
                if name not in self.sources:
                    near = difflib.get_close_matches(name, self.sources, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(self.sources)}"
                    raise ValueError(f"{split}.{name}: no source has that name{hint}")
        return self

    @model_validator(mode="after")
    def _shares_can_be_had(self) -> DataConfig:
        if not self.split:
            return self
        total = sum(self.split.values())
        if total > 1 + 1e-9:
            raise ValueError(f"split: the shares add up to {total:g}; at most 1 can be had")
        shared = self._shared()
        if not shared:
            raise ValueError("split: no effect, as counts are asked of every source; leave one of them out")
        endless = [name for name in shared if isinstance(self.sources[name], SandboxSource)]
        if endless:
            raise ValueError(
                f"split: {endless[0]} is a sandbox, which makes as many examples as are asked for; give counts under "
                f"train, validation and test, such as train: {{{endless[0]}: 340}}"
            )
        return self

    def _shared(self) -> list[str]:
        """Sources that no split asks counts of."""
        counted = {name for split in DRAWN for name in getattr(self, split)}
        return [name for name in self.sources if name not in counted]

    def counts(self, split: str) -> dict[str, Asked]:
        """What a split asks of each source, shares of :attr:`split` among it."""
        asked: dict[str, Asked] = dict(getattr(self, split))
        share = next((part for name, part in self.split.items() if name == split), None)
        if share is not None:
            asked |= dict.fromkeys(self._shared(), share)
        return asked

    def asks(self, split: str) -> bool:
        """Whether a split asks for any examples."""
        return any(_least(asked) for asked in self.counts(split).values())

    def requested(self, source: str) -> int:
        """How many examples of a source all splits ask for together; of a share at least one."""
        return sum(_least(self.counts(split).get(source, 0)) for split in DRAWN)


def _least(asked: Asked) -> int:
    if isinstance(asked, float):
        return 1
    return asked if isinstance(asked, int) else sum(asked.values())
