"""What a model holds in mind behind a text: its last hidden state at the last token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import Tokens
from candor.engines.local.plain import ROWS_PER_FORWARD


@torch.no_grad()
def last_hidden_states(model: Any, sequences: Sequence[Tokens]) -> NDArray[np.float64]:
    """Hidden states that the head would read behind each sequence, shape S x hidden size.

    Args:
        model: a causal language model of transformers, with or without a PEFT adapter.
        sequences: S token sequences.
    """
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    states: list[NDArray[np.float64] | None] = [None] * len(sequences)
    for at in range(0, len(order), ROWS_PER_FORWARD):
        rows = order[at : at + ROWS_PER_FORWARD]
        width = max(len(sequences[row]) for row in rows)
        # Padding on the right: no token of a sequence can attend to it, so any token id will do.
        ids_S_T = torch.zeros(len(rows), width, dtype=torch.long)
        mask_S_T = torch.zeros(len(rows), width, dtype=torch.long)
        for place, row in enumerate(rows):
            ids_S_T[place, : len(sequences[row])] = torch.tensor(sequences[row])
            mask_S_T[place, : len(sequences[row])] = 1
        device = model.device
        out = whole.base_model(input_ids=ids_S_T.to(device), attention_mask=mask_S_T.to(device), use_cache=False)
        last_S_H = out.last_hidden_state[torch.arange(len(rows)), mask_S_T.sum(1).to(device) - 1]
        for row, state in zip(rows, last_S_H.double().cpu().numpy(), strict=True):
            states[row] = state
    return np.array(states)
