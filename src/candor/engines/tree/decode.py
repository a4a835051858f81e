"""Sampling many completions of many prompts at once, with those that agree so far merged into one branch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.forward import Sampled


class Branches:
    """The state of a branching decode: which completions are alive, and which of them are still the same.

    K = P * G completions are numbered prompt by prompt. Each has its own random numbers, one for every token, and
    takes the token at which the cumulative distribution of its branch passes that number. So merging changes
    nothing about the distribution: two completions are the same for as long as their numbers pick the same tokens.

    Args:
        temperature: of sampling; 0 is greedy.
        stop_token_ids: tokens that end a completion.
        uniforms_P_G_T: float64 in [0, 1), one for each token; not looked at when greedy.

    Attributes:
        step: tokens that every living completion has.
        tokens: last token of each of the M living branches, ordered by prompt.
        parents: the branch, among those of the step before, that each continues.
        counts_P: living branches of each prompt.
    """

    def __init__(
        self,
        temperature: float,
        stop_token_ids: frozenset[int],
        uniforms_P_G_T: torch.Tensor,
    ) -> None:
        prompts, group_size, max_new_tokens = uniforms_P_G_T.shape
        completions = prompts * group_size
        self._group_size, self._temperature = group_size, temperature
        self._stop = np.asarray(sorted(stop_token_ids), dtype=np.int64)
        self._uniforms_K_T = uniforms_P_G_T.flatten(0, 1)
        self._tokens_K_T = np.zeros((completions, max_new_tokens), dtype=np.int64)
        self._logprobs_K_T = np.zeros((completions, max_new_tokens))
        self._raw_logprobs_K_T = np.zeros((completions, max_new_tokens))
        self._lengths_K = np.zeros(completions, dtype=np.int64)
        self._stopped_K = np.zeros(completions, dtype=np.bool_)
        self._alive = np.arange(completions)
        self._branch_of_alive = np.repeat(np.arange(prompts), group_size)
        self._prompt_of_branch = np.arange(prompts)
        self.step = 0
        self.tokens: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.parents: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self.counts_P: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def advance(self, logits_M_V: torch.Tensor) -> bool:
        """Draw the next token of every living completion. Returns whether any needs another forward pass.

        Args:
            logits_M_V: float32 logits after each living branch, in the order of ``tokens`` (at first, of prompts).
        """
        chosen, logprobs, raw_logprobs = self._draw(logits_M_V)
        alive, step = self._alive, self.step
        self._tokens_K_T[alive, step] = chosen
        self._logprobs_K_T[alive, step] = logprobs
        self._raw_logprobs_K_T[alive, step] = raw_logprobs
        self._lengths_K[alive] = step + 1
        stopped = np.isin(chosen, self._stop)
        self._stopped_K[alive[stopped]] = True
        self.step += 1
        if stopped.all() or self.step == self._tokens_K_T.shape[1]:
            return False
        self._branch(alive[~stopped], self._branch_of_alive[~stopped], chosen[~stopped])
        return True

    def _draw(self, logits_M_V: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Token, log-probability at the temperature and at 1, of each living completion."""
        device = logits_M_V.device
        branch = torch.from_numpy(self._branch_of_alive).to(device)
        scaled_M_V = logits_M_V if self._temperature in (0.0, 1.0) else logits_M_V / self._temperature
        normaliser_M = torch.logsumexp(scaled_M_V, dim=-1)
        if self._temperature == 0.0:
            chosen = logits_M_V.argmax(dim=-1)[branch]
        else:
            chosen = self._invert_cdf(torch.exp(scaled_M_V - normaliser_M[:, None]), branch)
        at_temperature = scaled_M_V[branch, chosen] - normaliser_M[branch]
        if scaled_M_V is logits_M_V:
            raw = at_temperature
        else:
            raw = logits_M_V[branch, chosen] - torch.logsumexp(logits_M_V, dim=-1)[branch]
        return chosen.cpu().numpy(), at_temperature.double().cpu().numpy(), raw.double().cpu().numpy()

    def _invert_cdf(self, probabilities_M_V: torch.Tensor, branch: torch.Tensor) -> torch.Tensor:
        """For each living completion the first token at which its branch's cumulative probability passes its number."""
        device = probabilities_M_V.device
        cumulative_M_V = probabilities_M_V.cumsum(dim=-1, dtype=torch.float64)
        # Living completions are ordered by branch, so a running count numbers them within their branch.
        starts = np.searchsorted(self._branch_of_alive, np.arange(len(cumulative_M_V)))
        place = torch.from_numpy(np.arange(len(self._alive)) - starts[self._branch_of_alive]).to(device)
        uniforms = cumulative_M_V.new_zeros(len(cumulative_M_V), int(place.max()) + 1)
        alive = torch.from_numpy(self._alive).to(self._uniforms_K_T.device)
        uniforms[branch, place] = self._uniforms_K_T[alive, self.step].to(uniforms)
        drawn = torch.searchsorted(cumulative_M_V, uniforms, right=True)[branch, place]
        # Rounding can leave the sum below the number; then the last token that can be drawn at all is taken.
        last_M = probabilities_M_V.shape[1] - 1 - (probabilities_M_V > 0).flip(-1).int().argmax(dim=-1)
        return torch.minimum(drawn, last_M[branch])

    def _branch(self, alive: NDArray[np.int64], branch_of_alive: NDArray[np.int64], chosen: NDArray[np.int64]) -> None:
        """Make a branch of each distinct pair of an old branch and a token."""
        # Order by branch first, so that branches stay ordered by prompt and completions by branch.
        pairs = np.stack([branch_of_alive, chosen], axis=1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        order = np.argsort(inverse, kind="stable")
        self._alive, self._branch_of_alive = alive[order], inverse[order]
        self.parents, self.tokens = unique[:, 0], np.ascontiguousarray(unique[:, 1])
        self._prompt_of_branch = self._prompt_of_branch[self.parents]
        self.counts_P = np.bincount(self._prompt_of_branch, minlength=len(self._lengths_K) // self._group_size)

    def completions(self) -> list[list[Sampled]]:
        """All completions, prompt by prompt."""
        sampled = [
            Sampled(
                tokens=tuple(self._tokens_K_T[k, :length].tolist()),
                logprobs=tuple(self._logprobs_K_T[k, :length].tolist()),
                raw_logprobs=tuple(self._raw_logprobs_K_T[k, :length].tolist()),
                stopped=bool(self._stopped_K[k]),
            )
            for k, length in enumerate(self._lengths_K.tolist())
        ]
        return [sampled[start : start + self._group_size] for start in range(0, len(sampled), self._group_size)]
