"""Every completion is probed at its own label, and every place is scored once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from toy import toy_tokenizer

from candor.engines.base import Tokens
from candor.engines.forward import Sampled
from candor.engines.probing import probed
from candor.prompts.encoding import encode_continuation
from candor.prompts.probe import LABEL_PROBE

TOKENIZER = toy_tokenizer()


def _sampled(text: str, *, stopped: bool = True) -> Sampled:
    tokens = (*encode_continuation(TOKENIZER, text), *([TOKENIZER.eos_token_id] if stopped else []))
    logprobs = tuple(-0.1 * (at + 1) for at in range(len(tokens)))
    return Sampled(tokens, logprobs, tuple(2 * value for value in logprobs), stopped)


@pytest.mark.parametrize("padding", [0, 5])
def test_probes_are_read_behind_each_completions_own_words(padding: int) -> None:
    groups = [
        [_sampled("LABEL=NA\nCONF=0.30"), _sampled("LABEL=PASS\nCONF=0.9"), _sampled("so LABEL=NA")],
        [_sampled("no label at all", stopped=False)],
    ]
    asked: list[list[list[Tokens]]] = []

    def score(choices: list[list[Tokens]]) -> Sequence[Sequence[NDArray[np.float64]]]:
        """The log-probability of a token is minus its id."""
        asked.append(choices)
        most = max(map(len, choices)) if padding else 0
        rows = [[np.concatenate([-np.array(c, dtype=float), np.zeros(padding)]) for c in group] for group in choices]
        return [group + [np.zeros(1)] * max(0, most - len(group)) for group in rows]

    found = probed(TOKENIZER, groups, LABEL_PROBE, score)
    (scored,) = asked
    assert [len(choices) for choices in scored] == [6, 3], "two places with three labels each, and one"
    labels = [encode_continuation(TOKENIZER, label) for label in LABEL_PROBE.choices]
    for group, rollouts in zip(groups, found, strict=True):
        for sampled, rollout in zip(group, rollouts, strict=True):
            assert rollout.probe_logprobs == tuple(-float(sum(label)) for label in labels)
            assert (rollout.tokens, rollout.logprobs) == (sampled.tokens, sampled.logprobs)
            assert (rollout.raw_logprobs, rollout.stopped) == (sampled.raw_logprobs, sampled.stopped)
    assert [rollout.text for rollout in found[0]] == ["LABEL=NA\nCONF=0.30", "LABEL=PASS\nCONF=0.9", "so LABEL=NA"]
