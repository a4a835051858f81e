"""The plain path: every sequence on its own through the model's ordinary forward.

Slow, and right for any causal language model; what the prefix tree is measured against and falls back to. Without
gradients a prompt is run once and what stands behind it is forked for what follows, where that is known to give the
same: keys and values of attention, and the states of some families' linear attention.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from candor.engines.base import Tokens, TokenScores
from candor.engines.forward import Sampled, TokenCounts, backward_from, score_gradients
from candor.errors import ModelError

ROWS_PER_FORWARD: Final = 16
"""Continuations scored in one forward, to bound memory."""

FORKED_STATES: Final = frozenset({"qwen3_5_text", "qwen3_next"})
"""Families whose layers carry a state along a sequence, and for which tests show that it can be gone on from. Others
drop it where more than one token follows (Jamba, Bamba, MiniMax in transformers 5.23), without a word."""


@dataclass(frozen=True, slots=True)
class PlainPrefix:
    """Prompts; this path keeps nothing else of them."""

    prompts: tuple[Tokens, ...]
    grad: bool
    reference: bool


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind a prompt: the model's cache, and the logits of what comes next, of shape ``[1, 1, V]``."""

    cache: Any
    logits_1_1_V: torch.Tensor


class PlainPath:
    """Implements :class:`~candor.engines.forward.ForwardPath` with the model's own forward."""

    def __init__(self, model: Any) -> None:
        """Take a causal language model, with or without a PEFT adapter."""
        self._model = model
        self._forks: bool | None = None

    def count(self, prompts: Sequence[Tokens], continuations: Sequence[Sequence[Tokens]]) -> TokenCounts:
        """Every continuation, each behind its prompt."""
        pairs = zip(prompts, continuations, strict=True)
        every = tuple(len(prompt) * len(group) + sum(map(len, group)) for prompt, group in pairs)
        return TokenCounts(0, every, every)

    def prefill(self, prompts: Sequence[Tokens], *, grad: bool, reference: bool = False) -> PlainPrefix:
        """Note the prompts."""
        return PlainPrefix(tuple(prompts), grad, reference)

    def refresh(self) -> None:
        """Nothing is derived from the weights."""

    @torch.no_grad()
    def sample(
        self,
        prefix: PlainPrefix,
        group_size: int,
        *,
        temperature: float,
        max_new_tokens: int,
        stop_token_ids: frozenset[int],
        uniforms_P_G_T: torch.Tensor,
    ) -> list[list[Sampled]]:
        """Run each prompt once and decode its group together."""
        with self._weights(prefix):
            return [
                self._sample_group(prompt, group_size, temperature, max_new_tokens, stop_token_ids, uniforms_G_T)
                for prompt, uniforms_G_T in zip(prefix.prompts, uniforms_P_G_T, strict=True)
            ]

    def _sample_group(
        self,
        prompt: Tokens,
        group_size: int,
        temperature: float,
        max_new_tokens: int,
        stop_token_ids: frozenset[int],
        uniforms_G_T: torch.Tensor,
    ) -> list[Sampled]:
        device = self._model.device
        out = self._model(input_ids=torch.tensor([prompt], device=device), use_cache=True)
        if not self._can_fork(out):
            raise ModelError(
                f"a {self._model.config.model_type} cannot be sampled from here: its layers carry a state of which it "
                "is not known that it can be gone on from; let a server answer (candor predict --endpoint)"
            )
        cache = _forked(out.past_key_values, group_size, device)
        logits_G_V = out.logits[:, -1].float().expand(group_size, -1)
        live = [True] * group_size
        tokens: list[list[int]] = [[] for _ in live]
        logprobs: list[list[float]] = [[] for _ in live]
        raw_logprobs: list[list[float]] = [[] for _ in live]
        for position in range(max_new_tokens):
            raw_G_V = logits_G_V.log_softmax(-1)
            scaled_G_V = raw_G_V if temperature in (0.0, 1.0) else (logits_G_V / temperature).log_softmax(-1)
            if temperature == 0.0:
                next_G = logits_G_V.argmax(-1)
            else:
                next_G = inverse_cdf(scaled_G_V.exp(), uniforms_G_T[:, position])
            chosen = next_G[:, None]
            drawn = zip(
                next_G.tolist(),
                scaled_G_V.gather(1, chosen)[:, 0].tolist(),
                raw_G_V.gather(1, chosen)[:, 0].tolist(),
                strict=True,
            )
            for g, (token, logprob, raw_logprob) in enumerate(drawn):
                if live[g]:
                    tokens[g].append(token)
                    logprobs[g].append(logprob)
                    raw_logprobs[g].append(raw_logprob)
                    live[g] = token not in stop_token_ids
            if not any(live) or position + 1 == max_new_tokens:
                break
            out = self._model(input_ids=chosen, past_key_values=cache, use_cache=True)
            logits_G_V = out.logits[:, -1].float()
        return [
            Sampled(tuple(t), tuple(lp), tuple(raw), stopped=not alive)
            for t, lp, raw, alive in zip(tokens, logprobs, raw_logprobs, live, strict=True)
        ]

    def score(
        self, prefix: PlainPrefix, continuations: Sequence[Sequence[Tokens]], *, temperature: float
    ) -> TokenScores:
        """Run every continuation behind its prompt, right-padded, some rows at a time."""
        groups = self._score_groups(prefix, continuations, temperature)
        logprobs, raw_logprobs, mask = (torch.stack(parts) for parts in zip(*groups, strict=True))
        return TokenScores(logprobs, raw_logprobs, mask)

    def _score_groups(
        self, prefix: PlainPrefix, continuations: Sequence[Sequence[Tokens]], temperature: float
    ) -> list[list[torch.Tensor]]:
        """Log-probabilities, raw ones and mask of each prompt's continuations, padded alike."""
        count = max(len(group) for group in continuations)
        length = max(len(tokens) for group in continuations for tokens in group)
        groups = []
        with self._weights(prefix), torch.set_grad_enabled(prefix.grad and torch.is_grad_enabled()):
            for prompt, group in zip(prefix.prompts, continuations, strict=True):
                behind = None if torch.is_grad_enabled() else self._behind(prompt)
                rows = [
                    self._score_rows(prompt, behind, group[at : at + ROWS_PER_FORWARD], length, temperature)
                    for at in range(0, len(group), ROWS_PER_FORWARD)
                ]
                padded = [torch.cat(parts) for parts in zip(*rows, strict=True)]
                missing = (0, 0, 0, count - len(group))
                groups.append([torch.nn.functional.pad(part, missing) for part in padded])
        return groups

    def backward(
        self,
        prefix: PlainPrefix,
        continuations: Sequence[Sequence[Tokens]],
        *,
        temperature: float,
        loss: Callable[[TokenScores, slice], torch.Tensor],
    ) -> None:
        """Add the gradients of a loss."""
        groups = self._score_groups(prefix, continuations, temperature)
        scores = TokenScores(*(torch.stack(parts) for parts in zip(*groups, strict=True)))
        whole = slice(0, len(prefix.prompts))
        tensors: list[torch.Tensor] = []
        gradients: list[torch.Tensor | None] = []
        for kind, gradient in enumerate(score_gradients(scores, loss, whole)):
            tensors += [group[kind] for group in groups]
            gradients += [None] * len(groups) if gradient is None else [g if g.any() else None for g in gradient]
        backward_from(tensors, gradients)

    def _behind(self, prompt: Tokens) -> Behind | None:
        """What stands behind a prompt; ``None`` where that cannot be gone on from."""
        if self._forks is False:
            return None
        out = self._model(input_ids=torch.tensor([prompt], device=self._model.device), use_cache=True)
        return Behind(out.past_key_values, out.logits[:, -1:].clone()) if self._can_fork(out) else None

    def _can_fork(self, out: Any) -> bool:
        """Whether what a forward pass keeps can be gone on from with several rows and tokens."""
        if self._forks is None:
            layers = getattr(getattr(out, "past_key_values", None), "layers", None)
            states = [layer for layer in layers or () if hasattr(layer, "conv_states")]
            self._forks = bool(layers) and (not states or self._model.config.model_type in FORKED_STATES)
        return self._forks

    def _score_rows(
        self, prompt: Tokens, behind: Behind | None, rows: Sequence[Tokens], length: int, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        device = self._model.device
        width = max(map(len, rows))
        # Padding on the right: no token of a sequence can attend to it, so any token id will do.
        ids_C_T = torch.zeros(len(rows), width, dtype=torch.long)
        mask_C_T = torch.zeros(len(rows), length, dtype=torch.bool)
        for row, tokens in enumerate(rows):
            ids_C_T[row, : len(tokens)] = torch.tensor(tokens)
            mask_C_T[row, : len(tokens)] = True
        ids_C_T, mask_C_T = ids_C_T.to(device), mask_C_T.to(device)
        kept = mask_C_T[:, :width]
        if behind is not None:
            logits_C_T_V = self._logits_behind(behind, ids_C_T).float()
        else:
            prompt_C_T = torch.tensor(prompt, device=device).expand(len(rows), -1)
            sequence = torch.cat([prompt_C_T, ids_C_T], 1)
            present = torch.cat([torch.ones_like(prompt_C_T), kept.long()], 1)
            out = self._model(input_ids=sequence, attention_mask=present, use_cache=False)
            logits_C_T_V = out.logits[:, len(prompt) - 1 : -1].float()

        def chosen(temperature: float) -> torch.Tensor:
            scores = (logits_C_T_V / temperature).log_softmax(-1).gather(-1, ids_C_T[..., None])[..., 0]
            return torch.nn.functional.pad(scores.masked_fill(~kept, 0.0), (0, length - width))

        raw = chosen(1.0)
        return (raw if temperature == 1.0 else chosen(temperature)), raw, mask_C_T

    def _logits_behind(self, behind: Behind, ids_C_T: torch.Tensor) -> torch.Tensor:
        """Of every token of C continuations, shape ``[C, T, V]``."""
        first_C_1_V = behind.logits_1_1_V.expand(len(ids_C_T), -1, -1)
        if ids_C_T.shape[1] <= 1:
            return first_C_1_V[:, : ids_C_T.shape[1]]
        cache = _forked(copy.deepcopy(behind.cache), len(ids_C_T), ids_C_T.device)
        rest = self._model(input_ids=ids_C_T[:, :-1], past_key_values=cache, use_cache=True).logits
        return torch.cat([first_C_1_V, rest], 1)

    @contextlib.contextmanager
    def _weights(self, prefix: PlainPrefix) -> Iterator[None]:
        """The base model's weights for a reference prefix, the adapted ones otherwise."""
        if prefix.reference and hasattr(self._model, "disable_adapter"):
            with self._model.disable_adapter():
                yield
        else:
            yield


def _forked(cache: Any, count: int, device: torch.device) -> Any:
    """The cache of one row as that of ``count``: not every layer knows how to repeat, but all can be put in order."""
    cache.reorder_cache(torch.zeros(count, dtype=torch.long, device=device))
    return cache


def inverse_cdf(probs_G_V: torch.Tensor, uniforms_G: torch.Tensor) -> torch.Tensor:
    """First token id at which the cumulative probability exceeds the uniform number.

    Args:
        probs_G_V: rows of probabilities.
        uniforms_G: float64 in [0, 1).

    Returns:
        Token ids, shape G; the last id with a positive probability where rounding keeps the sum below the number.
    """
    cumulative_G_V = probs_G_V.double().cumsum(-1)
    drawn_G = torch.searchsorted(cumulative_G_V, uniforms_G.to(cumulative_G_V)[:, None].contiguous(), right=True)[:, 0]
    last_G = probs_G_V.shape[-1] - 1 - (probs_G_V > 0).flip(-1).int().argmax(-1)
    return torch.minimum(drawn_G, last_G)
