"""How services add losses up: found out from gradient norms, and made good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from running_server import why_no_server

from candor.engines.tinker.losses import Reduction, Scored, measure_reduction, training_data
from candor.errors import EngineError

if _reason := why_no_server(("tinker",)):
    pytest.skip(_reason, allow_module_level=True)


def _advantages(data: list[Any]) -> list[np.ndarray]:
    return [row.loss_fn_inputs["advantages"].to_numpy() for row in data]


def _reduce(values: list[np.ndarray], how: Reduction) -> float:
    """What a service that reduces so makes of tokens whose gradients all point the same way."""
    if how is Reduction.SUM:
        return float(sum(v.sum() for v in values))
    if how is Reduction.SEQUENCE_MEAN:
        return float(np.mean([v.mean() for v in values]))
    return float(np.concatenate(values).mean())


@pytest.mark.parametrize("how", list(Reduction))
def test_the_reduction_is_measured(how: Reduction) -> None:
    def take(data: list[Any]) -> tuple[list[np.ndarray], float]:
        values = _advantages(data)
        return [np.full(len(v), -2.5) for v in values], 0.3 * _reduce(values, how)

    assert measure_reduction(take, token=5) is how


def test_what_cannot_be_measured_is_said() -> None:
    def silent(data: list[Any]) -> tuple[list[np.ndarray], None]:
        return [np.zeros(len(v)) for v in _advantages(data)], None

    with pytest.raises(EngineError, match=r"cannot be measured.*engine\.loss"):
        measure_reduction(silent, token=5)

    def odd(data: list[Any]) -> tuple[list[np.ndarray], float]:
        values = _advantages(data)
        return [np.zeros(len(v)) for v in values], float(sum(v.sum() for v in values)) / sum(map(len, values)) ** 2

    with pytest.raises(EngineError, match="neither a sum nor a mean"):
        measure_reduction(odd, token=5)


@pytest.mark.parametrize("how", list(Reduction))
def test_whatever_the_service_does_the_gradient_is_that_of_the_objective(how: Reduction) -> None:
    rng = np.random.default_rng(0)
    rows = [
        Scored((1,) * prompt, (2,) * length, rng.normal(size=length), rng.normal(size=length))
        for prompt, length in ((1, 3), (4, 2), (2, 6))
    ]
    reduced = _reduce(_advantages(training_data(rows, how)), how)
    assert reduced == pytest.approx(-sum(row.gradient.sum() for row in rows), rel=1e-5)


def test_the_prompt_has_no_advantage_and_targets_are_one_ahead() -> None:
    row = Scored((7, 8, 9), (4, 5), np.array([-1.0, -2.0]), np.array([0.5, -0.25]))
    (data,) = training_data([row], Reduction.SUM)
    assert data.model_input.to_ints() == [7, 8, 9, 4]
    assert data.loss_fn_inputs["target_tokens"].to_numpy().tolist() == [8, 9, 4, 5]
    assert data.loss_fn_inputs["logprobs"].to_numpy().tolist() == [0.0, 0.0, -1.0, -2.0]
    assert data.loss_fn_inputs["advantages"].to_numpy().tolist() == [0.0, 0.0, -0.5, 0.25]
