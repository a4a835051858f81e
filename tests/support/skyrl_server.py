"""Run SkyRL's Tinker server with its JAX backend on this machine, from an ordinary virtual environment.

    python skyrl_server.py --base-model FOLDER --port 8000 --checkpoints-base FOLDER --database-url sqlite:///FILE

Two things keep SkyRL from starting that way, and both are put right here: on Python 3.11, for which 0.4.0 is not
released, pydantic refuses its ``typing.TypedDict``, and the server starts its engine through ``uv run``. The engine is
this file again, with ``engine`` as its first argument. Two more things take the time on tiny models: it gives all
batches one shape, because each takes a compilation of its own, and wakes whoever waits for a result as soon as there is
one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import signal
import sys
import threading
import typing
from collections.abc import Callable
from typing import Any

if sys.version_info < (3, 12):
    import typing_extensions

    typing.TypedDict = typing_extensions.TypedDict


LENGTH = 80
"""To which sequences are padded; longer ones as SkyRL pads them."""

ROWS = 8
"""To a multiple of which a training batch is padded, as SkyRL does for the devices that share it."""

NEW_TOKENS = 16
"""To a multiple of which the limit of a completion is raised before it is cut to what was asked for."""

STOP_TOKENS = 4
"""Among how many a sampler looks for the end, most of them tokens that there are not."""

COMPLETED = signal.SIGUSR1
"""What the engine tells the server when results have come."""


def run_engine() -> None:
    """The process that holds the model."""
    import optax
    from skyrl.backends import utils
    from skyrl.tinker import engine
    from skyrl.tx.utils import generator, models

    rounded, padded = models.round_up_seq_len, utils.pad_to_fsdp
    models.round_up_seq_len = lambda length: LENGTH if length <= LENGTH else rounded(length)
    utils.pad_to_fsdp = lambda rows, devices: padded(rows, math.lcm(ROWS, devices))
    generate = generator.GeneratorMixin._prefill_and_decode
    generator.GeneratorMixin._prefill_and_decode = staticmethod(functools.partial(_generate_alike, generate))
    # Optimisers that are equal, but not the same, are compiled once for each adapter.
    optax.inject_hyperparams = functools.cache(_remembered(optax.inject_hyperparams))
    server, complete = os.getppid(), engine.TinkerEngine._complete_futures
    engine.TinkerEngine._complete_futures = lambda *given: (complete(*given), os.kill(server, COMPLETED))
    engine.main()


def _generate_alike(
    generate: Callable[..., Any],
    model: Any,
    prompts: Any,
    mask: Any,
    length: int,
    new_tokens: int,
    adapters: Any,
    temperatures: Any,
    keys: Any,
    stop_tokens: Any,
    *filters: Any,
    prompt_logprobs: bool,
) -> Any:
    """Sample with limits that are the same for all requests; the caller cuts completions to what it asked for."""
    import jax.numpy as jnp
    from skyrl.tx.utils import models

    new_tokens = -(-new_tokens // NEW_TOKENS) * NEW_TOKENS
    length = max(length, models.round_up_seq_len(prompts.shape[1] + new_tokens))
    missing = max(0, STOP_TOKENS - stop_tokens.shape[1])
    stop_tokens = jnp.pad(stop_tokens, ((0, 0), (0, missing)), constant_values=-1)
    limits = (length, new_tokens, adapters, temperatures, keys, stop_tokens)
    return generate(model, prompts, mask, *limits, *filters, prompt_logprobs=True)


class _WokenByResults:
    """The module ``asyncio``, but whoever sleeps wakes up when results have come."""

    def __init__(self) -> None:
        signal.signal(COMPLETED, signal.SIG_IGN)  # until somebody waits
        self._come: asyncio.Event | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        if self._come is None:
            asyncio.get_running_loop().add_signal_handler(COMPLETED, self._wake)
            self._come = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._come.wait(), seconds)

    def _wake(self) -> None:
        assert self._come is not None
        self._come.set()
        self._come = asyncio.Event()


def _remembered(factory: Callable[..., Any]) -> Callable[..., Any]:
    """A factory of functions whose results are made once for the same arguments."""
    return lambda *given: functools.cache(factory(*given))


def run_server() -> None:
    """The process that speaks HTTP, and starts the engine."""
    import argparse

    import uvicorn
    from skyrl.tinker import api
    from skyrl.tinker.config import EngineConfig, add_model, config_to_argv

    parser = argparse.ArgumentParser(description=__doc__)
    add_model(parser, EngineConfig)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    given = vars(parser.parse_args())
    port = given.pop("port")
    if given.pop("until_eof"):
        threading.Thread(target=_end_with_input, daemon=True).start()
    api._build_uv_run_cmd_engine = lambda _, config: [sys.executable, __file__, "engine", *config_to_argv(config)]
    api.asyncio = _WokenByResults()
    api.app.state.engine_config = EngineConfig.model_validate(given)
    uvicorn.run(api.app, host="127.0.0.1", port=port, log_level="warning")


def _end_with_input() -> None:
    """End when whoever holds the other end of standard input does, however it ends."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGKILL)


def _end_with_parent() -> None:
    """End when the server does, however it ends (Linux only). Not for the server: this is about the parent's thread."""
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("whoever started this is gone")


if __name__ == "__main__":
    if sys.argv[1:2] == ["engine"]:
        _end_with_parent()
        del sys.argv[1]
        run_engine()
    else:
        run_server()
