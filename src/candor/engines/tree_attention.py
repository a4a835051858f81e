"""Attention over a prefix tree, as one attention function for Hugging Face models.

A model is run on one flat row ``[1, N]`` of unique tokens, so that everything but attention sees each token once.
Inside attention the tokens are put into rows, one per prompt, and attend to the keys that their row has
already stored and to those of their own row that a mask shows them. The layout of a forward pass is handed to the
attention function through the model's keyword arguments (:data:`PASS_ARGUMENT`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch.nn import functional
from transformers import AttentionInterface

from candor.engines.tree_layout import Rows, Visibility
from candor.errors import EngineError

IMPLEMENTATION = "candor_tree"
"""Name under which the attention function is registered with transformers.

No mask function is registered under it, so transformers builds none and hands the function ``None``.
"""

PASS_ARGUMENT = "candor_pass"
"""Keyword argument of a model's forward that carries the :class:`TreePass`."""


class KeyValues(Protocol):
    """Keys and values of one forward pass, per layer."""

    def extend(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add a pass's own ``[B, Hk, R, d]`` and return all that its queries may attend to, ``[B, Hk, K, d]``."""
        ...


@dataclass
class StoredKeyValues:
    """Keys and values kept for later passes, differentiable where they were made so.

    Attributes:
        past: what the rows already have; one row there stands for all rows here (the header).
        keep: whether to store the result of ``extend`` for passes to come.
        layers: what was stored, by layer.
    """

    past: StoredKeyValues | None = None
    keep: bool = True
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def extend(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`KeyValues`."""
        if self.past is not None:
            past_keys, past_values = self.past.layers[layer]
            rows = keys.shape[0]
            keys = torch.cat([past_keys.expand(rows, -1, -1, -1), keys], dim=2)
            values = torch.cat([past_values.expand(rows, -1, -1, -1), values], dim=2)
        if self.keep:
            self.layers[layer] = (keys, values)
        return keys, values


@dataclass
class GrowingKeyValues:
    """Keys and values that grow with every decoding pass, written in place; not differentiable.

    Attributes:
        past: the prompts' keys and values.
        chunk: columns by which the buffers grow at least.
        length: columns in use.
    """

    past: StoredKeyValues
    chunk: int
    length: int = 0
    _buffers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def extend(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`KeyValues`. ``length`` moves on by :meth:`advance`, once all layers have been through."""
        end = self.length + keys.shape[2]
        buffers = self._buffers.get(layer)
        if buffers is None or buffers[0].shape[2] < end:
            old = self.past.layers[layer] if buffers is None else buffers
            capacity = max(end, old[0].shape[2] + self.chunk)
            grown = []
            for tensor in old:
                batch, heads, _, width = tensor.shape
                new = tensor.new_empty(batch, heads, capacity, width)
                new[:, :, : self.length] = tensor[:, :, : self.length]
                grown.append(new)
            buffers = self._buffers[layer] = (grown[0], grown[1])
        key_buffer, value_buffer = buffers
        key_buffer[:, :, self.length : end] = keys
        value_buffer[:, :, self.length : end] = values
        return key_buffer[:, :, :end], value_buffer[:, :, :end]

    def advance(self, columns: int) -> None:
        """Keep the columns that the pass just made wrote."""
        self.length += columns


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of similar length, which attend together.

    Attributes:
        rows: how the block's flat tokens fall into rows.
        visibility: which keys they see.
        key_values: keys and values of what came before.
        ends: which keys the last token of each row sees; given where nothing else of the last layer is needed.
    """

    rows: Rows
    visibility: Visibility
    key_values: KeyValues
    ends: Visibility | None = None


@dataclass(frozen=True, slots=True)
class TreePass:
    """Layout of one forward pass: the flat tokens are those of the blocks, one after the other.

    Attributes:
        blocks: at least one.
        last_layer: index of the model's last layer.
    """

    blocks: Sequence[Block]
    last_layer: int


@contextlib.contextmanager
def tree_attention_enabled(model: Any) -> Iterator[None]:
    """Switch a transformers model to tree attention, and back to what it had at the end of the block."""
    previous = model.config._attn_implementation
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(previous)


class _ToRows(torch.autograd.Function):
    """``[N, ...]`` flat to ``[B * R, ...]`` padded. Padding repeats token 0; nothing flows back from it."""

    @staticmethod
    def forward(ctx: Any, flat: torch.Tensor, rows: Rows) -> torch.Tensor:
        ctx.rows = rows
        if not flat.shape[0]:  # every completion of these prompts has ended before those of others
            return flat.new_zeros(rows.flat.numel(), *flat.shape[1:])
        return flat.index_select(0, rows.flat)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return grad.index_select(0, ctx.rows.slots), None


class _FromRows(torch.autograd.Function):
    """``[B * R, ...]`` padded to ``[N, ...]`` flat; padding gets a zero gradient."""

    @staticmethod
    def forward(ctx: Any, padded: torch.Tensor, rows: Rows) -> torch.Tensor:
        ctx.rows = rows
        return padded.index_select(0, rows.slots)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        padded = grad.new_zeros(ctx.rows.flat.numel(), *grad.shape[1:])
        return padded.index_copy_(0, ctx.rows.slots, grad), None


def _to_rows(flat: torch.Tensor, rows: Rows) -> torch.Tensor:
    """``[1, H, N, d]`` as models have it to ``[B, H, R, d]``."""
    count, width = rows.shape
    tokens = flat[0].transpose(0, 1)
    padded = tokens if rows.is_full() else cast(Any, _ToRows).apply(tokens, rows)
    return padded.reshape(count, width, *tokens.shape[1:]).transpose(1, 2)


def _from_rows(padded: torch.Tensor, rows: Rows) -> torch.Tensor:
    """``[B, H, R, d]`` to ``[1, N, H, d]`` as models expect it."""
    tokens = padded.transpose(1, 2).flatten(0, 1)
    flat = tokens if rows.is_full() else cast(Any, _FromRows).apply(tokens, rows)
    return flat[None]


def _with_sinks(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    sinks: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Add one key that everyone sees, whose value is 0 and whose score is the query head's sink.

    The score comes from one more feature: sink / scale in the queries, 1 in that key and 0 in all others. Features
    are padded to a multiple of 8, which fused kernels ask for.
    """
    extra = 8
    sink = (sinks.to(queries.dtype) / scale)[None, :, None, None].expand(*queries.shape[:3], 1)
    queries = functional.pad(torch.cat([queries, sink], dim=-1), (0, extra - 1))
    keys = functional.pad(keys, (0, extra, 0, 1))
    marker = torch.zeros(keys.shape[2:], dtype=keys.dtype, device=keys.device)
    marker[-1, -extra] = 1
    return queries, keys + marker, functional.pad(values, (0, extra, 0, 1)), functional.pad(mask, (0, 1))


def _attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
    scale: float,
    sinks: torch.Tensor | None,
    softcap: float | None,
) -> torch.Tensor:
    """Attention of ``[B, H, R, d]`` on ``[B, Hk, K, d]``; heads that share keys are stacked along the query axis."""
    batch, heads, count, width = queries.shape
    key_heads = keys.shape[1]
    if sinks is not None:
        queries, keys, values, mask = _with_sinks(queries, keys, values, mask, sinks, scale)
    queries = queries.reshape(batch, key_heads, heads // key_heads * count, queries.shape[-1])
    if softcap is None:
        out = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale)
    else:
        scores = torch.tanh(queries @ keys.transpose(2, 3) * (scale / softcap)) * softcap
        out = torch.softmax((scores + mask).float(), dim=-1).to(values.dtype) @ values
    return out[..., :width].reshape(batch, heads, count, width)


def tree_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    s_aux: torch.Tensor | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function: ``[1, H, N, d]`` queries of flat tokens to ``[1, N, H, d]`` outputs.

    Raises:
        EngineError: called without a layout, with a mask, or with dropout.
    """
    layout = kwargs.get(PASS_ARGUMENT)
    if not isinstance(layout, TreePass):
        raise EngineError(
            f"attention {IMPLEMENTATION!r} was called outside a prefix-tree pass; "
            "call model.set_attn_implementation('sdpa') before using the model on its own"
        )
    if attention_mask is not None or dropout != 0.0:
        raise EngineError("prefix-tree attention takes neither a mask nor dropout; set attention_dropout to 0")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    sizes = [block.rows.slots.numel() for block in layout.blocks]
    parts = zip(*(torch.split(tensor, sizes, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = []
    for block, (queries, keys, values) in zip(layout.blocks, parts, strict=True):
        rows = block.rows
        seen = block.key_values.extend(layer, _to_rows(keys, rows), _to_rows(values, rows))
        if layer == layout.last_layer and block.ends is not None:
            ends = rows.ends
            out = _attend(
                queries[0].index_select(1, ends).transpose(0, 1)[:, :, None],
                *seen,
                block.ends.mask(sliding_window),
                scale,
                s_aux,
                softcap,
            )
            nothing = out.new_zeros(queries.shape[2], *out.shape[1::2])
            outputs.append(nothing.index_copy(0, ends, out[:, :, 0])[None])
        else:
            out = _attend(_to_rows(queries, rows), *seen, block.visibility.mask(sliding_window), scale, s_aux, softcap)
            outputs.append(_from_rows(out, rows))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1), None


AttentionInterface.register(IMPLEMENTATION, tree_attention)
