"""Which examples go into which split: whole units of what belongs together, in seeded order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from scipy.cluster.hierarchy import DisjointSet

from candor.data.proportions import deal_units, shrink_alike
from candor.data.text import digest, normalise_claim, words_of
from candor.errors import SplitError
from candor.recipe.data import DRAWN, Asked, DataConfig
from candor.types import LABELS, Example, Label

Split: TypeAlias = dict[str, list[Example]]
"""Examples by source."""

_Kind: TypeAlias = tuple[str, Label | None]
"""Source and label; no label means any."""

_Wanted: TypeAlias = dict[str, dict[_Kind, int]]
"""Examples by split and kind."""

_UNIT_CAPS = (1, 2, 4, 8, 16, 64, None)
"""How many examples of one source and label a unit gives at most. Few spread a draw over many pages; all (``None``)
leave the most units to the other splits. The first that meets the counts is taken."""

_SHRINKINGS = 20
"""Units are taken whole, so what was shrunk to what there is may not fit yet; it is shrunk again, so often at most."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a split asks of a source, of one label or of any, and gets less of."""

    split: str
    source: str
    label: Label | None
    asked: int
    taken: int
    available: int

    def __str__(self) -> str:
        """In words."""
        kind = f"{self.label} examples" if self.label else "examples"
        return (
            f"{self.split}.{self.source} asks for {self.asked} {kind} and gets {self.taken}: the source has "
            f"{self.available}, and what shares a claim or a group with another split cannot be used"
        )


def shrunk_in_words(shortages: Sequence[Shortage]) -> list[str]:
    """What each source's splits get less of, a line for each source."""
    lines = []
    for source in dict.fromkeys(shortage.source for shortage in shortages):
        splits: dict[str, list[str]] = defaultdict(list)
        for each in shortages:
            if each.source == source:
                splits[each.split].append(f"{each.taken} of {each.asked} {each.label or 'examples'}")
        found = "; ".join(f"{split} {', '.join(kinds)}" for split, kinds in splits.items())
        lines.append(
            f"{source} shrinks to what there is: {found}. "
            "What shares a claim or a group with another split cannot be used"
        )
    return lines


def keys_of(example: Example) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("claim", normalise_claim(example.claim)), ("group", example.group)


def _units(pool: Sequence[Example], seed: int) -> list[list[Example]]:
    """Examples that must stay together, in seeded order; within a unit in seeded order, too."""
    keys = [keys_of(example) for example in pool]
    together = DisjointSet(dict.fromkeys(key for pair in keys for key in pair))
    for claim, group in keys:
        together.merge(claim, group)
    units: dict[tuple[str, str], list[tuple[str, Example]]] = defaultdict(list)
    for (claim, _), example in zip(keys, pool, strict=True):
        order = digest(seed, words_of(example.claim), example.dataset, example.id)
        units[together[claim]].append((order, example))
    members = [sorted(unit, key=lambda item: item[0]) for unit in units.values()]
    # The first hash of a unit of n is the smallest of n and would put large units first; hashing it again does not.
    members.sort(key=lambda unit: digest(seed, unit[0][0]))
    return [[example for _, example in unit] for unit in members]


def _kinds(examples: Iterable[Example]) -> Iterator[_Kind]:
    for example in examples:
        yield example.dataset, example.label
        yield example.dataset, None


def _needs(counts: Mapping[str, Asked]) -> dict[_Kind, int]:
    """Counts by kind; shares are dealt out before."""
    needs: dict[_Kind, int] = {}
    for source, asked in counts.items():
        if isinstance(asked, int):
            needs[source, None] = asked
        elif isinstance(asked, Mapping):
            needs.update({(source, label): number for label, number in asked.items()})
    return {kind: number for kind, number in needs.items() if number}


@dataclass(frozen=True, slots=True)
class Draw:
    """Examples by split and source, in seeded order, and what they fall short of."""

    chosen: dict[str, Split]
    shortages: list[Shortage]

    @property
    def missing(self) -> int:
        """Examples that were asked for and are not there."""
        return sum(shortage.asked - shortage.taken for shortage in self.shortages)


def draw_splits(pool: Sequence[Example], config: DataConfig) -> Draw:
    """What the splits ask for; with ``on_shortage: shrink`` all that is short of it alike."""
    units = _units(pool, config.seed)
    available = Counter(_kinds(pool))
    asked: _Wanted = {split: _needs(config.counts(split)) for split in DRAWN}
    wanted = asked
    dealt = _dealt(units, config)
    draw = _widest_draw(units, config, wanted, dealt, available)
    for _ in range(_SHRINKINGS if config.on_shortage == "shrink" else 0):
        if not draw.missing:
            break
        wanted = _shrunk(wanted, draw.shortages)
        draw = _widest_draw(units, config, wanted, dealt, available)
    if wanted is asked:
        return draw
    short = {(shortage.split, shortage.source, shortage.label): shortage.taken for shortage in draw.shortages}
    return Draw(
        draw.chosen,
        [
            Shortage(split, *kind, number, taken, available[kind])
            for split, needs in asked.items()
            for kind, number in needs.items()
            if (taken := short.get((split, *kind), wanted[split].get(kind, 0))) < number
        ],
    )


