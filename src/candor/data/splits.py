"""Train, validation, test and calibration sets that share no claim and no group, whatever the sources."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from candor.data.draw import Split, draw_splits, keys_of, refuse_empty, shrunk_in_words
from candor.data.loaded import LoadedSource
from candor.data.rows import SkippedRow
from candor.data.sources.load import load_source
from candor.data.text import digest
from candor.errors import RecipeError, SplitError
from candor.recipe.data import SPLITS, DataConfig, SandboxSource
from candor.types import LABELS, Example

Progress: TypeAlias = Callable[[str], None]
"""Told in words what is being done."""

_SANDBOX_MARGIN = 1.3
"""A sandbox makes this many times what is asked; little more, so that training sees most of the world's claims."""
_SANDBOX_GROWTH = 1.6
_SANDBOX_LIMIT = 60
"""Beyond so many times what is asked the world plainly has too few claims of its own."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Examples of each split by source, in seeded order, and JSON values for the manifest."""

    train: Split
    validation: Split
    test: Split
    calibration: Split
    warm_start: Split = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def items(self) -> list[tuple[str, Split]]:
        """Name and examples of each split."""
        splits = [(split, getattr(self, split)) for split in SPLITS]
        return [*splits, ("warm_start", self.warm_start)] if self.warm_start else splits


def make_splits(
    config: DataConfig,
    *,
    data_dir: Path | None = None,
    progress: Progress | None = None,
    seen_before: frozenset[str] = frozenset(),
) -> Splits:
    """Load the sources and draw the splits that the recipe asks for.

    Examples that share a normalised claim or a group, directly or over others and across sources, form a unit, and
    a unit feeds one split only. Units are taken in the order of a hash of seed, claim and id, so the same seed
    gives the same splits whatever the order of rows and files. Counts per label are drawn from as many units as
    possible. Splits are filled in the order train, validation, test, calibration. Shares (``split:``) go first and
    have every label in its share, as far as units that stay whole allow.

    Args:
        config: the ``data:`` section of a recipe.
        data_dir: where official files lie.
        progress: told in words what is being done.
        seen_before: :func:`traces` of what must not be drawn, because a model that is gone on from has seen it.

    Raises:
        SplitError: fewer examples than asked for and ``on_shortage: error``, or a split gets none of a source it asks
            for, whatever ``on_shortage``; names all shortages.
        DataError: a source cannot be loaded.
    """
    say = progress or (lambda words: None)
    sizes = {
        name: int(config.requested(name) * _SANDBOX_MARGIN) + 50 for name in config.sources if config.requested(name)
    }
    if not sizes:
        raise SplitError(
            "the recipe asks for no examples; give counts under data.train, .validation, .test or .calibration, or "
            "shares of what there is: data.split: {train: 0.6, validation: 0.1, test: 0.3}"
        )
    loaded = {}
    for name in sizes:
        say(f"loading {name}")
        loaded[name] = _load(name, config, data_dir, sizes[name], say)
    completer = _Completer(loaded)
    while True:
        pool = [example for source in loaded.values() for example in completer.usable(source)]
        if seen_before:
            pool = [example for example in pool if not seen_before & traces([example])]
        draw = draw_splits(pool, config)
        growing = {
            shortage.source
            for shortage in draw.shortages
            if isinstance(config.sources[shortage.source], SandboxSource)
            and sizes[shortage.source] < _SANDBOX_LIMIT * config.requested(shortage.source)
        }
        for name in growing:
            sizes[name] = int(sizes[name] * _SANDBOX_GROWTH)
            loaded[name] = _load(name, config, data_dir, sizes[name], say)
        if growing:
            continue
        if draw.shortages and config.on_shortage == "error":
            raise SplitError(
                "; ".join(map(str, draw.shortages))
                + ". Ask for fewer, or set data.on_shortage: shrink to share out what there is"
            )
        refuse_empty(draw, config)
        if completer.complete(draw.chosen, say):
            break
    for source in loaded.values():
        if source.skipped:
            say(source.skipped_in_words())
    for line in shrunk_in_words(draw.shortages):
        say(line)
    splits = Splits(**{name: completer.filled(split) for name, split in draw.chosen.items()})
    check_disjoint(dict(splits.items()))
    notes = {
        "seed": config.seed,
        "sources": {
            name: source.notes() | completer.notes(name) | {"rows_per_second": round(source.rows_per_second)}
            for name, source in loaded.items()
        },
        "splits": {name: _split_notes(split) for name, split in splits.items()},
        "shortages": [dataclasses.asdict(shortage) for shortage in draw.shortages],
    }
    return dataclasses.replace(splits, notes=notes)


