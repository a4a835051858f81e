"""Split credit by rewards at tokens: it is candor's own, and refuses what it cannot read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from toy import byte_tokenizer, toy_tokenizer

from candor.adapters.split_credit import NOTHING, WHOLE, SplitReward, split_advantages
from candor.adapters.verdict_reward import VerdictReward, reward_config
from candor.errors import DataError, RecipeError
from candor.prompts import templates
from candor.prompts.encoding import decode, encode_continuation
from candor.recipe.objective import objective_config
from candor.training.scoring import score_rollouts, token_advantages
from candor.types import LABELS, Rollout

TEMPLATE = templates.get("sandbox")
SAID = ["PASS 0.80", "PASS 0.10", "NA 0.00", "FAIL 0.30", "FAIL 0.3", "PASS", "I would say so", "PASS 0.80 or so"]
"""Label and confidence, or an answer out of form."""


def _tokens(tokenizer: Any, said: str) -> tuple[int, ...]:
    label, _, stated = said.partition(" ")
    if label not in {one.value for one in LABELS}:
        text = said
    elif not stated:
        text = TEMPLATE.answer.partition("{label}")[0] + label
    else:
        text = TEMPLATE.answer.format(label=label, confidence=stated)
    end = (tokenizer.eos_token_id,) if stated else ()
    return (*encode_continuation(tokenizer, text), *end)


def _padded(rows: list[list[float]], width: int) -> torch.Tensor:
    return torch.tensor([row + [0.0] * (width - len(row)) for row in rows])


@pytest.mark.parametrize("tokenizer", [toy_tokenizer(), byte_tokenizer(("PASS", "=0.", "NA")), byte_tokenizer()])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (2.0, 40.0)])
@pytest.mark.parametrize("divide", [False, True])
def test_it_is_the_split_credit_of_candors_own_training(
    tokenizer: Any, weights: tuple[float, float], divide: bool
) -> None:
    """Of one group whose wrong labels are all the same, so that the same label and the same worth are one.

    Without an answer that ends with its label, which candor's own counts among those that state the worst confidence.
    """
    said = [one for one in SAID if not one.startswith("NA") and one != "PASS"]
    tokens = [_tokens(tokenizer, one) for one in said]
    reward = SplitReward("rlcr", template="sandbox", label_weight=weights[0], confidence_weight=weights[1])
    rewards = [reward.of_tokens(tokenizer, row, "PASS", ["x"]) for row in tokens]
    width = max(map(len, tokens))
    mask = _padded([[1.0] * len(row) for row in tokens], width)
    made = split_advantages(_padded(rewards, width), mask, ["a"] * len(said), divide_by_std=divide)
    rollouts = [
        Rollout(row, decode(tokenizer, row), (0.0,) * len(row), (0.0,) * len(row), (0.0, 0.0, 0.0), True)
        for row in tokens
    ]
    scored = score_rollouts(
        [rollouts], np.array([0]), np.array([True]), template=TEMPLATE, reward=reward_config("rlcr"), step=0
    )
    objective = objective_config(
        {
            "preset": "candor",
            "kind": "sampled",
            "confidence": "sampled",
            "label_weight": weights[0],
            "confidence_weight": weights[1],
            "confidence_entropy": 0.0,
            "divide_by_std": divide,
        }
    )
    expected, _ = token_advantages(scored, [rollouts], objective, tokenizer)
    assert torch.allclose(made, expected[0].float(), atol=1e-5)
    assert made.abs().max() > 0.1


def test_the_sum_of_its_tokens_is_the_reward() -> None:
    tokenizer = toy_tokenizer()
    for said in SAID[:5]:
        tokens = _tokens(tokenizer, said)
        rewards = SplitReward("rlcr", template="sandbox").of_tokens(tokenizer, tokens, "NA", [])
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        expected = VerdictReward("rlcr", template="sandbox").score(text, "NA", [])["score"]
        assert sum(rewards) == pytest.approx(expected)
        assert np.count_nonzero(rewards) == 3


def test_a_part_that_earns_nothing_keeps_its_place() -> None:
    tokenizer = toy_tokenizer()
    tokens = _tokens(tokenizer, "NA 1.00")
    rewards = SplitReward("rlcr", template="sandbox").of_tokens(tokenizer, tokens, "NA", [])
    assert rewards[-1] == NOTHING
    assert rewards[0] == NOTHING
    assert sum(rewards) == pytest.approx(max(rewards))
    assert float(torch.tensor(NOTHING, dtype=torch.bfloat16)) > 0


def test_an_answer_that_ends_with_its_label_is_one_part() -> None:
    tokenizer = toy_tokenizer()
    tokens = _tokens(tokenizer, "PASS")
    rewards = SplitReward("rlcr", template="sandbox", confidence_weight=40.0).of_tokens(tokenizer, tokens, "PASS", [])
    parts = VerdictReward("rlcr", template="sandbox").parts(tokenizer.decode(tokens), "PASS", [])
    assert rewards == [WHOLE] + [0.0] * (len(tokens) - 2) + [pytest.approx(parts["label"] + parts["form"])]


def test_groups_do_not_see_one_another() -> None:
    rewards = torch.tensor([[NOTHING, 1.0, -0.5], [NOTHING, 0.0, 0.0], [NOTHING, 9.0, -0.1], [NOTHING, 1.0, -0.1]])
    rewards[1] = torch.tensor([WHOLE, 0.0, -0.2])  # one part alone: no label
    mask = torch.ones_like(rewards)
    groups = np.array(["a", "a", "b", "a"], dtype=object)
    alone = split_advantages(rewards, mask, groups, divide_by_std=False)
    assert alone[2].tolist() == [0.0, 0.0, 0.0]
    kept = split_advantages(rewards[[0, 1, 3]], mask[:3], ["a"] * 3, divide_by_std=False)
    assert torch.equal(alone[[0, 1, 3]], kept)
    assert alone[0, 2] == pytest.approx(-0.2)
    assert alone[3, 2] == pytest.approx(0.2)


def test_rows_that_fill_a_batch_up_are_no_answers() -> None:
    rewards = torch.tensor([[NOTHING, 2.0, -0.5], [WHOLE, 0.5, 0.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    made = split_advantages(rewards, mask, ["a", "a", "a"], divide_by_std=False)
    assert made.tolist() == [[0.75, 0.75, 0.0], [-0.75, -0.75, 0.0], [0.0, 0.0, 0.0]]


def test_rewards_that_something_was_added_to_are_refused() -> None:
    rewards = torch.tensor([[NOTHING, 2.0, -0.5, 0.0], [0.1, 0.2, 0.3, 0.4]])
    with pytest.raises(DataError, match=r"answer 1 earns at 4 tokens.*belongs into the loss"):
        split_advantages(rewards, torch.ones_like(rewards), ["a", "a"], divide_by_std=False)


@pytest.mark.parametrize("row", [[0.0, 0.0, 1.5], [0.0, 0.0, 0.0]])
def test_rewards_that_were_not_placed_are_refused(row: list[float]) -> None:
    """As a trainer's own environment or reward function gives them: credit would be whole, under another name."""
    with pytest.raises(DataError, match="answer 0 has its reward at one token, so there is nothing to split"):
        split_advantages(torch.tensor([row]), torch.ones(1, 3), ["a"], divide_by_std=False)
    assert split_advantages(torch.tensor([row]), torch.zeros(1, 3), ["a"], divide_by_std=False).tolist() == [[0.0] * 3]


def test_an_answer_of_one_token_has_no_place_for_a_mark() -> None:
    rewards, mask = torch.tensor([[2.0, 0.0], [WHOLE, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    made = split_advantages(rewards, mask, ["a", "a"], divide_by_std=False)
    assert made.tolist() == [[0.5, 0.0], [-0.5, -0.5]]


def test_weights_that_are_too_small_are_refused() -> None:
    with pytest.raises(RecipeError, match="confidence_weight is -1; it is at least 0"):
        SplitReward("candor", confidence_weight=-1)
    with pytest.raises(RecipeError, match=r"label_weight is 0; it is at least 0\.01"):
        SplitReward("candor", label_weight=0)
    with pytest.raises(RecipeError, match="label_weight is nan"):
        SplitReward("candor", label_weight=float("nan"))
    assert SplitReward("candor").of_tokens(toy_tokenizer(), [], "NA", []) == []
