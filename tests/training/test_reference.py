"""The base model is asked where a step needs or measures its distance from it, and not else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from candor.training.reference import reference_logprobs


def asked(step: int, *, kl: float, kl_every: int) -> Any:
    calls: list[Any] = []

    def logprobs(*given: Any, **options: Any) -> list[list[np.ndarray]]:
        calls.append((*given, options))
        return [[np.array([-1.0, -2.0]), np.array([-3.0])], [np.array([-4.0])]]

    recipe = SimpleNamespace(train=SimpleNamespace(kl_every=kl_every))
    config: Any = SimpleNamespace(kl=kl)
    run: Any = SimpleNamespace(recipe=recipe, engine=SimpleNamespace(logprobs=logprobs))
    found = reference_logprobs(run, config, [(1,), (2,)], [[(3, 4), (5,)], [(6,)]], step)
    assert bool(calls) == (found is not None)
    if calls:
        assert calls == [([(1,), (2,)], [[(3, 4), (5,)], [(6,)]], {"reference": True})]
    return found


@pytest.mark.parametrize(
    ("step", "kl", "kl_every", "is_asked"),
    [
        (0, 0.0, 0, False),
        (0, 0.0, 5, True),
        (4, 0.0, 5, False),
        (5, 0.0, 5, True),
        (4, 0.1, 0, True),
    ],
)
def test_when_it_is_asked(step: int, kl: float, kl_every: int, is_asked: bool) -> None:
    assert (asked(step, kl=kl, kl_every=kl_every) is not None) is is_asked


def test_what_is_missing_is_padded_with_nothing() -> None:
    assert asked(0, kl=1.0, kl_every=0).tolist() == [[[-1, -2], [-3, 0]], [[-4, 0], [0, 0]]]
