"""Hidden states behind whole sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy import save_toy_model, toy_engine

from candor.engines.base import ShowsHiddenStates
from candor.errors import EngineError


def test_they_are_what_the_head_reads_whatever_stands_beside_them(tmp_path: Path) -> None:
    engine = toy_engine(save_toy_model(tmp_path), trained=True)
    assert isinstance(engine, ShowsHiddenStates)
    generator = np.random.default_rng(0)
    sequences = [tuple(generator.integers(1, 60, size=size).tolist()) for size in (*range(3, 22), 4)]
    states_S_H = engine.hidden_states(sequences)
    model = engine._model
    for sequence, state_H in zip(sequences, states_S_H, strict=True):
        with torch.no_grad():
            expected_V = model(input_ids=torch.tensor([sequence])).logits[0, -1]
            shown_V = model.get_base_model().lm_head(torch.tensor(state_H, dtype=torch.float32))
        np.testing.assert_allclose(shown_V, expected_V, atol=1e-4)


def test_the_adapter_has_its_say(tmp_path: Path) -> None:
    folder = save_toy_model(tmp_path)
    bare, taught = toy_engine(folder, trained=False), toy_engine(folder, trained=True)
    assert np.abs(bare.hidden_states([(1, 2, 3)]) - taught.hidden_states([(1, 2, 3)])).max() > 1e-3


def test_a_sequence_longer_than_the_model_is_refused(tmp_path: Path) -> None:
    engine = toy_engine(save_toy_model(tmp_path), trained=False)
    with pytest.raises(EngineError, match="tokens"):
        engine.hidden_states([(1,) * (engine.max_length + 1)])