def _shrunk(wanted: _Wanted, shortages: Sequence[Shortage]) -> _Wanted:
    """As many as were drawn, in proportion to what was wanted, of every kind that ran short.

    Where a source is asked for both by label and as it comes, both take from the same and shrink together.
    """
    missing = {(shortage.split, shortage.source, shortage.label): shortage for shortage in shortages}
    kinds = {kind for needs in wanted.values() for kind in needs}
    shrunk = {split: dict(needs) for split, needs in wanted.items()}
    pots: dict[_Kind, dict[tuple[str, _Kind], int]] = defaultdict(dict)
    for split, needs in wanted.items():
        for kind, number in needs.items():
            mixed = (kind[0], None) in kinds
            pots[(kind[0], None) if mixed else kind][split, kind] = number
    for pot in pots.values():
        lacking = sum(
            missing[split, *kind].asked - missing[split, *kind].taken
            for split, kind in pot
            if (split, *kind) in missing
        )
        for (split, kind), number in shrink_alike(pot, sum(pot.values()) - lacking).items():
            shrunk[split][kind] = number
    return {split: {kind: number for kind, number in needs.items() if number} for split, needs in shrunk.items()}


def _widest_draw(
    units: Sequence[Sequence[Example]],
    config: DataConfig,
    wanted: _Wanted,
    dealt: Sequence[str | None],
    available: Mapping[_Kind, int],
) -> Draw:
    """The draw that spreads over the most units among those that miss the fewest examples."""
    best: Draw | None = None
    for cap in _UNIT_CAPS:
        draw = _draw_capped(units, config, wanted, dealt, available, cap)
        if best is None or draw.missing < best.missing:
            best = draw
        if not best.missing:
            break
    assert best is not None
    return best


def _dealt(units: Sequence[Sequence[Example]], config: DataConfig) -> list[str | None]:
    """The split of every unit that holds examples of which splits have shares."""
    shares: dict[str, dict[str, float]] = defaultdict(dict)
    for split in DRAWN:
        for source, asked in config.counts(split).items():
            if isinstance(asked, float):
                shares[source][split] = asked
    if not shares:
        return [None] * len(units)
    kinds = {(source, label): parts for source, parts in shares.items() for label in LABELS}
    return deal_units([Counter((example.dataset, example.label) for example in unit) for unit in units], kinds)


def _draw_capped(
    units: Sequence[Sequence[Example]],
    config: DataConfig,
    wanted: _Wanted,
    dealt: Sequence[str | None],
    available: Mapping[_Kind, int],
    cap: int | None,
) -> Draw:
    """Fill each split unit by unit, taking at most ``cap`` of one source and label from a unit.

    What is asked for with labels as they come is drawn first, in whole units: a draw by label leaves behind units
    that are poor in the labels it wanted most, and those are no fair sample any more.
    """
    counts = {split: config.counts(split) for split in DRAWN}
    chosen: dict[str, Split] = {split: {source: [] for source in asked} for split, asked in counts.items()}
    split_of = {number: split for number, split in enumerate(dealt) if split is not None}
    for number, split in split_of.items():
        for example in units[number]:
            if isinstance(counts[split].get(example.dataset), float):
                chosen[split][example.dataset].append(example)
    shortages: list[Shortage] = []
    for by_label in (False, True):
        for split in DRAWN:
            asked = {kind: number for kind, number in wanted[split].items() if (kind[1] is not None) == by_label}
            needs = dict(asked)
            for number, unit in enumerate(units):
                if not needs:
                    break
                if split_of.get(number, split) != split:
                    continue
                taken: Counter[_Kind] = Counter()
                for example in unit:
                    kind = (example.dataset, example.label if by_label else None)
                    if kind not in needs or (by_label and taken[kind] == cap):
                        continue
                    chosen[split][example.dataset].append(example)
                    taken[kind] += 1
                    needs[kind] -= 1
                    if not needs[kind]:
                        del needs[kind]
                if taken:
                    split_of[number] = split
            shortages += [
                Shortage(split, *kind, asked[kind], asked[kind] - missing, available[kind])
                for kind, missing in needs.items()
            ]
    return Draw(chosen, shortages)


def refuse_empty(draw: Draw, config: DataConfig) -> None:
    """Refuse splits without a single example of a source that they ask for.

    Raises:
        SplitError: names them all, and how to go on.
    """
    empty = []
    for split in DRAWN:
        for source, asked in config.counts(split).items():
            if draw.chosen[split][source] or not (asked if isinstance(asked, int | float) else sum(asked.values())):
                continue
            if isinstance(asked, Mapping):
                words = " and ".join(f"{number} {label}" for label, number in asked.items() if number)
            else:
                words = f"{asked:.0%}" if isinstance(asked, float) else f"{asked} examples"
            empty.append(f"{split}.{source} is empty: it asks for {words} and nothing is left for it")
    if empty:
        raise SplitError(
            "; ".join(empty) + ". Ask for fewer in the other splits, set data.on_shortage: shrink (all shrink in "
            "proportion), or take shares instead of counts: data.split: {train: 0.6, validation: 0.1, test: 0.3}"
        )
