"""Ragged log-probabilities become one array."""

from __future__ import annotations

import numpy as np

from candor.training.logprobs import padded


def test_rows_are_filled_up_with_zeros_to_the_longest() -> None:
    found = padded([[(-0.1, -0.2), np.array([-0.3])], [()]])
    assert found.tolist() == [[[-0.1, -0.2], [-0.3, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    assert str(found.dtype) == "torch.float64"
