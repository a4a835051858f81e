"""The local engine: torch, transformers and PEFT on one machine."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines import parallel
from candor.engines.base import Batch, Objective, OptimiserStep, Sampling, Tokens, TokenScores
from candor.engines.checks import check_continuations, check_prompts, check_sampling
from candor.engines.forward import ForwardPath, TokenCounts
from candor.engines.local.checkpoint import load_checkpoint, save_adapter, save_checkpoint
from candor.engines.local.hidden import last_hidden_states
from candor.engines.local.plain import PlainPath
from candor.engines.local.warm_start import StartingWeights, continue_from
from candor.engines.microbatch import Footprint, room, split_by_size, tokens_that_fit
from candor.engines.pretrained import (
    add_adapter,
    choose_device,
    load_adapter,
    load_model,
    load_tokenizer,
    longest_sequence,
)
from candor.engines.probing import probed
from candor.engines.tree.path import PrefixTreePath, nodes_at_once, unsupported_reason
from candor.errors import EngineError, ModelError, NumericsError
from candor.means import Means
from candor.prompts.chat import stop_tokens
from candor.prompts.probe import Probe
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.types import Rollout

logger = logging.getLogger(__name__)


class LocalEngine:
    """Implements :class:`~candor.engines.base.Engine`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        config: EngineConfig | None = None,
        max_length: int | None = None,
        name: str = "",
        from_here: bool = False,
    ) -> None:
        """Take a causal language model, with an adapter on it if it is to be trained.

        Args:
            model: a causal language model or a ``PeftModel``.
            tokenizer: its tokenizer.
            config: path, micro-batches and AdamW's constants.
            max_length: longest sequence in tokens.
            name: the model's name, for the manifest.
            from_here: whether the reference is the model with its adapter as it is now, and not the bare model.

        Raises:
            ModelError: the model drops activations at random, so that rollouts and updates could not agree.
        """
        # Numbers too small to matter make the backward pass on CPUs some fifty times slower.
        torch.set_flush_denormal(True)
        self._config = config or EngineConfig()
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._name = name
        self._max_length = longest_sequence(model, tokenizer, max_length)
        self._step = 0
        self._path, self._micro_batch_tokens = self._choose_path()
        self._footprint, self._room = Footprint.of(model), room(model)
        self._kept: tuple[tuple[Tokens, ...], Any] | None = None
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._start = StartingWeights(self._parameters) if from_here else None
        self._optimiser = (
            torch.optim.AdamW(
                self._parameters,
                lr=0.0,
                betas=self._config.adam_betas,
                eps=self._config.adam_eps,
                weight_decay=self._config.weight_decay,
            )
            if self._parameters
            else None
        )
        _refuse_dropout(model)

    @classmethod
    def from_config(
        cls,
        model: ModelConfig,
        config: EngineConfig | None = None,
        *,
        seed: int = 0,
        adapter: Path | bool = True,
        warm_start: Path | None = None,
        name: str | None = None,
    ) -> LocalEngine:
        """Load a model as a recipe describes it.

        Args:
            model: which model, dtype, device, adapter.
            config: how it is run.
            seed: of a fresh adapter.
            adapter: a PEFT folder; ``True`` for a fresh one; ``False`` for the base alone.
            warm_start: a PEFT folder whose function a fresh adapter begins with; it is then the reference, too.
            name: what the manifest calls the model, if not as the recipe does.
        """
        device = parallel.local_device(choose_device(model.device))
        tokenizer = load_tokenizer(model.name, revision=model.revision)
        network = load_model(model, device)
        if isinstance(adapter, Path):
            network = load_adapter(network, adapter)
        elif adapter:
            network = add_adapter(network, model.lora, seed=seed)
            if warm_start is not None:
                continue_from(network, warm_start)
        return cls(
            network,
            tokenizer,
            config=config,
            max_length=model.max_length,
            name=name or model.name,
            from_here=warm_start is not None,
        )

    # ---------------------------------------------------------------------------------------------- what it is

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._tokenizer

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens."""
        return self._max_length

    @property
    def stop_token_ids(self) -> frozenset[int]:
        """The tokenizer's end token, that of its chat template, and all that the model's generation settings name."""
        settings = getattr(self._model, "generation_config", None)
        return stop_tokens(self._tokenizer, getattr(settings, "eos_token_id", None))

    def describe(self) -> dict[str, Any]:
        """Model, device, dtype, parameters and path, for the manifest."""
        parameters = list(self._model.parameters())
        device = next(iter(parameters)).device
        return {
            "model": self._name,
            "model_type": self._model.config.model_type,
            "parameters": sum(p.numel() for p in parameters if not p.requires_grad),
            "trained_parameters": sum(p.numel() for p in self._parameters),
            "dtype": str(next((p.dtype for p in parameters if not p.requires_grad), parameters[0].dtype)),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
            "path": "tree" if isinstance(self._path, PrefixTreePath) else "plain",
            "checkpointing": isinstance(self._path, PrefixTreePath) and self._path.checkpointing,
            "processes": parallel.world_size(),
            "max_length": self._max_length,
        }

    def _choose_path(self) -> tuple[ForwardPath, int]:
        """How the model runs, and the most tokens that an update holds until its end."""
        asked = self._config.micro_batch_tokens
        reason = "engine.path is plain" if self._config.path == "plain" else unsupported_reason(self._model)
        if reason is None:
            return self._tree(asked)
        if self._config.path == "tree":
            raise ModelError(f"engine.path: the model cannot run on the prefix tree: {reason}; take auto or plain")
        if self._config.checkpointing == "always":
            raise ModelError(f"engine.checkpointing: it is for the prefix tree alone, and {reason}; take auto or never")
        if self._config.path == "auto":
            logger.warning("the model runs plainly, which is slower than on the prefix tree: %s", reason)
        return PlainPath(self._model), asked or tokens_that_fit(self._model, tree=False)

    def _tree(self, asked: int | None) -> tuple[PrefixTreePath, int]:
        """Half of the memory is for the prompts' activations, half for those of the completions that run at once."""
        fit = max(1, tokens_that_fit(self._model, tree=True) // 2)
        few = asked is None and fit < nodes_at_once(self._model.device)
        checkpointing = self._config.checkpointing == "always" or (self._config.checkpointing == "auto" and few)
        if checkpointing:
            fit = max(1, tokens_that_fit(self._model, tree=True, checkpointing=True) // 2)
        held = asked or fit
        return PrefixTreePath(self._model, most_nodes=held, checkpointing=checkpointing), held

    # ------------------------------------------------------------------------------------------------ sampling

    def rollout(
        self,
        prompts: Sequence[Tokens],
        group_size: int,
        sampling: Sampling,
        probe: Probe,
    ) -> list[list[Rollout]]:
        """Sample and probe; under torchrun each process does its share and all get everything.

        What the prompts' forward pass computed serves an update on the same prompts, and is kept until then. Training
        samples and evaluation is greedy, so for greedy completions nothing is kept.
        """
        check_sampling(sampling, group_size)
        check_prompts(prompts, sampling.max_new_tokens, self._max_length)
        uniforms_P_G_T = _uniforms(sampling, len(prompts), group_size)
        share = parallel.share(len(prompts))
        new = sampling.max_new_tokens
        sizes = [self._footprint.decoding(len(prompt), group_size, new) for prompt in prompts]
        parts = split_by_size(sizes, share, self._room)
        self._kept = None
        rollouts: list[list[Rollout]] = []
        for part in parts:
            mine = tuple(prompts[part])
            # What the prefill computed serves the update too, where that takes the whole share at once. Of several
            # parts none can be kept, or the memory that the split saves would be needed after all.
            keep = len(parts) == 1 and sampling.temperature > 0 and self._updates_at_once(prompts, group_size, new)
            prefix = self._path.prefill(mine, grad=keep)
            if keep:
                self._kept = (mine, prefix)
            groups = self._path.sample(
                prefix,
                group_size,
                temperature=sampling.temperature,
                max_new_tokens=sampling.max_new_tokens,
                stop_token_ids=self.stop_token_ids,
                uniforms_P_G_T=uniforms_P_G_T[part],
            )
            rollouts.extend(probed(self._tokenizer, groups, probe, partial(self._raw_logprobs, prefix)))
        return parallel.gather(rollouts)

    def _updates_at_once(self, prompts: Sequence[Tokens], group_size: int, new_tokens: int) -> bool:
        """Whether an update on all of the share's prompts, with such completions behind each, is one part."""
        longest = self._path.count(prompts, [[(0,) * new_tokens] * group_size] * len(prompts))
        return self._optimiser is not None and len(self._parts(longest, parallel.share(len(prompts)))) == 1

    @torch.no_grad()
    def _raw_logprobs(
        self, prefix: Any, continuations: Sequence[Sequence[Tokens]]
    ) -> Sequence[Sequence[NDArray[np.float64]]]:
        scores = self._path.score(prefix, continuations, temperature=1.0)
        return list(scores.raw_logprobs_P_C_T.double().cpu().numpy())

    # ------------------------------------------------------------------------------------------------- scoring

    @torch.no_grad()
    def logprobs(
        self,
        prompts: Sequence[Tokens],
        continuations: Sequence[Sequence[Tokens]],
        *,
        temperature: float = 1.0,
        reference: bool = False,
    ) -> list[list[NDArray[np.float64]]]:
        """Score continuations without gradients."""
        check_continuations(prompts, continuations)
        check_prompts(prompts, 0, self._max_length)
        check_prompts(prompts, max(max(map(len, group)) for group in continuations), self._max_length)
        if reference and self._start is not None:
            self._kept = None  # it belongs to the weights that are now put aside
            with self._start.applied():
                self._path.refresh()
                scored = self._scored(prompts, continuations, temperature, reference=False)
            self._path.refresh()
            return scored
        return self._scored(prompts, continuations, temperature, reference=reference)

    def _scored(
        self,
        prompts: Sequence[Tokens],
        continuations: Sequence[Sequence[Tokens]],
        temperature: float,
        *,
        reference: bool,
    ) -> list[list[NDArray[np.float64]]]:
        scored: list[list[NDArray[np.float64]]] = []
        counts = self._path.count(prompts, continuations)
        sizes = [self._footprint.scoring(own) for own in counts.own_P]
        budget = self._room - self._footprint.scoring(counts.shared)
        for part in split_by_size(sizes, parallel.share(len(prompts)), budget):
            prefix = self._path.prefill(tuple(prompts[part]), grad=False, reference=reference)
            scores = self._path.score(prefix, continuations[part], temperature=temperature)
            values_P_C_T = scores.logprobs_P_C_T.double().cpu().numpy()
            for group, values_C_T in zip(continuations[part], values_P_C_T, strict=True):
                scored.append([values_C_T[c, : len(tokens)] for c, tokens in enumerate(group)])
        return parallel.gather(scored)

    def hidden_states(self, sequences: Sequence[Tokens]) -> NDArray[np.float64]:
        """Last hidden states behind whole sequences, shape S x hidden size."""
        check_prompts(sequences, 0, self._max_length)
        mine = sequences[parallel.share(len(sequences))]
        return np.array(parallel.gather(list(last_hidden_states(self._model, mine))))

    # ------------------------------------------------------------------------------------------------ training

    def update(self, batch: Batch, objective: Objective, optimiser: OptimiserStep) -> Means:
        """One AdamW step; micro-batches and processes add up to the same gradient."""
        if self._optimiser is None:
            raise EngineError("nothing to train: the model was loaded without an adapter")
        check_continuations(batch.prompts, batch.continuations)
        means = Means()
        losses: list[float] = []
        self._optimiser.zero_grad(set_to_none=True)
        share = parallel.share(len(batch.prompts))
        kept, self._kept = self._kept, None
        if kept is not None and kept[0] == tuple(batch.prompts[share]):
            parts = [share]
        else:
            kept, parts = None, self._parts(self._path.count(batch.prompts, batch.continuations), share)

        def loss(scores: TokenScores, within: slice) -> torch.Tensor:
            prompts = slice(part.start + within.start, part.start + within.stop)
            result = objective(scores, prompts)
            losses.append(float(result.loss.detach()))
            if not math.isfinite(losses[-1]):
                raise NumericsError(
                    f"the loss of prompts {prompts.start} to {prompts.stop - 1} of the batch is {losses[-1]}"
                )
            means.merge(result.means)
            return result.loss

        failure = None
        try:
            for part in parts:
                prefix = kept[1] if kept else self._path.prefill(tuple(batch.prompts[part]), grad=True)
                self._path.backward(prefix, batch.continuations[part], temperature=batch.temperature, loss=loss)
        except NumericsError as error:
            failure = str(error)
        # Every process learns of a failure in any, and none waits for one that has given up.
        failures = [message for message in parallel.gather([failure]) if message is not None]
        if failures:
            self._optimiser.zero_grad(set_to_none=True)
            raise NumericsError(failures[0])
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        parallel.sum_gradients(self._parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, optimiser.max_grad_norm))
        if not math.isfinite(norm):
            self._optimiser.zero_grad(set_to_none=True)
            raise NumericsError(f"the gradient's norm is {norm}")
        for group in self._optimiser.param_groups:
            group["lr"] = optimiser.learning_rate
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._path.refresh()
        self._step += 1
        together = Means()
        for other in parallel.gather([means]):
            together.merge(other)
        together.add("loss", sum(parallel.gather([sum(losses)])))
        together.add("grad_norm", norm)
        return together

    # --------------------------------------------------------------------------------------------------- state

    def save(self, path: Path) -> None:
        """Write adapter, optimiser, random state and step into the folder ``path``, whole or not at all."""
        if self._optimiser is None:
            raise EngineError("nothing to save: the model was loaded without an adapter")
        save_checkpoint(path, self._model, self._optimiser, self._step)

    def load(self, path: Path) -> None:
        """Restore what ``save`` wrote."""
        if self._optimiser is None:
            raise EngineError("nothing to restore into: the model was loaded without an adapter")
        self._step = load_checkpoint(path, self._model, self._optimiser, self._parameters[0].device)
        self._kept = None
        self._path.refresh()

    def save_adapter(self, path: Path) -> None:
        """Write the adapter alone, as a folder that ``PeftModel.from_pretrained`` reads."""
        save_adapter(path, self._model)

    # -------------------------------------------------------------------------------------------------- helpers

    def _parts(self, counts: TokenCounts, share: slice) -> list[slice]:
        """Contiguous parts of this process's share of the batch for backward passes."""
        return split_by_size(counts.held_P, share, self._micro_batch_tokens - counts.shared)


def _uniforms(sampling: Sampling, prompts: int, group_size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sampling.seed)
    return torch.rand(prompts, group_size, sampling.max_new_tokens, generator=generator, dtype=torch.float64)


def _refuse_dropout(model: Any) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and module.p > 0 and "lora" in name:
            raise ModelError(f"{name} drops activations at random; set lora_dropout to 0")
    config = model.config
    rate: Literal[0] | float = getattr(config, "attention_dropout", 0) or 0
    if rate:
        # The model stays in evaluation mode, where dropout does nothing; said because it was trained otherwise.
        logger.info("attention_dropout %s of the model's configuration has no effect here", rate)
