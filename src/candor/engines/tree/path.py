"""Prompts, samples and scores on a prefix tree: every unique token runs once, forward and backward.

Structured verdicts share almost everything: one instruction header for the whole batch, one prompt per group, and
completions that differ in a few tokens. :class:`PrefixTreePath` runs the header once, each prompt's own tokens once,
and completions merged where they agree; attention (:mod:`candor.engines.tree.attention`) lets every token see its
ancestors and nothing else. The result is exact: same log-probabilities, same gradients as one sequence at a time.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines.base import Tokens, TokenScores
from candor.engines.forward import Sampled, TokenCounts, backward_from, score_gradients
from candor.engines.microbatch import split_by_size
from candor.engines.tree.attention import PASS_ARGUMENT, Heads, KeyValue, TreePass, tree_attention_switch
from candor.engines.tree.checkpointing import checkpointed
from candor.engines.tree.decode import Branches
from candor.engines.tree.edges import along_paths, build_tries, gather_edges, joined
from candor.engines.tree.expert_lora import ExpertLora
from candor.engines.tree.last_layer import only_for
from candor.engines.tree.layout import Trie
from candor.engines.tree.lora import FastLora
from candor.engines.tree.output_head import OutputHead
from candor.engines.tree.prefix import DecodingLayout, TreePrefix, as_leaf, following_pass, prompt_pass
from candor.errors import EngineError, ModelError
from candor.prompts.encoding import common_prefix_length

PROVEN_MODEL_TYPES = frozenset(
    {"llama", "mistral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "phi3", "gpt_oss"}
)
"""Families for which tests show the same log-probabilities and gradients as plain forwards."""

_STATEFUL_LAYERS = frozenset({"linear_attention", "mamba", "conv", "recurrent"})  # a state has no place for branches
_LENGTH_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
"""Position encodings that change with the longest sequence of a batch, so that tokens cannot be shared exactly."""


def unsupported_reason(model: Any) -> str | None:
    """Why a model (PEFT or transformers) cannot run on the tree, or ``None`` if it can."""
    base = _base_model(model)
    config = base.config
    if states := _STATEFUL_LAYERS.intersection(getattr(config, "layer_types", None) or ()):
        return f"layers of {', '.join(sorted(states))} carry one state along a sequence, which branches cannot share"
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
        return "transformers' gradient checkpointing is on; engine.checkpointing has one for the tree"
    return None


def _base_model(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


NODES_PER_BACKWARD = {"cpu": 1024, "cuda": 16384}
"""Completion tokens whose activations are held at a time: enough for full products, few beside the prompts' own."""


def nodes_at_once(device: torch.device) -> int:
    """Completion tokens that a backward pass holds on such a device where memory allows."""
    return NODES_PER_BACKWARD.get(device.type, NODES_PER_BACKWARD["cpu"])


