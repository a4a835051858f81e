"""A real server for tests: started on a free port, stopped by its process id whatever happens."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

START_SECONDS = 180
BACKEND: dict[str, Any] = {
    "max_lora_adapters": 12,
    "max_lora_rank": 8,
    # Batches of one size: every other size is another compilation.
    "sample_max_num_sequences": 16,
    "train_micro_batch_size": 8,
}


def why_no_server(needed: tuple[str, ...] = ("skyrl", "jax", "tinker")) -> str | None:
    """Why a server cannot be started here; ``None`` if it can."""
    installed = {distribution.name.lower() for distribution in importlib.metadata.distributions()}
    missing = [name for name in needed if name not in installed]
    return f"no {', '.join(missing)} in this environment; make test-tinker has it" if missing else None


def free_port() -> int:
    """A port of the loopback device that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


class RunningServer:
    """SkyRL's server on a model folder; state lies in ``folder``, so that a restarted server finds it."""

    def __init__(self, model: Path, folder: Path, *, backend: dict[str, Any] | None = None) -> None:
        self.model = model
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self._folder = folder.resolve()  # the server refuses to save under a relative path
        self._backend = {**BACKEND, **(backend or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RunningServer:
        """Start, and wait until the server answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            str(Path(__file__).parent / "skyrl_server.py"),
            *("--base-model", str(self.model), "--backend", "jax"),
            *("--port", str(self.port)),
            *("--checkpoints-base", str(self._folder / "checkpoints")),
            *("--database-url", f"sqlite:///{self._folder / 'server.db'}"),
            *("--backend-config", json.dumps(self._backend)),
            # A client that is gone gives its place to another after so many seconds without a heartbeat.
            *("--session-timeout-sec", "30", "--session-cleanup-interval-sec", "2"),
            "--until-eof",
        ]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "candor-test-jax"
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            # Of everything, however short: there are hundreds, and a second server or a restarted one needs them again.
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            # Models this small are compiled for longer than they run.
            "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
            "TOKENIZERS_PARALLELISM": "false",
            "NO_PROXY": "127.0.0.1",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the server did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.2)
        return self

    def stop(self) -> None:
        """End the server at once; its engine ends with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """End the server in the middle of whatever it does, and start it on the same state and port."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/healthz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def __enter__(self) -> RunningServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
