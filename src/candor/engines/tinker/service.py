"""One adapter on a Tinker service, such that every step is taken once, whatever happens to connection and server.

Where the adapter stands is defined on this side: the last state that the service saved, and the steps since, which
are kept. Whenever it is not certain what the service did, its session is left alone for good, and a new one loads the
state and takes the steps again. The same happens when a server was restarted and knows nothing any more.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from candor.engines.tinker import sdk
from candor.engines.tinker.losses import LOSS, Reduction, measure_reduction
from candor.errors import EngineError, ModelError, NumericsError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ATTEMPTS: Final = 5
"""How often an operation starts from the last saved state, without coming further, before it is given up."""

REPLAYED: Final = 5
"""Steps that are taken again before the state is saved, so that a failure among many does not take them all again."""

PAUSE_S: Final = 0.5
"""Before the second attempt; twice as long before each further one."""

AGAIN_SECONDS: Final = 7 * 24 * 3600
"""How long it is asked to keep a state that was saved among steps that were taken again; a run's own stay."""

SAMPLER_SECONDS: Final = 24 * 3600
"""How long the service is asked to keep weights that were saved only to sample from them."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is.

    Attributes:
        base_url: of a server of one's own; ``None`` for the hosted service.
        key: sent with every request; never written anywhere.
        patience_s: how long one request is tried.
        in_flight: requests sent at once.
    """

    base_url: str | None
    key: str
    patience_s: float
    in_flight: int

    def __repr__(self) -> str:
        """Without the key, so that no log and no traceback shows it."""
        return f"Connection({self.base_url or 'hosted'})"


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step: the data of its gradient, and AdamW's values."""

    data: list[Any]
    adam: Any


