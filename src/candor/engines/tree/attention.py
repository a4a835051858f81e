"""Attention over a prefix tree, as one attention function for Hugging Face models.

A model is run on one flat row ``[1, N]`` of unique tokens, so that everything but attention sees each token once.
What a token attends to comes in levels: the header, its prompt, the completion tokens before it. On each level the
tokens are put into rows that attend to the keys of that level, and the levels are put together by their normalisers
(:mod:`candor.engines.tree.softmax`). So the header's keys are stored once and meet all tokens in one product, no key is
copied for the sake of another level, and the backward pass keeps queries, keys, values and outputs of the unique
tokens only. The layout of a forward pass is handed over through the model's keyword arguments (:data:`PASS_ARGUMENT`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from transformers import AttentionInterface

from candor.engines.tree.layout import Rows, Visibility
from candor.engines.tree.softmax import attend, attend_backward
from candor.errors import EngineError

IMPLEMENTATION = "candor_tree"
"""Name under which the attention function is registered with transformers.

No mask function is registered under it, so transformers builds none and hands the function ``None``.
"""

PASS_ARGUMENT = "candor_pass"
"""Keyword argument of a model's forward that carries the :class:`TreePass`."""

KeyValue: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of a layer: flat ``[N, Hk, d]``, or in rows ``[B, Hk, K, d]``."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Query heads, key heads, and the numbers that masks are made of.

    Attributes:
        queries: query heads; a multiple of ``keys``.
        keys: key heads.
        dtype: of the additive masks.
        device: where the model is.
    """

    queries: int
    keys: int
    dtype: torch.dtype
    device: torch.device


class Segment:
    """Some tokens in rows, and rows of keys that they attend to. Heads with common keys are stacked along the queries.

    Args:
        queries: which token stands where.
        keys: which key stands where; ``None`` where keys come in rows.
        visibility: who sees whom; padded keys must be hidden from all.
        heads: of the model.

    Attributes:
        rows: the queries.
    """

    def __init__(self, queries: Rows, keys: Rows | None, visibility: Visibility, heads: Heads) -> None:
        self.rows, self._visibility, self._heads = queries, visibility, heads
        self._queries = _with_heads(queries, heads.queries).to(heads.device)
        self.keys = None if keys is None else _with_heads(keys, heads.keys).to(heads.device)
        self._padding = None if queries.valid.all() else torch.from_numpy(~queries.valid).to(heads.device)
        self._masks: dict[int | None, torch.Tensor | None] = {}

    def take(self, flat: torch.Tensor) -> torch.Tensor:
        """``[N * H, ...]`` to ``[B, Hk, H / Hk * R, ...]``; padding repeats token 0."""
        count = self.rows.shape[0]
        return flat.index_select(0, self._queries).view(count, self._heads.keys, -1, *flat.shape[1:])

    def take_gradient(self, flat: torch.Tensor) -> torch.Tensor:
        """Like :meth:`take`, with zeros for padding."""
        taken = self.take(flat)
        if self._padding is not None:
            count, width = self.rows.shape
            taken.view(count, self._heads.queries, width, -1).masked_fill_(self._padding[:, None, :, None], 0.0)
        return taken

    def take_keys(self, flat: torch.Tensor) -> torch.Tensor:
        """``[N, Hk, d]`` to ``[B, Hk, K, d]``."""
        assert self.keys is not None
        return flat.reshape(-1, flat.shape[-1]).index_select(0, self.keys).view(*self.key_shape, flat.shape[-1])

    @property
    def key_shape(self) -> tuple[int, int, int]:
        """Rows, key heads, keys."""
        assert self.keys is not None
        count = self.rows.shape[0]
        return count, self._heads.keys, self.keys.numel() // (count * self._heads.keys)

    def mask(self, window: int | None) -> torch.Tensor | None:
        """Additive mask, broadcast to ``[B, Hk, H / Hk * R, K]``.

        Hidden keys get a large finite value: with -inf a row that is all padding would turn into NaN and poison the
        gradients of its neighbours.
        """
        if window not in self._masks:
            visible = self._visibility.within(window)
            if visible is None:
                self._masks[window] = None
            else:
                if visible.shape[1] > 1:
                    visible = np.tile(visible, (1, self._heads.queries // self._heads.keys, 1))
                hidden = max(-1e30, torch.finfo(self._heads.dtype).min / 2)
                mask = torch.zeros(visible.shape, dtype=self._heads.dtype).masked_fill_(
                    torch.from_numpy(~visible), hidden
                )
                self._masks[window] = mask[:, None].to(self._heads.device)
        return self._masks[window]


def _with_heads(rows: Rows, heads: int) -> torch.Tensor:
    """Index into ``[N * heads]`` for each slot of ``[B, heads, R]``, flattened."""
    return torch.from_numpy((rows.tokens[:, None, :] * heads + np.arange(heads)[None, :, None]).reshape(-1))


class Level:
    """One set of keys for every token: segments that hold each token once.

    Args:
        segments: rows of tokens and of keys.
        heads: of the model.
        source: keys and values by layer that earlier passes have left; ``None`` for those of the pass itself.
    """

    def __init__(self, segments: Sequence[Segment], heads: Heads, source: Sequence[KeyValue] | None = None) -> None:
        self.segments, self._source = segments, source
        count = sum(int(segment.rows.valid.sum()) for segment in segments)
        found, offset = np.zeros((count, heads.queries), dtype=np.int64), 0
        for segment in segments:
            batch, width = segment.rows.shape
            row, column = segment.rows.valid.nonzero()
            first = offset + row * heads.queries * width + column
            found[segment.rows.tokens[row, column]] = first[:, None] + width * np.arange(heads.queries)
            offset += batch * heads.queries * width
        self._found = torch.from_numpy(found.reshape(-1)).to(heads.device)

    def flat(self, layer: int, own: KeyValue) -> KeyValue:
        """Keys and values ``[N, Hk, d]`` of this level."""
        return own if self._source is None else self._source[layer]

    def rows(self, layer: int, own: KeyValue, window: int | None) -> list[tuple[KeyValue, torch.Tensor | None]]:
        """Each segment's keys, values and mask."""
        keys, values = self.flat(layer, own)
        return [((s.take_keys(keys), s.take_keys(values)), s.mask(window)) for s in self.segments]

    def give_back(self, rows: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the segments have made, ``[B, Hk, H / Hk * R, ...]`` each, to ``[N * H, ...]``."""
        flat = [part.reshape(-1, *part.shape[3:]) for part in rows]
        return (flat[0] if len(flat) == 1 else torch.cat(flat)).index_select(0, self._found)


class RowLevel(Level):
    """A level whose keys and values stand in rows already: prompts that are decoded from, one segment each."""

    def __init__(self, segments: Sequence[Segment], heads: Heads, stored: Sequence[Sequence[KeyValue]]) -> None:
        """Take, for each layer, each segment's keys and values."""
        super().__init__(segments, heads)
        self._stored = stored

    def rows(self, layer: int, own: KeyValue, window: int | None) -> list[tuple[KeyValue, torch.Tensor | None]]:
        """See :class:`Level`."""
        pairs = zip(self._stored[layer], self.segments, strict=True)
        return [(key_values, segment.mask(window)) for key_values, segment in pairs]


class BranchLevel(Level):
    """What branches have decoded so far: keys and values of each in a row of its own, so that nothing is hidden."""

    def __init__(self, heads: Heads, chunk: int) -> None:
        """Start with nothing; buffers grow by ``chunk`` tokens."""
        self._heads, self._chunk, self._length = heads, chunk, 0
        self._buffers: dict[int, KeyValue] = {}
        self._parents: torch.Tensor | None = None

    def advance(self, parents: np.ndarray[Any, Any]) -> None:
        """Begin a pass over one token of each branch, which continues the branch ``parents[m]`` of the pass before."""
        if self._length:
            rows = next(iter(self._buffers.values()))[0].shape[0]
            same = len(parents) == rows and bool((parents == np.arange(rows)).all())
            self._parents = None if same else torch.from_numpy(parents).to(self._heads.device)
        alone = Rows.of(np.arange(len(parents)), np.ones(len(parents), dtype=np.int64))
        none = np.zeros((len(parents), 1), dtype=np.int64)
        super().__init__([Segment(alone, None, Visibility(None, none, none), self._heads)], self._heads)
        self._length += 1

    def rows(self, layer: int, own: KeyValue, window: int | None) -> list[tuple[KeyValue, torch.Tensor | None]]:
        """Add the pass's own keys and values, and return all that the window holds."""
        length = self._length
        buffers = self._buffers.get(layer)
        full = buffers is None or buffers[0].shape[2] < length
        if full or self._parents is not None:
            grown = []
            for place, tensor in enumerate(own):
                capacity = length - 1 + self._chunk if full or buffers is None else buffers[0].shape[2]
                new = tensor.new_empty(tensor.shape[0], tensor.shape[1], capacity, tensor.shape[2])
                if buffers is not None:
                    old = buffers[place][:, :, : length - 1]
                    new[:, :, : length - 1] = old if self._parents is None else old.index_select(0, self._parents)
                grown.append(new)
            buffers = self._buffers[layer] = (grown[0], grown[1])
        assert buffers is not None
        for buffer, tensor in zip(buffers, own, strict=True):
            buffer[:, :, length - 1] = tensor
        first = 0 if window is None else max(0, length - window)
        return [((buffers[0][:, :, first:length], buffers[1][:, :, first:length]), None)]


@dataclass(frozen=True, slots=True)
class TreePass:
    """Layout of one forward pass over flat tokens.

    Attributes:
        levels: what the tokens attend to.
        last_layer: index of the model's last layer.
        ends: ``[n]``, tokens that alone are needed of the last layer; ``None`` for all.
        end_levels: what those attend to there.
        stored: where keys and values of the tokens are left for later passes, by layer.
    """

    levels: Sequence[Level]
    last_layer: int
    ends: torch.Tensor | None = None
    end_levels: Sequence[Level] = ()
    stored: list[KeyValue] = field(default_factory=list)


def tree_attention_switch(model: Any) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context that switches a transformers model to tree attention, and back to what it had at the end of the block.

    Where the model looks its attention up is found once: ``model.set_attn_implementation`` goes through all modules
    for that, each time, which takes longer than a small model's forward pass.
    """
    configs = list({id(each.config): each.config for each in model.modules() if hasattr(each, "config")}.values())

    @contextlib.contextmanager
    def enabled() -> Iterator[None]:
        previous = [config._attn_implementation for config in configs]
        try:
            for config in configs:
                config._attn_implementation = IMPLEMENTATION
            yield
        finally:
            for config, implementation in zip(configs, previous, strict=True):
                config._attn_implementation = implementation

    return enabled


@dataclass(frozen=True, slots=True)
class _Call:
    """What one layer's attention is, besides its tensors. ``sinks`` are scores ``[H]`` of keys that hold nothing."""

    levels: Sequence[Level]
    layer: int
    scale: float
    window: int | None
    softcap: float | None
    sinks: torch.Tensor | None


def _attend_levels(call: _Call, queries: torch.Tensor, own: KeyValue) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs ``[N * H, d]`` and normalisers ``[N * H]`` of queries ``[N * H, d]`` over all levels."""
    outs, normalisers = [], []
    for level in call.levels:
        parts = [
            attend(segment.take(queries), *key_values, mask, call.scale, call.softcap)
            for segment, (key_values, mask) in zip(
                level.segments, level.rows(call.layer, own, call.window), strict=True
            )
        ]
        outs.append(level.give_back([out for out, _ in parts]))
        normalisers.append(level.give_back([normaliser for _, normaliser in parts]))
    if len(outs) == 1 and call.sinks is None:
        return outs[0], normalisers[0]
    stacked = list(normalisers)
    if call.sinks is not None:
        stacked.append(call.sinks.float().repeat(len(queries) // len(call.sinks)))
    normaliser = torch.logsumexp(torch.stack(stacked), dim=0)
    total = outs[0] * torch.exp(normalisers[0] - normaliser)[:, None]
    for out, part in zip(outs[1:], normalisers[1:], strict=True):
        total.addcmul_(out, torch.exp(part - normaliser)[:, None].to(total.dtype))
    return total.to(queries.dtype), normaliser


class _TreeAttention(torch.autograd.Function):
    """Attention over levels; takes queries ``[N * H, d]``, the pass's own keys and values, then those of each level."""

    @staticmethod
    def forward(ctx: Any, call: _Call, queries: torch.Tensor, *key_values: torch.Tensor) -> torch.Tensor:
        out, normaliser = _attend_levels(call, queries, (key_values[0], key_values[1]))
        ctx.call = call
        ctx.save_for_backward(queries, out, normaliser, *key_values)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        call: _Call = ctx.call
        queries, out, normaliser, *key_values = ctx.saved_tensors
        grad_queries: torch.Tensor | None = None
        gradients: list[torch.Tensor | None] = [None] * len(key_values)
        for number, level in enumerate(call.levels):
            place = 2 * number + 2
            parts = []
            for segment in level.segments:
                keys, values = (segment.take_keys(tensor) for tensor in key_values[place : place + 2])
                parts.append(
                    attend_backward(
                        segment.take_gradient(grad),
                        segment.take(queries),
                        keys,
                        values,
                        segment.mask(call.window),
                        segment.take(out),
                        segment.take(normaliser),
                        call.scale,
                        call.softcap,
                    )
                )
            share = level.give_back([part[0] for part in parts])
            grad_queries = share if grad_queries is None else grad_queries.add_(share)
            for which in (0, 1):
                flat = torch.zeros_like(key_values[place + which], memory_format=torch.contiguous_format)
                for segment, part in zip(level.segments, parts, strict=True):
                    rows = part[1 + which].reshape(-1, flat.shape[-1])
                    flat.view(-1, flat.shape[-1]).index_add_(0, cast(torch.Tensor, segment.keys), rows)
                gradients[place + which] = flat
        return None, grad_queries, *gradients


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
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    own = (key[0].transpose(0, 1), value[0].transpose(0, 1))
    if len(layout.stored) == layer:
        layout.stored.append(own)
    queries = query[0].transpose(0, 1)
    count, heads, width = queries.shape
    last = layer == layout.last_layer and layout.ends is not None
    if last:
        queries = queries.index_select(0, cast(torch.Tensor, layout.ends))
    call = _Call(
        levels=layout.end_levels if last else layout.levels,
        layer=layer,
        scale=width**-0.5 if scaling is None else scaling,
        window=sliding_window,
        softcap=softcap,
        sinks=s_aux,
    )
    flat = queries.reshape(-1, width)
    if torch.is_grad_enabled():
        key_values = [tensor for level in call.levels for tensor in level.flat(layer, own)]
        out = cast(Any, _TreeAttention).apply(call, flat, *own, *key_values)
    else:
        out, _ = _attend_levels(call, flat, own)
    out = out.view(-1, heads, width)
    if last:
        out = out.new_zeros(count, heads, width).index_copy(0, cast(torch.Tensor, layout.ends), out)
    return out[None], None


AttentionInterface.register(IMPLEMENTATION, tree_attention)