class PrefixTreePath:
    """A forward path (:class:`candor.engines.forward.ForwardPath`) on a prefix tree.

    Subnormal numbers are flushed to zero in the whole process: they make backward passes on a CPU tens of times
    slower and carry nothing.

    Args:
        model: a PEFT model with LoRA, or a transformers causal language model.
        most_nodes: completion tokens whose activations there is room for at a time; default: any number. A group
            of more is run in pieces; a single completion may exceed it.
        checkpointing: of a token each layer keeps its input alone, and runs again in the backward pass.

    Attributes:
        checkpointing: as given.

    Raises:
        ModelError: the model is not proven on the tree; see :func:`unsupported_reason`.
    """

    def __init__(self, model: Any, *, most_nodes: int | None = None, checkpointing: bool = False) -> None:
        reason = unsupported_reason(model)
        if reason is not None:
            raise ModelError(f"this model cannot run on a prefix tree: {reason}; use the plain path")
        torch.set_flush_denormal(True)
        self._model = model
        self._base = _base_model(model)
        self._tree_attention, self._backbone = tree_attention_switch(self._base), self._base.get_decoder()
        head = self._base.get_output_embeddings()
        config = self._base.config
        self._head = OutputHead(head.weight, head.bias, getattr(config, "final_logit_softcapping", None))
        self._last_layer = config.num_hidden_layers - 1
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._head_width = head_dim
        self._heads = Heads(
            config.num_attention_heads, config.num_key_value_heads, head.weight.dtype, head.weight.device
        )
        self._lora, self._expert_lora = FastLora(model), ExpertLora(model)
        self._version = 0
        self._most_nodes = most_nodes or sys.maxsize
        self._nodes_at_once = min(self._most_nodes, nodes_at_once(self._heads.device))
        # The last layer runs for some tokens only, which a second run outside its block would not know of.
        self._checkpointed = self._backbone.layers[:-1] if checkpointing else []
        self.checkpointing = checkpointing
        self._entered = False
        self._kept_header: tuple[Tokens, bool, list[KeyValue]] | None = None

    def refresh(self) -> None:
        """Forget what was derived from the weights, because they have changed. Earlier prefixes become invalid."""
        self._lora.refresh()
        self._version += 1
        self._kept_header = None

    @contextlib.contextmanager
    def _enabled(self, *, reference: bool, grad: bool) -> Iterator[None]:
        """Run the model as a tree. May be entered again inside, with the same weights."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(grad))
            if self._entered:
                yield
                return
            self._entered = True
            stack.callback(setattr, self, "_entered", False)
            stack.enter_context(checkpointed(self._checkpointed))
            stack.enter_context(self._tree_attention())
            if not reference:
                stack.enter_context(self._lora.applied())
                stack.enter_context(self._expert_lora.applied())
            elif self._model is not self._base:
                stack.enter_context(self._model.disable_adapter())
            yield

    def _run(self, tokens: Any, layout: TreePass, positions: NDArray[np.int64]) -> torch.Tensor:
        """Hidden states ``[N, D]`` of N flat tokens."""
        out = self._backbone(
            input_ids=torch.as_tensor(tokens, device=self._heads.device)[None],
            position_ids=torch.from_numpy(positions).to(self._heads.device)[None],
            use_cache=False,
            **{PASS_ARGUMENT: layout},
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def _run_ends(
        self, sequences: Sequence[Tokens], header: list[KeyValue], start: int
    ) -> tuple[torch.Tensor, TreePass]:
        """Run what follows ``start`` header tokens: hidden states of the sequences' ends, and the layout."""
        lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
        layout, positions = prompt_pass(lengths, header, start, self._heads, self._head_width, self._last_layer)
        ends = cast(torch.Tensor, layout.ends)
        with only_for(self._backbone.layers[self._last_layer], ends):
            hidden = self._run([token for sequence in sequences for token in sequence], layout, positions)
        return hidden.index_select(0, ends), layout

    def count(self, prompts: Sequence[Tokens], continuations: Sequence[Sequence[Tokens]]) -> TokenCounts:
        """The prompts' header, what each prompt has behind it, and every node of its continuations' trie."""
        start = _header_length(prompts)
        nodes_P = [len(trie.tokens) for trie in build_tries(continuations)]
        held_P = tuple(len(prompt) - start for prompt in prompts)
        return TokenCounts(start, tuple(map(sum, zip(held_P, nodes_P, strict=True))), held_P)

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
        start = _header_length(prompts)
        own = [prompt[start:] for prompt in prompts]
        with self._enabled(reference=reference, grad=grad):
            header = self._run_header(prompts[0][:start], reference=reference)
            last_hidden, layout = self._run_ends(own, header, start)
        lengths = np.array([len(sequence) for sequence in own], dtype=np.int64)
        return TreePrefix(header, start, layout.stored, lengths, last_hidden, self._version, reference)

    def _run_header(self, tokens: Tokens, *, reference: bool) -> list[KeyValue]:
        """Keys and values of a header; without gradients, those of the last one are used again."""
        if not tokens:
            return []
        if torch.is_grad_enabled():
            return self._run_ends([tokens], [], 0)[1].stored
        # The header always has a forward pass of its own, so what is kept equals what would be computed, bit for bit.
        if self._kept_header is None or self._kept_header[:2] != (tokens, reference):
            self._kept_header = (tokens, reference, self._run_ends([tokens], [], 0)[1].stored)
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
        return self._score_tries(prefix, self._tries(prefix, continuations, temperature), temperature)

    def backward(
        self,
        prefix: TreePrefix,
        continuations: Sequence[Sequence[Tokens]],
        *,
        temperature: float,
        loss: Callable[[TokenScores, slice], torch.Tensor],
    ) -> None:
        """Add the gradients of a loss of each prompt's continuations, some prompts at a time.

        Continuations are scored behind detached keys and values that collect their gradients; one pass through the
        prompts takes those back in the end. So the activations of few completions are held at once.

        Args:
            prefix: P prompts, from :meth:`prefill` with gradients; not usable afterwards.
            continuations: for each prompt any number of token sequences.
            temperature: above 0; logits are divided by it.
            loss: from the scores of some prompts, and which they are, to their share of the loss.

        Raises:
            EngineError: as :meth:`score`.
        """
        tries = self._tries(prefix, continuations, temperature)
        header = [(as_leaf(keys), as_leaf(values)) for keys, values in prefix.header]
        collected: list[list[torch.Tensor]] = []
        anything = False
        # Layers that run again in the backward pass have to find the model as it was in the forward pass.
        with self._enabled(reference=prefix.reference, grad=True):
            for part in split_by_size([len(trie.tokens) for trie in tries], slice(0, len(tries)), self._nodes_at_once):
                leaves = prefix.detached(part, header)
                if len(tries[part.start].tokens) > self._most_nodes:
                    anything |= self._backward_in_pieces(leaves, continuations[part.start], temperature, loss, part)
                else:
                    scores = self._score_tries(leaves, tries[part], temperature)
                    gradients = score_gradients(scores, loss, part)
                    anything |= backward_from((scores.logprobs_P_C_T, scores.raw_logprobs_P_C_T), gradients)
                    del scores, gradients
                collected.append([_gradient(tensor) for tensor in leaves.tensors()])
                del leaves
            if not anything:
                return  # nor is there a gradient for the prompts
            ends = [
                (tensor, _gradient(leaf))
                for pair, leaves_ in zip(prefix.header, header, strict=True)
                for tensor, leaf in zip(pair, leaves_, strict=True)
            ]
            ends += [(tensor, torch.cat(parts)) for tensor, *parts in zip(prefix.tensors(), *collected, strict=True)]
            ends = [(tensor, gradient) for tensor, gradient in ends if tensor.requires_grad]
            torch.autograd.backward([tensor for tensor, _ in ends], [gradient for _, gradient in ends])

    def _backward_in_pieces(
        self,
        leaves: TreePrefix,
        group: Sequence[Tokens],
        temperature: float,
        loss: Callable[[TokenScores, slice], torch.Tensor],
        part: slice,
    ) -> bool:
        """The gradients of a group that is too large for one pass; whether there are any.

        A loss may weigh every completion by all others, so all are scored first, without gradients. Then the
        completions are run again, some at a time, with what the loss had to say of each.
        """
        pieces = self._pieces(group)
        with torch.no_grad():
            scored = [self._score_tries(leaves, [Trie.build(piece)], temperature) for piece in pieces]
        gradients = score_gradients(joined(scored), loss, part)
        anything, first = False, 0
        for piece, scores in zip(pieces, scored, strict=True):
            rows = slice(first, first + len(piece))
            length = scores.mask_P_C_T.shape[-1]
            share = [None if each is None else each[:, rows, :length] for each in gradients]
            share = [each if each is not None and each.any() else None for each in share]
            first = rows.stop
            if any(each is not None for each in share):
                again = self._score_tries(leaves, [Trie.build(piece)], temperature)
                anything |= backward_from((again.logprobs_P_C_T, again.raw_logprobs_P_C_T), share)
        return anything

    def _pieces(self, group: Sequence[Tokens]) -> list[list[Tokens]]:
        """A group in order, in pieces that have no more nodes than there is room for, but for a single completion."""
        parts = split_by_size([len(tokens) - 1 for tokens in group], slice(0, len(group)), self._most_nodes)
        return [list(group[part]) for part in parts]

    def _tries(self, prefix: TreePrefix, continuations: Sequence[Sequence[Tokens]], temperature: float) -> list[Trie]:
        self._check(prefix)
        if len(continuations) != len(prefix.lengths_P):
            raise EngineError(f"{len(continuations)} lists of continuations for {len(prefix.lengths_P)} prompts")
        if temperature <= 0:
            raise EngineError(f"temperature {temperature} must be above 0 to score")
        return build_tries(continuations)

    def _score_tries(self, prefix: TreePrefix, tries: Sequence[Trie], temperature: float) -> TokenScores:
        grad = torch.is_grad_enabled() and prefix.last_hidden_P_D.requires_grad
        with self._enabled(reference=prefix.reference, grad=grad):
            hidden = self._run_tries(prefix, tries)
            sources, tokens, paths, mask = gather_edges(tries)
            at_temperature, raw = self._head.token_logprobs(
                hidden,
                torch.from_numpy(sources).to(hidden.device),
                torch.from_numpy(tokens).to(hidden.device),
                temperature,
            )
            index, mask_P_C_T = (torch.from_numpy(array).to(hidden.device) for array in (paths, mask))
            return TokenScores(
                along_paths(at_temperature, index, mask_P_C_T), along_paths(raw, index, mask_P_C_T), mask_P_C_T
            )

    def _run_tries(self, prefix: TreePrefix, tries: Sequence[Trie]) -> torch.Tensor:
        """Hidden states of all nodes of all tries, then of the prompts' last tokens: ``[N + P, D]``."""
        nodes = np.concatenate([trie.tokens for trie in tries])
        if not len(nodes):
            return prefix.last_hidden_P_D
        layout, positions = following_pass(prefix, tries, self._heads, self._head_width, self._last_layer)
        hidden = self._run(nodes, layout, positions)
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
        shape = (len(prefix.lengths_P), group_size, max_new_tokens)
        if uniforms_P_G_T.shape != shape:
            raise EngineError(f"random numbers of shape {tuple(uniforms_P_G_T.shape)} where {shape} are needed")
        branches = Branches(temperature, stop_token_ids, uniforms_P_G_T)
        with self._enabled(reference=prefix.reference, grad=False):
            decoding = DecodingLayout(prefix, self._heads, self._head_width, self._last_layer, max_new_tokens)
            logits = self._head.logits(prefix.last_hidden_P_D)
            while branches.advance(logits):
                layout, positions = decoding.next(branches.counts_P, branches.parents, branches.step - 1)
                logits = self._head.logits(self._run(branches.tokens, layout, positions))
        return branches.completions()


def _header_length(prompts: Sequence[Tokens]) -> int:
    """Tokens that all prompts begin with; each keeps a token of its own, which predicts a completion's first."""
    return min(common_prefix_length(prompts), min(map(len, prompts)) - 1)


def _gradient(leaf: torch.Tensor) -> torch.Tensor:
    """What a leaf has collected."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
