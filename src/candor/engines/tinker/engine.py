"""The Tinker engine: base model, adapter and optimiser live on a service that speaks the public Tinker API.

That is the hosted service, or a SkyRL server on one's own machine or cluster. Where it departs from the contract in
:mod:`candor.engines.base`, because a service gives no more:

* Log-probabilities come at temperature 1 only. Rollouts are drawn at temperature 1 or greedily, and updates are at
  temperature 1; anything else is refused.
* ``max_grad_norm`` is handed on; SkyRL does not look at it. ``grad_norm`` is in the means where a
  service says it.
* A service scales adapters as it likes (SkyRL: alpha 32) and draws a fresh one in its own way.
* ``save`` writes where the service keeps the state, not the state itself.
* A service may compute in bfloat16, and sample with other kernels than it trains with: the figure
  ``sampler_mismatch`` is the mean difference between both log-probabilities of the same tokens.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from candor.engines import parallel
from candor.engines.base import Batch, Objective, OptimiserStep, Sampling, Tokens, TokenScores
from candor.engines.checks import check_continuations, check_prompts, check_sampling
from candor.engines.forward import Sampled
from candor.engines.pretrained import longest_sequence
from candor.engines.probing import probed
from candor.engines.ragged import lengths_mask, padded
from candor.engines.tinker import sdk
from candor.engines.tinker.drawn import draw, tree_of
from candor.engines.tinker.losses import Reduction, Scored, datum, training_data
from candor.engines.tinker.model import ModelCard, api_key, model_card
from candor.engines.tinker.service import Connection, Service, Step
from candor.engines.tinker.told import NOT_TOLD, Read, read_of, told_by_few
from candor.errors import EngineError, ModelError, NumericsError
from candor.files import atomic_folder, read_json, write_json
from candor.means import Means
from candor.prompts.encoding import encode_continuation
from candor.prompts.probe import Probe
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.seeding import derive_seed
from candor.types import Rollout

STATE_FILE: Final = "service.json"
"""Where on the service the state of a checkpoint or adapter is."""

SEEDS: Final = 2**31 - 2**13
"""Seeds on services have 31 bits, and each completion of a group adds 1 to its prompt's."""


