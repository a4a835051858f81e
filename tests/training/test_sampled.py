"""The sampled step: where its labels stand, and its objective."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from toy import byte_tokenizer

from candor.engines.answer_scores import K
from candor.engines.base import TokenScores
from candor.prompts.encoding import encode_continuation
from candor.prompts.probe import ProbeSite
from candor.training.sampled import LabelSite, SampledObjective, label_sites
from candor.training.sections import Sections


def test_labels_behind_reasoning_are_asked_for_there() -> None:
    tokenizer = byte_tokenizer()
    texts = ["LABEL=NA\nCONF=0.50", "Hm. LABEL=PASS\nCONF=0.90", "LABEL=FAIL", "Hm. LABEL=NA"]
    completions = [tuple(encode_continuation(tokenizer, text)) for text in texts]
    found = label_sites(tokenizer, completions)
    assert [tokenizer.decode(each.site.choices[2]) for each in found] == ["LABEL=NA", "Hm. LABEL=NA"]
    assert [each.site.start for each in found] == [len("LABEL="), len("Hm. LABEL=")]
    assert [each.share for each in found] == [0.5, 0.5]


LENGTHS = torch.tensor([[3, 1], [2, 2]])
P, G, T = 2, 2, 3


def _objective(**changed: Any) -> SampledObjective:
    rng = torch.Generator().manual_seed(0)
    sites_P: list[list[LabelSite]] = changed.get("sites_P", [[], []])
    values: dict[str, Any] = {
        "sections": Sections({"completions": [G] * P, "label_choices": [K * len(sites) for sites in sites_P]}),
        "rollout_logprobs_P_G_T": _mask() * -torch.rand(P, G, T, generator=rng, dtype=torch.float64),
        "reference_P_G_T": None,
        "advantages_P_G_T": torch.randn(P, G, T, generator=rng, dtype=torch.float64),
        "gold_P": torch.tensor([0, 2]),
        "sites_P": [[], []],
        "log_gold": 0.0,
        "kl": 0.0,
        **changed,
    }
    return SampledObjective(**values)


def _mask(extra: int = 0) -> torch.Tensor:
    mask = torch.arange(T) < LENGTHS[..., None]
    labels = (torch.arange(T) < 2).expand(P, extra, T)
    return torch.cat([mask, labels], 1)


def _scores(logprobs: torch.Tensor, raw: torch.Tensor | None = None, extra: int = 0) -> TokenScores:
    mask = _mask(extra)
    raw = logprobs if raw is None else raw
    return TokenScores(logprobs * mask, raw * mask, mask)


def test_the_gradient_is_that_of_reinforce() -> None:
    objective = _objective()
    logprobs = objective.rollout_logprobs_P_G_T.clone().requires_grad_()
    result = objective(_scores(logprobs), slice(0, P))
    mask = _mask()
    assert float(result.loss.detach()) == pytest.approx(float(-(objective.advantages_P_G_T * mask).sum() / (P * G)))
    result.loss.backward()
    assert torch.allclose(logprobs.grad, -objective.advantages_P_G_T * mask / (P * G))
    assert result.means.values()["sampler_gap"] == 0.0


def test_what_the_sampler_rounds_neither_weighs_nor_cuts_the_gradient() -> None:
    objective = _objective()
    exact = objective.rollout_logprobs_P_G_T.clone().requires_grad_()
    objective(_scores(exact), slice(0, P)).loss.backward()
    # In bfloat16 the log-probabilities of sampler and update differ by as much as this, with the same weights.
    noise = 0.5 * torch.randn(P, G, T, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rounded = _objective(rollout_logprobs_P_G_T=objective.rollout_logprobs_P_G_T + noise * _mask())
    logprobs = objective.rollout_logprobs_P_G_T.clone().requires_grad_()
    result = rounded(_scores(logprobs), slice(0, P))
    result.loss.backward()
    assert torch.equal(logprobs.grad, exact.grad)
    assert result.means.values()["sampler_gap"] == pytest.approx(float(noise[_mask()].abs().mean()))


def test_kl_is_the_k3_estimate_on_raw_logprobs() -> None:
    rng = torch.Generator().manual_seed(5)
    reference = -torch.rand(P, G, T, generator=rng, dtype=torch.float64) * _mask()
    raw = (-torch.rand(P, G, T, generator=rng, dtype=torch.float64)).requires_grad_()
    objective = _objective(reference_P_G_T=reference, kl=0.7, advantages_P_G_T=torch.zeros(P, G, T).double())
    result = objective(_scores(objective.rollout_logprobs_P_G_T, raw), slice(0, P))
    difference = (reference - raw.detach()) * _mask()
    expected = float((difference.exp() - 1 - difference).sum() / (P * G))
    assert result.means.values()["kl"] == pytest.approx(expected)
    assert float(result.loss) == pytest.approx(0.7 * expected)
    result.loss.backward()
    assert torch.allclose(raw.grad, 0.7 * (1 - difference.exp()) * _mask() / (P * G))
    unweighted = _objective(reference_P_G_T=reference)
    without = _objective()
    scores = _scores(objective.rollout_logprobs_P_G_T, raw.detach())
    assert float(unweighted(scores, slice(0, P)).loss) == float(without(scores, slice(0, P)).loss)


def test_log_gold_is_the_probe_normalised_over_the_labels() -> None:
    site = LabelSite(ProbeSite(((9, 0), (9, 1), (9, 2)), 1), 1.0)
    objective = _objective(log_gold=2.0, sites_P=[[site], [site]], advantages_P_G_T=torch.zeros(P, G, T).double())
    logprobs = torch.cat([objective.rollout_logprobs_P_G_T, torch.zeros(P, 3, T)], 1)
    raw = logprobs.clone()
    raw[:, G:, 0] = -5.0  # the shared anchor is no part of the probe
    raw[:, G:, 1] = torch.tensor([[0.5, 0.3, 0.1], [0.2, 0.2, 0.4]]).double().log()
    raw.requires_grad_()
    result = objective(_scores(logprobs, raw, extra=3), slice(0, P))
    expected = math.log(0.5 / 0.9) + math.log(0.4 / 0.8)
    assert float(result.loss) == pytest.approx(-2.0 * expected / P)
    result.loss.backward()
    normalised = torch.tensor([[5 / 9, 3 / 9, 1 / 9], [2 / 8, 2 / 8, 4 / 8]])
    gold = -2.0 / P * (torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]) - normalised)
    assert torch.allclose(raw.grad[:, G:, 1], gold.double())
    assert not raw.grad[:, G:, 0].any()


def test_log_gold_is_a_mean_over_the_places_where_labels_are_emitted() -> None:
    first, second = ProbeSite(((0,), (1,), (2,)), 0), ProbeSite(((9, 0), (9, 1), (9, 2)), 1)
    sites_P = [[LabelSite(first, 0.25), LabelSite(second, 0.75)], [LabelSite(second, 1.0)]]
    zeros = torch.zeros(P, G, T).double()
    objective = _objective(log_gold=2.0, sites_P=sites_P, advantages_P_G_T=zeros, rollout_logprobs_P_G_T=zeros)
    raw = torch.zeros(P, G + 6, T).double()
    raw[0, G : G + 3, 0] = torch.tensor([0.6, 0.2, 0.2]).log()
    raw[:, G:, 1] += torch.tensor([0.0, 0.0, 0.0, 0.5, 0.3, 0.2]).log().nan_to_num(neginf=0.0)
    raw[1, G : G + 3] = torch.tensor(
        [[-5.0, math.log(0.1), 0.0], [-5.0, math.log(0.2), 0.0], [-5.0, math.log(0.7), 0.0]]
    )
    raw[1, G + 3 :] = -3.0  # what comes behind the places of a prompt that has fewer
    raw[0, G + 3 :, 0] = -5.0
    raw.requires_grad_()
    result = objective(TokenScores(raw, raw, raw != 0), slice(0, P))
    expected = 0.25 * math.log(0.6) + 0.75 * math.log(0.5) + math.log(0.7)
    assert float(result.loss.detach()) == pytest.approx(-2.0 * expected / P)
    result.loss.backward()
    assert not raw.grad[1, G + 3 :].any()
    second_part = objective(TokenScores(*[raw[1:].detach()] * 2, raw[1:] != 0), slice(1, 2))
    assert float(second_part.loss) == pytest.approx(-2.0 * math.log(0.7) / P)


def test_parts_of_a_batch_add_up_even_where_they_are_shorter() -> None:
    reference = -torch.rand(P, G, T, generator=torch.Generator().manual_seed(5), dtype=torch.float64) * _mask()
    objective = _objective(reference_P_G_T=reference, kl=0.3)
    logprobs = objective.rollout_logprobs_P_G_T - 0.1
    whole = objective(_scores(logprobs), slice(0, P))
    second = _scores(logprobs)
    parts = [
        TokenScores(*(values[:1] for values in (second.logprobs_P_C_T, second.raw_logprobs_P_C_T, second.mask_P_C_T))),
        # An engine pads a part to its own longest continuation, here two tokens.
        TokenScores(
            *(values[1:, :, :2] for values in (second.logprobs_P_C_T, second.raw_logprobs_P_C_T, second.mask_P_C_T))
        ),
    ]
    results = [objective(part, slice(p, p + 1)) for p, part in enumerate(parts)]
    assert float(sum(r.loss for r in results)) == pytest.approx(float(whole.loss))
    results[0].means.merge(results[1].means)
    assert results[0].means.values() == pytest.approx(whole.means.values())
