"""Means put together from parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.means import Means


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.01, 10)), min_size=1, max_size=20), st.data())
def test_parts_add_up_to_the_whole(values: list[tuple[float, float]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole, first, second = Means(), Means(), Means()
    for means, part in ((whole, values), (first, values[:cut]), (second, values[cut:])):
        means.add("x", [value for value, _ in part], [weight for _, weight in part])
    first.merge(second)
    expected = np.average([v for v, _ in values], weights=[w for _, w in values])
    assert first.values()["x"] == pytest.approx(expected, abs=1e-6)
    assert whole.values()["x"] == pytest.approx(expected, abs=1e-6)


def test_nothing_gives_no_mean() -> None:
    means = Means()
    means.add("none", [])
    means.add("weightless", [1.0, 2.0], [0.0, 0.0])
    assert means.values() == {}


def test_scalars_booleans_and_broadcast_weights() -> None:
    means = Means()
    means.add("x", 3.0)
    means.add("x", np.array([True, False]))
    means.add("y", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 0.0]))
    assert means.values() == pytest.approx({"x": 4 / 3, "y": 2.0})
