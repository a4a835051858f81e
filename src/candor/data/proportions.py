"""Parts of what there is: counts shrunk alike, and units dealt out so that every split has its share of every label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Kind = TypeVar("Kind", bound=Hashable)


def shrink_alike(asked: Mapping[Key, int], total: int) -> dict[Key, int]:
    """Whole numbers in proportion to what is asked that add up to ``total``, by largest remainders.

    As long as there is one for each, nobody who asks gets nothing.

    Args:
        asked: counts of at least 0.
        total: at least 0; where it is no less than all that is asked, that is what is given.

    >>> shrink_alike({"train": 250, "validation": 75, "test": 250}, 200)
    {'train': 87, 'validation': 26, 'test': 87}
    >>> shrink_alike({"train": 98, "validation": 1, "test": 1}, 4)
    {'train': 2, 'validation': 1, 'test': 1}
    """
    everything = sum(asked.values())
    if total >= everything:
        return dict(asked)
    least = {key: 1 if number and total >= sum(map(bool, asked.values())) else 0 for key, number in asked.items()}
    given = {key: max(least[key], number * total // everything) for key, number in asked.items()}
    remainders = {key: number * total / everything - given[key] for key, number in asked.items()}
    by_remainder = sorted(asked, key=lambda key: -remainders[key])
    while sum(given.values()) < total:
        for key in by_remainder[: total - sum(given.values())]:
            given[key] += 1
    while sum(given.values()) > total:  # the least that each gets was taken from nobody yet
        given[max(given, key=lambda key: given[key] - least[key])] -= 1
    return given


def deal_units(units: Sequence[Mapping[Kind, int]], shares: Mapping[Kind, Mapping[Key, float]]) -> list[Key | None]:
    """Deal units out whole, so that every split comes near its share of every kind of example.

    The largest unit is dealt first and each goes where most is missing of what it holds, measured in parts of what
    that split is due: large ones find room, small ones even out what these left.

    Args:
        units: how many examples of each kind a unit holds; kinds without shares do not count.
        shares: for each kind the part of all its examples that a split is due, at most 1 in all.

    Returns:
        The split of every unit, ``None`` for what no share covers.

    >>> deal_units([{"PASS": 1}] * 4, {"PASS": {"train": 0.5, "test": 0.25}}).count("train")
    2
    """
    due: dict[tuple[Key | None, Kind], float] = {}
    for kind, parts in shares.items():
        there = sum(unit.get(kind, 0) for unit in units)
        rest = 1.0 - sum(parts.values())
        due.update({(split, kind): part * there for split, part in parts.items()})
        if rest > 1e-9:  # fractions of ten do not add up to exactly 1
            due[None, kind] = rest * there
    given: Counter[tuple[Key | None, Kind]] = Counter()
    dealt: list[Key | None] = [None] * len(units)
    for number in sorted(range(len(units)), key=lambda number: -sum(units[number].values())):
        mine = {kind: count for kind, count in units[number].items() if kind in shares and count}
        splits = dict.fromkeys(split for split, kind in due if kind in mine)
        if not splits:
            continue

        def missing(split: Key | None, mine: Mapping[Kind, int] = mine) -> float:
            """Of what the unit holds, how much of its due a split would still lack."""
            return sum(
                count * (1 - given[split, kind] / due[split, kind])
                for kind, count in mine.items()
                if due.get((split, kind))
            )

        best = max(splits, key=missing)
        dealt[number] = best
        given.update({(best, kind): count for kind, count in mine.items()})
    return dealt
