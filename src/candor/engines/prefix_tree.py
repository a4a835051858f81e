"""Prompts, samples and scores on a prefix tree: every unique token runs once, forward and backward.

Structured verdicts share almost everything: one instruction header for the whole batch, one prompt per group, and
completions that differ in a few tokens. :class:`PrefixTreePath` runs the header once, each prompt's own tokens once,
and completions merged where they agree; attention (:mod:`candor.engines.tree_attention`) lets every token see its
ancestors and nothing else. The result is exact: same log-probabilities, same gradients as one sequence at a time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from candor.encoding import common_prefix_length
from candor.engines.base import Tokens, TokenScores
from candor.engines.forward import Sampled
from candor.engines.last_layer import only_for
from candor.engines.merged_lora import MergedLora
from candor.engines.output_head import OutputHead
from candor.engines.tree_attention import (
    PASS_ARGUMENT,
    Block,
    GrowingKeyValues,
    KeyValues,
    StoredKeyValues,
    TreePass,
    tree_attention_enabled,
)
from candor.engines.tree_decode import Branches
from candor.engines.tree_layout import ROOT, Rows, Trie, Visibility, split_rows
from candor.errors import EngineError, ModelError

PROVEN_MODEL_TYPES = frozenset(
    {"llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "phi3", "gpt_oss"}
)
"""Families for which tests show the same log-probabilities and gradients as plain forwards."""

_LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
"""Position encodings that change with the longest sequence of a batch, so that tokens cannot be shared exactly."""


def unsupported_reason(model: Any) -> str | None:
    """Why a model (PEFT or transformers) cannot run on the tree, or ``None`` if it can."""
    base = _base_model(model)
    config = base.config
    if config.model_type not in PROVEN_MODEL_TYPES:
        return f"model type {config.model_type!r} is not proven on it"
    rope = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in rope.values() if isinstance(value, dict)]
    kinds = {str(part.get("rope_type", "default")) for part in [rope, *nested]}
    if kinds & _LENGTH_DEPENDENT_ROPE:
        return f"position encoding {sorted(kinds & _LENGTH_DEPENDENT_ROPE)} depends on the sequence length"
    head = base.get_output_embeddings()
    if type(head) is not torch.nn.Linear or (head.weight.requires_grad and model is not base):
        return "its output layer is trained or is not a plain linear layer"
    if any(getattr(module, "gradient_checkpointing", False) for module in base.modules()):
        return "gradient checkpointing is on; prompts are split into micro-batches instead"
    return None


def supports(model: Any) -> bool:
    """Whether a model can run on the tree."""
    return unsupported_reason(model) is None


def _base_model(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass(frozen=True, slots=True)
class PrefixBlock:
    """Prompts of similar length that have been run once.

    Attributes:
        prompts: which of the prompts, counted by length.
        lengths_B: tokens of each, the shared header included.
        valid_B_K: true where ``key_values`` holds a token.
        key_values: per layer ``[B, Hk, K, d]``: header, then each prompt's own tokens, padded.
    """

    prompts: slice
    lengths_B: torch.Tensor
    valid_B_K: torch.Tensor
    key_values: StoredKeyValues


@dataclass(frozen=True, slots=True)
class TreePrefix:
    """P prompts that have been run once, ordered by length inside.

    Attributes:
        order_P: which prompt stands at each place.
        blocks: their keys and values.
        last_hidden_P_D: hidden state of each prompt's last token.
        version: of the weights it was made with.
        reference: whether the base model ran, without its adapter.
    """

    order_P: NDArray[np.int64]
    blocks: tuple[PrefixBlock, ...]
    last_hidden_P_D: torch.Tensor
    version: int
    reference: bool

    @property
    def lengths(self) -> torch.Tensor:
        """Tokens of each prompt, ordered by length."""
        return torch.cat([block.lengths_B for block in self.blocks])

    @property
    def places(self) -> NDArray[np.int64]:
        """At which place each prompt stands."""
        return np.argsort(self.order_P)


class PrefixTreePath:
    """A forward path (:class:`candor.engines.forward.ForwardPath`) on a prefix tree.

    Subnormal numbers are flushed to zero in the whole process: they make backward passes on a CPU tens of times
    slower and carry nothing.

    Args:
        model: a PEFT model with LoRA, or a transformers causal language model.

    Raises:
        ModelError: the model is not proven on the tree; see :func:`unsupported_reason`.
    """

    def __init__(self, model: Any) -> None:
        reason = unsupported_reason(model)
        if reason is not None:
            raise ModelError(f"this model cannot run on a prefix tree: {reason}; use the plain path")
        torch.set_flush_denormal(True)
        self._model = model
        self._base = _base_model(model)
        self._backbone = self._base.get_decoder()
        head = self._base.get_output_embeddings()
        config = self._base.config
        self._head = OutputHead(head.weight, head.bias, getattr(config, "final_logit_softcapping", None))
        self._last_layer = config.num_hidden_layers - 1
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._heads_width = config.num_attention_heads * head_dim
        self._heads_per_key = config.num_attention_heads // config.num_key_value_heads
        self._lora = MergedLora(model)
        self._version = 0
        self._kept_header: tuple[Tokens, bool, StoredKeyValues] | None = None

    @property
    def _device(self) -> torch.device:
        return self._head.weight.device

    def refresh(self) -> None:
        """Forget what was derived from the weights, because they have changed. Earlier prefixes become invalid."""
        self._lora.refresh()
        self._version += 1
        self._kept_header = None

    @contextlib.contextmanager
    def _enabled(self, *, reference: bool, grad: bool) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(grad))
            stack.enter_context(tree_attention_enabled(self._base))
            if not reference:
                stack.enter_context(self._lora.applied())
            elif self._model is not self._base:
                stack.enter_context(self._model.disable_adapter())
            yield

    def _run(self, tokens: Any, positions: torch.Tensor, blocks: Sequence[Block]) -> torch.Tensor:
        """Hidden states ``[N, D]`` of N flat tokens."""
        out = self._backbone(
            input_ids=torch.as_tensor(tokens, device=self._device)[None],
            position_ids=positions[None],
            use_cache=False,
            **{PASS_ARGUMENT: TreePass(blocks, self._last_layer)},
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def _visibility(
        self, visible: torch.Tensor, query_positions: torch.Tensor, key_positions: torch.Tensor
    ) -> Visibility:
        return Visibility(visible, query_positions, key_positions, self._heads_per_key, self._head.weight.dtype)

    def _run_ends(
        self, sequences: Sequence[Tokens], parts: Sequence[slice], start: int, past: StoredKeyValues | None
    ) -> tuple[torch.Tensor, list[Block], list[StoredKeyValues]]:
        """Run sequences that follow ``start`` common tokens, in blocks.

        Returns:
            Hidden state of each sequence's last token, and each block's layout, keys and values.
        """
        blocks, key_values, positions, needed, count = [], [], [], [], 0
        for part in parts:
            rows = Rows.of([len(sequence) for sequence in sequences[part]], self._device)
            width = rows.shape[1]
            keys = torch.arange(start + width, device=self._device)
            queries = keys[start:]
            last = start + torch.as_tensor(rows.lengths, device=self._device)[:, None] - 1
            stored = StoredKeyValues(past)
            # Padding follows a row's tokens, so causality alone hides it from them.
            visibility = self._visibility((queries[:, None] >= keys)[None], queries[None], keys[None])
            ends = self._visibility((last >= keys)[:, None], last, keys[None])
            blocks.append(Block(rows, visibility, stored, ends))
            key_values.append(stored)
            positions.append(start + rows.slots % width)
            needed.append(rows.ends + count)
            count += sum(rows.lengths)
        ends_P = torch.cat(needed)
        with only_for(self._backbone.layers[self._last_layer], ends_P):
            tokens = [token for sequence in sequences for token in sequence]
            hidden = self._run(tokens, torch.cat(positions), blocks)
        return hidden.index_select(0, ends_P), blocks, key_values

    def prefill(self, prompts: Sequence[Tokens], *, grad: bool, reference: bool = False) -> TreePrefix:
        """Run the prompts' common header once, then each prompt's own tokens.

        Args:
            prompts: P token sequences, none empty.
            grad: keep what a backward pass through the prompts needs.
            reference: run the base model, without its adapter.

        Raises:
            EngineError: there is no prompt, or one is empty.
        """
        if not prompts or not all(prompts):
            raise EngineError("a prefix needs at least one prompt, and every prompt at least one token")
        # Every prompt keeps a token of its own, whose hidden state predicts the first token of a completion.
        start = min(common_prefix_length(prompts), min(map(len, prompts)) - 1)
        order_P = np.argsort([len(prompt) for prompt in prompts], kind="stable")
        own = [prompts[place][start:] for place in order_P]
        parts = split_rows([len(sequence) for sequence in own], start, self._heads_width)
        with self._enabled(reference=reference, grad=grad):
            header = self._run_header(prompts[0][:start], reference=reference)
            last_hidden, blocks, key_values = self._run_ends(own, parts, start, header)
        prefix_blocks = [
            PrefixBlock(
                prompts=part,
                lengths_B=torch.as_tensor(block.rows.lengths, device=self._device) + start,
                valid_B_K=torch.cat(
                    [block.rows.valid.new_ones(len(block.rows.lengths), start), block.rows.valid], dim=1
                ),
                key_values=stored,
            )
            for part, block, stored in zip(parts, blocks, key_values, strict=True)
        ]
        return TreePrefix(order_P, tuple(prefix_blocks), last_hidden, self._version, reference)

    def _run_header(self, tokens: Tokens, *, reference: bool) -> StoredKeyValues | None:
        """Keys and values of a header; without gradients, those of the last one are used again."""
        if not tokens:
            return None
        if torch.is_grad_enabled():
            return self._run_ends([tokens], [slice(0, 1)], 0, None)[2][0]
        # The header always has a forward pass of its own, so what is kept equals what would be computed, bit for bit.
        if self._kept_header is None or self._kept_header[:2] != (tokens, reference):
            self._kept_header = (tokens, reference, self._run_ends([tokens], [slice(0, 1)], 0, None)[2][0])
        return self._kept_header[2]

    def _check(self, prefix: TreePrefix) -> None:
        if prefix.version != self._version:
            raise EngineError("the weights have changed since these prompts were run; run them again")

    def score(
        self, prefix: TreePrefix, continuations: Sequence[Sequence[Tokens]], *, temperature: float
    ) -> TokenScores:
        """Score each prompt's continuations, which may share tokens in any way.

        Args:
            prefix: P prompts, from :meth:`prefill` with the current weights.
            continuations: for each prompt any number of token sequences.
            temperature: above 0; logits are divided by it.

        Returns:
            Scores, differentiable if the prefix keeps gradients and gradients are enabled.

        Raises:
            EngineError: the numbers of prompts differ, the temperature is not positive or the weights have changed.
        """
        self._check(prefix)
        if len(continuations) != len(prefix.order_P):
            raise EngineError(f"{len(continuations)} lists of continuations for {len(prefix.order_P)} prompts")
        if temperature <= 0:
            raise EngineError(f"temperature {temperature} must be above 0 to score")
        tries_in_place = _build_tries(continuations)
        tries = [tries_in_place[prompt] for prompt in prefix.order_P]
        grad = torch.is_grad_enabled() and prefix.last_hidden_P_D.requires_grad
        with self._enabled(reference=prefix.reference, grad=grad):
            hidden = self._run_tries(prefix, tries)
            sources, tokens, paths, mask = _gather_edges(tries)
            at_temperature, raw = self._head.token_logprobs(
                hidden,
                torch.from_numpy(sources).to(self._device),
                torch.from_numpy(tokens).to(self._device),
                temperature,
            )
            index = torch.from_numpy(paths[prefix.places]).to(self._device)
            mask_P_C_T = torch.from_numpy(mask[prefix.places]).to(self._device)
            return TokenScores(
                _along_paths(at_temperature, index, mask_P_C_T), _along_paths(raw, index, mask_P_C_T), mask_P_C_T
            )

    def _run_tries(self, prefix: TreePrefix, tries: Sequence[Trie]) -> torch.Tensor:
        """Hidden states of all nodes of all tries, then of the prompts' last tokens: ``[N + P, D]``."""
        nodes = np.concatenate([trie.tokens for trie in tries])
        if not len(nodes):
            return prefix.last_hidden_P_D
        blocks, positions = [], []
        for block in prefix.blocks:
            members = tries[block.prompts]
            rows = Rows.of([len(trie.tokens) for trie in members], self._device, width=1)
            count, width = rows.shape
            ancestors = np.zeros((count, width, width), dtype=np.bool_)
            depths = np.zeros((count, width), dtype=np.int64)
            for row, trie in enumerate(members):
                size = len(trie.tokens)
                ancestors[row, :size, :size] = trie.ancestors
                depths[row, :size] = trie.depths
            queries = block.lengths_B[:, None] + torch.from_numpy(depths).to(self._device)
            blocks.append(self._following(block, rows, torch.from_numpy(ancestors), queries, queries))
            positions.append(queries.reshape(-1)[rows.slots])
        hidden = self._run(nodes, torch.cat(positions), blocks)
        return torch.cat([hidden, prefix.last_hidden_P_D])

    @torch.no_grad()
    def sample(
        self,
        prefix: TreePrefix,
        group_size: int,
        *,
        temperature: float,
        max_new_tokens: int,
        stop_token_ids: frozenset[int],
        uniforms_P_G_T: torch.Tensor,
    ) -> list[list[Sampled]]:
        """Draw completions; those that agree so far are run as one branch.

        Args:
            prefix: P prompts, from :meth:`prefill` with the current weights.
            group_size: completions per prompt, at least 1.
            temperature: logits are divided by it; 0 is greedy.
            max_new_tokens: longest completion, its stop token included; at least 1.
            stop_token_ids: tokens that end a completion.
            uniforms_P_G_T: float64 random numbers in [0, 1), one for each token that may be drawn.

        Raises:
            EngineError: a value is out of range or the weights have changed.
        """
        self._check(prefix)
        if group_size < 1 or max_new_tokens < 1 or temperature < 0:
            raise EngineError(
                f"cannot sample {group_size} completions of {max_new_tokens} tokens at temperature {temperature}"
            )
        shape = (len(prefix.order_P), group_size, max_new_tokens)
        if uniforms_P_G_T.shape != shape:
            raise EngineError(f"random numbers of shape {tuple(uniforms_P_G_T.shape)} where {shape} are needed")
        branches = Branches(temperature, stop_token_ids, uniforms_P_G_T[torch.from_numpy(prefix.order_P)])
        growing = [
            GrowingKeyValues(block.key_values, chunk=64, length=block.valid_B_K.shape[1]) for block in prefix.blocks
        ]
        positions_P_C = prefix.lengths[:, None][:, :0]
        with self._enabled(reference=prefix.reference, grad=False):
            logits = self._head.logits(prefix.last_hidden_P_D)
            while branches.advance(logits):
                queries_P_R = (prefix.lengths + branches.step - 1)[:, None].expand(-1, branches.width)
                positions_P_C = torch.cat([positions_P_C, queries_P_R], dim=1)
                columns = torch.from_numpy(branches.visible_columns())
                blocks, positions = [], []
                for block, key_values in zip(prefix.blocks, growing, strict=True):
                    part = block.prompts
                    rows = Rows.of(branches.counts_P[part], self._device, width=branches.width)
                    queries = queries_P_R[part]
                    blocks.append(self._following(block, rows, columns[part], queries, positions_P_C[part], key_values))
                    positions.append(queries.reshape(-1)[rows.slots])
                hidden = self._run(branches.tokens, torch.cat(positions), blocks)
                for key_values in growing:
                    key_values.advance(branches.width)
                logits = self._head.logits(hidden)
        completions = branches.completions()
        return [completions[place] for place in prefix.places]

    def _following(
        self,
        block: PrefixBlock,
        rows: Rows,
        own_B_R_C: torch.Tensor,
        queries_B_R: torch.Tensor,
        positions_B_C: torch.Tensor,
        key_values: KeyValues | None = None,
    ) -> Block:
        """Layout of tokens that follow a block's prompts.

        Args:
            block: the prompts.
            rows: the tokens.
            own_B_R_C: which of the C tokens behind the prompt each token sees.
            queries_B_R: position of each token.
            positions_B_C: position of each of the C tokens behind the prompt.
            key_values: where keys and values are kept; by default they are not.
        """
        width = rows.shape[1]
        visible = torch.cat([block.valid_B_K[:, None].expand(-1, width, -1), own_B_R_C.to(self._device)], dim=2)
        slots = torch.arange(block.valid_B_K.shape[1], device=self._device).expand(len(positions_B_C), -1)
        keys = torch.cat([slots, positions_B_C], dim=1)
        visibility = self._visibility(visible, queries_B_R, keys)
        return Block(rows, visibility, key_values or StoredKeyValues(block.key_values, keep=False))