def check_asked(config: DataConfig, stages: Iterable[str]) -> None:
    """Make sure that what the stages of a recipe work on is asked for at all.

    Raises:
        RecipeError: it is not; names the split.
    """
    for stage, split in (("train", "train"), ("compare", "test")):
        if stage in stages and not config.asks(split):
            raise RecipeError(
                f"data.{split}: the stage {stage} works on {split} examples, and none are asked for; give counts, such "
                f"as {split}: {{{next(iter(config.sources))}: 250}}, or shares: split: {{train: 0.6, validation: 0.1, "
                "test: 0.3}"
            )


def traces(examples: Iterable[Example]) -> set[str]:
    """A short hash of every claim and every group, by which others can keep away from the examples.

    Twelve hex digits: of a million claims the chance is one in three hundred that any is mistaken for another.
    """
    return {digest(*key)[:12] for example in examples for key in keys_of(example)}


def check_disjoint(splits: Mapping[str, Mapping[str, Iterable[Example]]]) -> None:
    """Make sure that no normalised claim and no group is in two splits, of whatever sources.

    Raises:
        SplitError: one is; names it, the splits and the examples.
    """
    seen: dict[tuple[str, str], tuple[str, Example]] = {}
    for split, sources in splits.items():
        for example in (example for examples in sources.values() for example in examples):
            for key in keys_of(example):
                earlier_split, earlier = seen.setdefault(key, (split, example))
                if earlier_split != split:
                    raise SplitError(
                        f"{split} and {earlier_split} share the {key[0]} {key[1]!r}: "
                        f"{example.dataset}/{example.id} and {earlier.dataset}/{earlier.id}"
                    )


def _load(name: str, config: DataConfig, data_dir: Path | None, count: int, progress: Progress) -> LoadedSource:
    return load_source(
        name,
        config.sources[name],
        data_dir=data_dir,
        on_bad_row=config.on_bad_row,
        seed=config.seed,
        count=count,
        complete=False,
        progress=progress,
    )


class _Completer:
    """Fills in the evidence of chosen examples, once each, and keeps those that cannot have any out of the draw."""

    def __init__(self, loaded: Mapping[str, LoadedSource]) -> None:
        self._loaded = loaded
        self._completed: dict[str, dict[str, Example]] = defaultdict(dict)
        self._failed: dict[str, dict[str, SkippedRow]] = defaultdict(dict)

    def usable(self, source: LoadedSource) -> list[Example]:
        failed = self._failed[source.name]
        return [example for example in source.examples if example.id not in failed]

    def complete(self, chosen: Mapping[str, Split], say: Progress) -> bool:
        """Whether all chosen examples have their evidence now; if not, others have to be drawn."""
        succeeded = True
        for name, source in self._loaded.items():
            if source.completer is None:
                continue
            wanted = [
                example
                for split in chosen.values()
                for example in split.get(name, [])
                if example.id not in self._completed[name]
            ]
            say(f"looking up evidence of {len(wanted)} {name} claims")
            examples, failed = source.completer.complete(wanted)
            self._completed[name].update((example.id, example) for example in examples)
            self._failed[name].update(failed)
            succeeded = succeeded and not failed
        return succeeded

    def filled(self, split: Split) -> Split:
        return {
            name: [self._completed[name].get(example.id, example) for example in examples]
            for name, examples in split.items()
        }

    def notes(self, name: str) -> dict[str, Any]:
        completer = self._loaded[name].completer
        if completer is None:
            return {}
        return completer.notes() | {
            "without_evidence": [
                {"id": example_id, "reason": row.reason} for example_id, row in sorted(self._failed[name].items())
            ]
        }


def _split_notes(split: Split) -> dict[str, Any]:
    return {
        name: {
            "examples": len(examples),
            "labels": {label.value: sum(example.label is label for example in examples) for label in LABELS},
            "evidence_sources": dict(sorted(Counter(example.evidence_source for example in examples).items())),
            "groups": len({example.group for example in examples}),
            "sha256": digest(*(dataclasses.astuple(example) for example in examples)),
        }
        for name, examples in split.items()
    }