class TinkerEngine:
    """Implements :class:`~candor.engines.base.Engine`, but for what the module's docstring says."""

    def __init__(
        self, service: Service, card: ModelCard, *, config: EngineConfig, trained: bool, name: str, seed: int = 0
    ) -> None:
        """Take a service and what is known of its model.

        Args:
            service: the base model and an adapter.
            card: tokenizer, sizes and configuration of the base model.
            config: AdamW's constants, and what is read and trained of many continuations.
            trained: whether there is an adapter at all.
            name: the model's name, for the manifest.
            seed: of what is drawn here.
        """
        self._service, self._card, self._config = service, card, config
        self._trained, self._name, self._seed = trained, name, seed
        self._step = 0
        self._sampled: dict[tuple[Tokens, Tokens], NDArray[np.float64]] = {}
        self._finalizer = weakref.finalize(self, service.close)

    @classmethod
    def from_config(
        cls,
        model: ModelConfig,
        config: EngineConfig,
        *,
        seed: int = 0,
        adapter: Path | bool = True,
        name: str | None = None,
    ) -> TinkerEngine:
        """Connect to the service of a recipe; arguments as of the local engine's.

        Raises:
            ModelError: no SDK, no key, nobody there, or an adapter that a service cannot make.
        """
        sdk.sdk_version()
        if parallel.world_size() > 1:
            raise ModelError("engine.kind=tinker needs no torchrun: the service does the work; run it as one process")
        if config.base_url is not None:
            sdk.check_server(config.base_url, patience_s=config.patience_s)
        card = model_card(model)
        connection = Connection(config.base_url, api_key(config), config.patience_s, config.in_flight)
        hosted = config.base_url is None
        reduction = (Reduction.SUM if hosted else None) if config.loss == "measured" else Reduction(config.loss)
        service = Service(
            connection,
            model=model.name,
            rank=model.lora.rank,
            seed=derive_seed(seed, "adapter") % SEEDS,
            any_token=encode_continuation(card.tokenizer, "1")[-1],
            reduction=reduction,
            state=_saved_state(adapter) if isinstance(adapter, Path) else None,
        )
        return cls(service, card, config=config, trained=adapter is not False, name=name or model.name, seed=seed)

    # ---------------------------------------------------------------------------------------------- what it is

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return self._card.tokenizer

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens."""
        return longest_sequence(self._card, self._card.tokenizer, self._card.max_length)

    @property
    def stop_token_ids(self) -> frozenset[int]:
        """The tokenizer's end token and all that the model's generation settings name."""
        return self._card.stop_token_ids

    def describe(self) -> dict[str, Any]:
        """Model, service and SDK, for the manifest; parameters of the adapter are those on plain linear layers."""
        return {
            "model": self._name,
            "model_type": self._card.config.model_type,
            "parameters": self._card.parameters,
            "trained_parameters": self._card.adapter_parameters if self._trained else 0,
            "dtype": "the service's dtype",
            "device": self._config.base_url or "the hosted Tinker service",
            "path": "service",
            "sdk": sdk.sdk_version(),
            "processes": 1,
            "max_length": self.max_length,
        }

    def close(self) -> None:
        """End the session on the service."""
        self._finalizer()

    # ------------------------------------------------------------------------------------------------ sampling

    def rollout(
        self,
        prompts: Sequence[Tokens],
        group_size: int,
        sampling: Sampling,
        probe: Probe,
    ) -> list[list[Rollout]]:
        """Sample and probe, the whole batch in flight at once up to ``engine.in_flight`` requests."""
        check_sampling(sampling, group_size)
        check_prompts(prompts, sampling.max_new_tokens, self.max_length)
        _refuse_temperature(sampling.temperature, greedy=True)
        requests = [
            _request(prompt, sampling, group_size, derive_seed(sampling.seed, index) % SEEDS, self.stop_token_ids)
            for index, prompt in enumerate(prompts)
        ]
        responses = self._service.sample(requests, base=not self._trained)
        groups = [[self._checked(sequence) for sequence in response.sequences] for response in responses]
        if self._trained and sampling.temperature > 0:
            # An update on the same completions needs their log-probabilities; greedy ones are not trained on.
            self._sampled = {
                (prompt, sampled.tokens): np.array(sampled.logprobs)
                for prompt, group in zip(prompts, groups, strict=True)
                for sampled in group
            }
        return probed(self.tokenizer, groups, probe, partial(self._scored, prompts))

    def _checked(self, sequence: Any) -> Sampled:
        tokens, logprobs = tuple(sequence.tokens), sequence.logprobs
        if not tokens or logprobs is None or len(logprobs) != len(tokens):
            raise EngineError("the service gave a completion without tokens, or without their log-probabilities")
        stopped = tokens[-1] in self.stop_token_ids
        if sequence.stop_reason == "stop" and not stopped:
            raise EngineError("the service leaves the stop token out of completions, so their end cannot be trained")
        values = tuple(float(value) for value in logprobs)
        return Sampled(tokens, values, values, stopped)

    # ------------------------------------------------------------------------------------------------- scoring

    def logprobs(
        self,
        prompts: Sequence[Tokens],
        continuations: Sequence[Sequence[Tokens]],
        *,
        temperature: float = 1.0,
        reference: bool = False,
    ) -> list[list[NDArray[np.float64]]]:
        """Score continuations as parts of prompts that are sampled no further."""
        check_continuations(prompts, continuations)
        check_prompts(prompts, 0, self.max_length)
        check_prompts(prompts, max(len(tokens) for group in continuations for tokens in group), self.max_length)
        _refuse_temperature(temperature)
        return self._scored(prompts, continuations, reference=reference)

    def _scored(
        self, prompts: Sequence[Tokens], continuations: Sequence[Sequence[Tokens]], *, reference: bool = False
    ) -> list[list[NDArray[np.float64]]]:
        pairs = list({(p, c): None for p, group in zip(prompts, continuations, strict=True) for c in group})
        requests = [
            _request(p + c, Sampling(1.0, 1), 1, 0, frozenset()) | {"include_prompt_logprobs": True} for p, c in pairs
        ]
        base = reference or not self._trained
        found = [response.prompt_logprobs for response in self._service.sample(requests, base=base)]
        if any(values is None for values in found) and not base:
            scores = dict(zip(pairs, self._forward(pairs), strict=True))
        else:
            scores = {pair: _last(values, pair) for pair, values in zip(pairs, found, strict=True)}
        return [[scores[p, c] for c in group] for p, group in zip(prompts, continuations, strict=True)]

    def _forward(self, pairs: Sequence[tuple[Tokens, Tokens]]) -> list[NDArray[np.float64]]:
        """The same from the side that trains: more exact for an update, and there where a sampler gives none."""
        if not pairs:
            return []
        data = [_forward_datum(*pair) for pair in pairs]
        return [values[-len(c) :] for (_, c), values in zip(pairs, self._service.forward(data), strict=True)]

    def _read(self, pairs: Sequence[tuple[Tokens, Tokens]]) -> dict[tuple[Tokens, Tokens], NDArray[np.float64]]:
        """The same, of which a few tell the others where the service says more than was asked."""
        found = told_by_few(pairs, self._likeliest) if self._config.top_logprobs else {}
        left = [pair for pair in pairs if pair not in found]
        return found | dict(zip(left, self._forward(left), strict=True))

    def _likeliest(self, pairs: Sequence[tuple[Tokens, Tokens]]) -> list[Read]:
        """What the service says of continuations and of other tokens in their places."""
        more = {"include_prompt_logprobs": True, "topk_prompt_logprobs": self._config.top_logprobs}
        requests = [_request(p + c, Sampling(1.0, 1), 1, 0, frozenset()) | more for p, c in pairs]
        try:
            responses = self._service.sample(requests)
        except EngineError as error:
            if "topk_prompt_logprobs" in str(error):  # SkyRL 0.4.0 refuses it by its name
                raise EngineError(NOT_TOLD) from error
            raise
        return [
            read_of(_last(response.prompt_logprobs, pair), response.topk_prompt_logprobs, pair[1])
            for pair, response in zip(pairs, responses, strict=True)
        ]

    # ------------------------------------------------------------------------------------------------ training

    def update(self, batch: Batch, objective: Objective, optimiser: OptimiserStep) -> Means:
        """One AdamW step on any objective of log-probabilities.

        Those of completions that were just sampled for this update are the sampler's; others are asked for first,
        which costs a forward pass. The service corrects for what its training side sees differently by the
        importance ratio, unclipped.
        """
        if not self._trained:
            raise EngineError("nothing to train: the model was loaded without an adapter")
        check_continuations(batch.prompts, batch.continuations)
        _refuse_temperature(batch.temperature)
        pairs = [(p, c) for p, group in zip(batch.prompts, batch.continuations, strict=True) for c in group]
        missing = list({pair: None for pair in pairs if pair not in self._sampled})
        known = self._sampled | self._read(missing)
        known_P_C = [[known[p, c] for c in g] for p, g in zip(batch.prompts, batch.continuations, strict=True)]
        leaf = torch.from_numpy(padded(known_P_C)).requires_grad_()
        mask = torch.from_numpy(lengths_mask(known_P_C))
        result = objective(TokenScores(leaf, leaf, mask), slice(0, len(batch.prompts)))
        loss = float(result.loss.detach())
        if not math.isfinite(loss):
            raise NumericsError(f"the loss of the batch is {loss}")
        torch.autograd.backward(result.loss)
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        if not bool(torch.isfinite(gradient).all()):
            raise NumericsError("the gradient by the log-probabilities is nan or inf")
        rows = [
            row
            for at, (p, group) in enumerate(zip(batch.prompts, batch.continuations, strict=True))
            for row in self._to_train(at, p, group, known_P_C[at], gradient[at].numpy())
        ]
        seen, norm = self._service.step(Step(training_data(rows, self._service.reduction()), self._adam(optimiser)))
        self._sampled = {}
        self._step += 1
        means = Means()
        means.merge(result.means)
        means.add("loss", loss)
        if norm is not None:
            means.add("grad_norm", norm)
        for row, values in zip(rows, seen, strict=True):
            means.add("sampler_mismatch", np.abs(values[-len(row.continuation) :] - row.logprobs))
        return means

    def _to_train(
        self,
        index: int,
        prompt: Tokens,
        group: Sequence[Tokens],
        known: Sequence[NDArray[np.float64]],
        gradient_C_T: NDArray[np.float64],
    ) -> list[Scored]:
        """Every continuation of a prompt with its gradient, or a drawn few."""
        gradients = [gradient_C_T[place, : len(c)] for place, c in enumerate(group)]
        count = self._config.drawn_continuations
        if count is None or count >= len(group):
            return [Scored(prompt, *row) for row in zip(group, known, gradients, strict=True)]
        logprobs = dict(zip(group, known, strict=True))
        rng = np.random.default_rng(derive_seed(self._seed, "drawn", self._step, index))
        drawn = draw(tree_of(group, known, gradients), count, rng)
        return [Scored(prompt, c, logprobs[c], values) for c, values in drawn]

    def _adam(self, optimiser: OptimiserStep) -> Any:
        from tinker import types

        beta1, beta2 = self._config.adam_betas
        return types.AdamParams(
            learning_rate=optimiser.learning_rate,
            beta1=beta1,
            beta2=beta2,
            eps=self._config.adam_eps,
            weight_decay=self._config.weight_decay,
            grad_clip_norm=optimiser.max_grad_norm,
        )

    # --------------------------------------------------------------------------------------------------- state

    def save(self, path: Path) -> None:
        """Have the service save adapter and optimiser, and write down where."""
        if not self._trained:
            raise EngineError("nothing to save: the model was loaded without an adapter")
        state = self._service.save()
        with atomic_folder(path) as folder:
            self._write_state(folder, state)

    def load(self, path: Path) -> None:
        """Go on from what ``save`` noted, as long as the service has it."""
        if not self._trained:
            raise EngineError("nothing to restore into: the model was loaded without an adapter")
        self._service.load(_saved_state(path))
        self._step = int(read_json(path / STATE_FILE)["step"])
        self._sampled = {}

    def save_adapter(self, path: Path) -> None:
        """Fetch the adapter as a folder that PEFT and the local engine read, with where its state is beside it."""
        state = self._service.save()
        with atomic_folder(path) as folder:
            self._service.download(folder)
            self._write_state(folder, state)

    def _write_state(self, folder: Path, state: str) -> None:
        write_json(folder / STATE_FILE, {"state": state, "step": self._step, "base_model": self._name})


def _request(prompt: Tokens, sampling: Sampling, count: int, seed: int, stop: frozenset[int]) -> dict[str, Any]:
    from tinker import types

    return {
        "prompt": types.ModelInput.from_ints(list(prompt)),
        "num_samples": count,
        "sampling_params": types.SamplingParams(
            max_tokens=sampling.max_new_tokens, temperature=sampling.temperature, seed=seed, stop=sorted(stop)
        ),
    }


def _forward_datum(prompt: Tokens, continuation: Tokens) -> Any:
    nothing = np.zeros(len(continuation))
    inputs = datum(prompt, continuation, nothing, nothing)
    targets = inputs.loss_fn_inputs["target_tokens"]
    weights = np.ones(len(targets.data), dtype=np.float32)
    return type(inputs)(model_input=inputs.model_input, loss_fn_inputs={"target_tokens": targets, "weights": weights})


def _last(values: Sequence[float | None] | None, pair: tuple[Tokens, Tokens]) -> NDArray[np.float64]:
    """Log-probabilities of the continuation; some services give the first token none, others leave its place out."""
    prompt, continuation = pair
    length = len(prompt) + len(continuation)
    wanted = None if values is None else values[-len(continuation) :]
    if values is None or wanted is None or len(values) not in (length, length - 1) or None in wanted:
        raise EngineError("the service gave no log-probabilities of a prompt's tokens, which probe and scores need")
    return np.array(wanted, dtype=np.float64)


def _refuse_temperature(temperature: float, *, greedy: bool = False) -> None:
    if temperature == 1.0 or (greedy and temperature == 0.0):
        return
    raise EngineError(
        f"temperature {temperature:g}: a Tinker service gives log-probabilities at temperature 1 only, and those at "
        "another cannot be had from them; use temperature 1 (or 0, to answer greedily), or the local engine"
    )


def _saved_state(folder: Path) -> str:
    if not (folder / STATE_FILE).is_file():
        raise ModelError(
            f"{folder}: no {STATE_FILE} here, so the service does not have these weights; it takes only what it has "
            "saved itself. Use engine.kind=local with this folder"
        )
    return str(read_json(folder / STATE_FILE)["state"])