def _build_tries(continuations: Sequence[Sequence[Tokens]]) -> list[Trie]:
    """One trie per prompt; prompts in a row with equal continuations (a grammar) share one."""
    tries: list[Trie] = []
    previous: Sequence[Tokens] | None = None
    for current in continuations:
        same = previous is not None and (current is previous or list(current) == list(previous))
        tries.append(tries[-1] if same else Trie.build(current))
        previous = current
    return tries


def _gather_edges(
    tries: Sequence[Trie],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Edges of all tries: source in ``_run_tries``' order, token; and the padded paths ``[P, C, T]`` with mask."""
    nodes = sum(len(trie.tokens) for trie in tries)
    shape = (len(tries), max(len(t.paths) for t in tries), max(t.paths.shape[1] for t in tries))
    paths, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
    sources, tokens, node_offset, edge_offset = [], [], 0, 0
    for row, trie in enumerate(tries):
        sources.append(np.where(trie.edge_sources == ROOT, nodes + row, trie.edge_sources + node_offset))
        tokens.append(trie.edge_tokens)
        count, width = trie.paths.shape
        paths[row, :count, :width] = np.where(trie.mask, trie.paths + edge_offset, 0)
        mask[row, :count, :width] = trie.mask
        node_offset += len(trie.tokens)
        edge_offset += len(trie.edge_tokens)
    return np.concatenate(sources), np.concatenate(tokens), paths, mask


def _along_paths(edges: torch.Tensor, paths: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values of edges ``[E]`` along paths ``[P, C, T]``, 0 where masked."""
    if not len(edges):
        return edges.new_zeros(paths.shape)
    return edges.index_select(0, paths.flatten()).view(paths.shape).masked_fill(~mask, 0.0)
