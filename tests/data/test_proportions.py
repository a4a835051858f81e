from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from candor.data.proportions import deal_units, shrink_alike


@given(asked=st.dictionaries(st.integers(), st.integers(0, 500), max_size=6), total=st.integers(0, 2000))
def test_what_is_shrunk_alike_adds_up_and_is_in_proportion(asked: dict[int, int], total: int) -> None:
    given_ = shrink_alike(asked, total)
    everything = sum(asked.values())
    assert sum(given_.values()) == min(total, everything)
    askers = sum(map(bool, asked.values()))
    for key, number in asked.items():
        assert 0 <= given_[key] <= number
        assert (given_[key] > 0) or not number or total < askers
        if everything > total:
            # One for each is taken from the others, so at most as many as there are askers are out of proportion.
            assert abs(given_[key] - number * total / everything) <= askers


def test_shares_that_leave_a_rest_leave_units_to_nobody() -> None:
    units = [{"PASS": 1}] * 10
    assert Counter(deal_units(units, {"PASS": {"train": 0.5, "test": 0.2}})) == {"train": 5, "test": 2, None: 3}


def test_kinds_without_shares_are_dealt_to_nobody() -> None:
    assert deal_units([{"other": 4}, {"PASS": 1}], {"PASS": {"train": 1.0}}) == [None, "train"]


def test_large_units_find_room_and_small_ones_even_out() -> None:
    units = [{"PASS": 1}] * 50 + [{"PASS": 40}] + [{"PASS": 10}]
    dealt = deal_units(units, {"PASS": {"train": 0.6, "test": 0.4}})
    counts: Counter[str | None] = Counter()
    for unit, split in zip(units, dealt, strict=True):
        counts[split] += unit["PASS"]
    assert counts == {"train": 60, "test": 40}