class Service:
    """The base model and one adapter on it."""

    def __init__(
        self,
        connection: Connection,
        *,
        model: str,
        rank: int,
        seed: int,
        any_token: int,
        reduction: Reduction | None,
        state: str | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            connection: where the service is.
            model: name of the base model there.
            rank: of the adapter.
            seed: of a fresh adapter.
            any_token: a token of ordinary text.
            reduction: how the service adds losses up; ``None`` to measure it.
            state: a saved state to begin with; ``None`` for a fresh adapter.
        """
        self._connection = connection
        self._model, self._rank, self._seed, self._any_token = model, rank, seed, any_token
        self._reduction = reduction
        self._state = state
        self._since: list[Step] = []
        self._session: Any = None
        self._adapter: Any = None
        self._sampler: Any = None
        self._base: Any = None

    # ------------------------------------------------------------------------------------------------ operations

    def reduction(self) -> Reduction:
        """How the service adds losses up; measured when the adapter is first made, if it was not told."""
        if self._reduction is None:
            self._surely(lambda: None)
        assert self._reduction is not None
        return self._reduction

    def sample(self, requests: Sequence[dict[str, Any]], *, base: bool = False) -> list[Any]:
        """Responses to sampling requests, from the newest weights or the base model's, many at once."""
        if base:
            return self._surely(lambda: self._send(self._base_sampler(), requests), with_adapter=False)
        return self._surely(lambda: self._send(self._newest_sampler(), requests))

    def forward(self, data: list[Any]) -> list[Any]:
        """Log-probabilities of every target under the weights as they are."""
        return self._surely(lambda: _logprobs(self._adapter.forward(data, "cross_entropy").result()))

    def step(self, step: Step) -> tuple[list[Any], float | None]:
        """Take one optimiser step; log-probabilities before it, and the gradient's norm if the service says it.

        Raises:
            NumericsError: the norm is not finite; the step is taken back.
        """
        logprobs, norm = self._surely(lambda: _take(self._adapter, step))
        self._sampler = None
        if norm is not None and not math.isfinite(norm):
            self._abandon()
            raise NumericsError(f"the gradient's norm on the service is {norm}")
        self._since.append(step)
        return logprobs, norm

    def save(self) -> str:
        """Have the service save adapter and optimiser; return the path that it has there."""
        self._state = str(self._surely(lambda: self._adapter.save_state(_name("state")).result().path))
        self._since = []
        return self._state

    def load(self, state: str) -> None:
        """Go on from a saved state."""
        self._abandon()
        self._state, self._since = state, []
        self._surely(lambda: None)

    def download(self, folder: Path) -> None:
        """Fetch the adapter as a PEFT folder."""

        def fetch() -> None:
            sdk.download_adapter(self._session, self._adapter, _name("adapter"), folder)

        self._surely(fetch)

    def close(self) -> None:
        """End the session, so that the server can free what it holds."""
        self._abandon()

    # --------------------------------------------------------------------------------------------- staying alive

    def _surely(self, operation: Callable[[], Result], *, with_adapter: bool = True) -> Result:
        """Do what can be done again, from the last saved state if need be, until it is done.

        Raises:
            EngineError: it failed for good, or too often.
        """
        failure, attempts = "", 0
        while attempts < ATTEMPTS:
            if attempts:
                time.sleep(PAUSE_S * 2 ** (attempts - 1))
            before = self._state
            try:
                if self._session is None:
                    self._session = self._connect()
                if with_adapter and self._adapter is None:
                    self._restore()
                return operation()
            except sdk.failures() as error:
                failure = self._in_words(error)
                self._abandon()
                if sdk.is_final(error):
                    break
                attempts = attempts + 1 if self._state == before else 1
                logger.warning("the service failed (%s); attempt %d of %d", failure, attempts, ATTEMPTS)
        raise EngineError(
            f"{self._connection}: {failure}. Everything up to the last checkpoint is kept; run again to go on from it"
        )

    def _connect(self) -> Any:
        c = self._connection
        session = sdk.connect(base_url=c.base_url, key=c.key, patience_s=c.patience_s, in_flight=c.in_flight)
        offered = [model.model_name for model in session.get_server_capabilities().supported_models]
        if self._model not in offered:
            raise ModelError(f"model.name: {c!r} does not offer {self._model!r}, only {', '.join(map(str, offered))}")
        return session

    def _restore(self) -> None:
        """Make an adapter that is where this one is: the saved state, and the steps since."""
        first = sdk.loads_first()
        if not first or self._state is None or self._reduction is None or self._connection.base_url is not None:
            self._adapter = self._new_adapter()
            self._prepare(self._adapter)
            if first:
                sdk.unload(self._adapter, self._connection.base_url)
                self._adapter = None
        if first:
            self._adapter = self._new_adapter()
        self._adapter.load_state_with_optimizer(self._state).result()
        for number, step in enumerate(list(self._since), start=1):
            _take(self._adapter, step)
            if number % REPLAYED == 0:
                self._state = str(self._adapter.save_state(_name("again"), ttl_seconds=AGAIN_SECONDS).result().path)
                self._since = self._since[REPLAYED:]

    def _new_adapter(self) -> Any:
        return sdk.settled(
            self._session.create_lora_training_client(
                base_model=self._model, rank=self._rank, seed=self._seed, train_unembed=False
            )
        )

    def _prepare(self, adapter: Any) -> None:
        """Have a state to begin with, and know how losses add up; the place of the adapter is clean afterwards.

        On SkyRL's JAX backend an adapter can find gradients that another one has left in its place, and a step is what
        clears them: here a step of nothing. Where a state can no longer be loaded into this adapter then, the next one
        is given its place.
        """
        from tinker import types

        if self._state is None:
            self._state = str(adapter.save_state(_name("fresh")).result().path)
        nothing = types.AdamParams(learning_rate=0.0)
        if self._reduction is None:
            self._reduction = measure_reduction(lambda data: _take(adapter, Step(data, nothing)), self._any_token)
        else:
            adapter.optim_step(nothing).result()

    def _abandon(self) -> None:
        if self._session is not None:
            sdk.close(self._session, self._adapter, self._connection.base_url)
        self._session = self._adapter = self._sampler = self._base = None

    def _in_words(self, error: BaseException) -> str:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return text.replace(self._connection.key, "(key)")[:500]

    # -------------------------------------------------------------------------------------------------- sampling

    def _newest_sampler(self) -> Any:
        # Sampling from older weights would put them in the place of the newest on SkyRL's JAX backend, so there is
        # never more than this one.
        if self._sampler is None:
            saved = self._adapter.save_weights_for_sampler(_name("sampler"), ttl_seconds=SAMPLER_SECONDS).result()
            self._sampler = sdk.settled(self._adapter.create_sampling_client(saved.path))
        return self._sampler

    def _base_sampler(self) -> Any:
        if self._base is None:
            self._base = sdk.settled(self._session.create_sampling_client(base_model=self._model))
        return self._base

    def _send(self, sampler: Any, requests: Sequence[dict[str, Any]]) -> list[Any]:
        done: list[Any] = []
        waiting: deque[Any] = deque()
        for request in requests:
            if len(waiting) == self._connection.in_flight:
                done.append(waiting.popleft().result())
            waiting.append(sampler.sample(**request))
        return [*done, *(future.result() for future in waiting)]


def _take(adapter: Any, step: Step) -> tuple[list[Any], float | None]:
    """Gradient and step, both sent before either is waited for: services work in turns, and a turn is long."""
    passed = adapter.forward_backward(step.data, LOSS)
    stepped = adapter.optim_step(step.adam)
    logprobs = _logprobs(passed.result())
    return logprobs, _grad_norm(stepped.result().metrics or {})


def _logprobs(output: Any) -> list[Any]:
    return [values["logprobs"].to_numpy().astype(float) for values in output.loss_fn_outputs]


def _grad_norm(metrics: dict[str, float]) -> float | None:
    return next((float(value) for name, value in metrics.items() if name.endswith("grad_norm")), None)


def _name(purpose: str) -> str:
    """A name that is never used again: what was saved under one cannot be told from what a lost request saved."""
    return f"{purpose}-{uuid.uuid4().hex[:12]}"
