"""The Tinker SDK: every call of it that differs between its versions, and what its failures mean.

SkyRL 0.3.0 speaks the protocol of SDK 0.24.1 and of none after it, SkyRL 0.4.0 that of 0.25; the hosted service wants
the newest. What the engine uses of them is the same but for four things, which are handled here: since 0.25 a state is
loaded into an adapter before anything else or not at all, and newer versions give a future of a client in place of the
client, close a session by a method of their own, and give an adapter's files one by one.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, Final

from candor.errors import ModelError, install_line
from candor.files import read_json, write_json

OLDEST: Final = "0.24.1"
SKYRL: Final = "Tinker API Mock"
"""What SkyRL's server calls itself, all versions of it; what they tell of themselves differs in :data:`SINCE_040`."""
SINCE_040: Final = "DELETE"
"""SkyRL's list of what it answers has requests of this kind since 0.4.0."""
FOR_SKYRL: Final = {"0.3.0": "0.24.1", "0.4.0": "0.25.0"}
"""The SDK whose protocol each version of SkyRL speaks."""
NO_KEY: Final = "tml-none"
"""Sent where no key is asked for: the SDK insists on one of this form."""
EXPORT_SECONDS: Final = 3600
"""How long the service is asked to keep what was saved only to be downloaded."""
FINAL_STATUS: Final = frozenset({401, 402, 403, 422})
"""Answers that trying again does not change: no right to it, not paid for, not understood."""
NOT_SUPPORTED: Final = "is not supported by the"
"""In what SkyRL 0.4.0 says of what its backend cannot do."""


def sdk_version() -> str:
    """Version of the SDK that is installed.

    Raises:
        ModelError: none, or one that is too old.
    """
    try:
        found = version("tinker")
    except PackageNotFoundError:
        raise ModelError(
            f"engine.kind=tinker needs the Tinker SDK: {install_line('tinker')} for the hosted service, or "
            f"pip install tinker=={OLDEST} for a SkyRL 0.3.0 server"
        ) from None
    if _numbers(found) < _numbers(OLDEST):
        raise ModelError(f"the Tinker SDK {found} is too old; pip install 'tinker>={OLDEST}'")
    return found


def check_server(base_url: str, *, patience_s: float) -> str:
    """Ask a server of one's own who it is; return its name.

    Raises:
        ModelError: nothing answers there, or it does not speak the protocol of the SDK that is installed.
    """
    import httpx

    found = sdk_version()
    try:
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(transport=transport, timeout=min(30.0, patience_s)) as client:
            root = client.get(base_url.rstrip("/") + "/")
        told = root.json() if root.headers.get("content-type") == "application/json" else {}
    except httpx.HTTPError as error:
        raise ModelError(
            f"engine.base_url: nothing answers at {base_url} ({type(error).__name__}); start the server, or correct it"
        ) from None
    name = str(told.get("name", ""))
    if name == SKYRL:
        version = "0.4.0" if SINCE_040 in str(told.get("endpoints")) else "0.3.0"
        wanted = FOR_SKYRL[version]
        if _numbers(found)[:2] != _numbers(wanted)[:2]:
            raise ModelError(
                f"engine.base_url: {base_url} is a SkyRL {version} server, which speaks the protocol of the Tinker SDK "
                f"{wanted}, but {found} is installed; pip install tinker=={wanted}"
            )
    return name or "unknown"


def loads_first() -> bool:
    """Whether a state can be loaded into an adapter that nothing has been asked of yet, and into no other."""
    return _numbers(sdk_version()) > _numbers(OLDEST)


def connect(*, base_url: str | None, key: str, patience_s: float, in_flight: int) -> Any:
    """A ``ServiceClient`` whose requests go through :mod:`candor.engines.tinker.http`."""
    from candor.engines.tinker.http import patient_client

    # The SDK reports failures to the service with the headers of the request, key included.
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    import tinker

    where = {} if base_url is None else {"base_url": base_url}
    client = patient_client(patience_s=patience_s, in_flight=in_flight)
    return tinker.ServiceClient(**where, api_key=key, http_client=client, max_retries=0)


def settled(client: Any) -> Any:
    """The client itself: since 0.25 the methods that make one give a future of it."""
    return client.result() if hasattr(client, "result") else client


def close(service: Any, adapter: Any, base_url: str | None) -> None:
    """End a session and free the adapter's place; never fails, because what it ends may be gone already."""
    unload(adapter, base_url)
    with contextlib.suppress(Exception):
        if hasattr(service, "close"):
            service.close("success")
        else:
            service.holder.close()


def unload(adapter: Any, base_url: str | None) -> None:
    """Free an adapter's place on a server of one's own; never fails."""
    import httpx

    with contextlib.suppress(Exception):
        if adapter is not None and base_url is not None:
            # The SDK has no word for it, and a SkyRL server has few places and waits minutes for who is gone.
            httpx.post(base_url.rstrip("/") + "/api/v1/unload_model", json={"model_id": adapter.model_id}, timeout=5.0)


def failures() -> tuple[type[BaseException], ...]:
    """What the SDK raises where the service or the connection fails; it reports failed results as ``ValueError``."""
    import concurrent.futures

    import httpx
    import tinker

    return (tinker.TinkerError, httpx.HTTPError, ValueError, TimeoutError, concurrent.futures.CancelledError)


def is_final(error: BaseException) -> bool:
    """Whether trying again is in vain."""
    return getattr(error, "status_code", None) in FINAL_STATUS or NOT_SUPPORTED in str(error)


def download_adapter(service: Any, adapter: Any, name: str, folder: Path) -> None:
    """Have the service save an adapter under a name, and fetch it as a PEFT folder."""
    rest = service.create_rest_client()
    if hasattr(adapter, "save_weights_external"):
        path = adapter.save_weights_external(name, ttl_seconds=EXPORT_SECONDS).result().path
        for file, url in rest.get_external_weights_urls(path).result().urls.items():
            _write(folder, file, _fetch(url))
    else:
        adapter.save_weights_for_sampler(name).result()
        archive = _fetch(rest.get_checkpoint_archive_url(adapter.model_id, name).result().url)
        with tarfile.open(fileobj=BytesIO(archive)) as packed:
            for member in packed.getmembers():
                if member.isfile() and (content := packed.extractfile(member)):
                    _write(folder, member.name, content.read())
    name_targets(folder)


def name_targets(folder: Path) -> None:
    """Write into an adapter's settings which modules it adapts.

    SkyRL leaves that out, and PEFT then takes the family's default modules and drops the weights of all others
    without a word.
    """
    from safetensors import safe_open

    settings_path = folder / "adapter_config.json"
    settings = read_json(settings_path)
    if settings.get("target_modules"):
        return
    with safe_open(folder / "adapter_model.safetensors", framework="numpy") as weights:
        names = list(weights.keys())
    settings["target_modules"] = sorted({name.rsplit(".lora_", 1)[0].rsplit(".", 1)[-1] for name in names})
    settings["task_type"] = "CAUSAL_LM"
    write_json(settings_path, settings)


def _fetch(url: str) -> bytes:
    import httpx

    with httpx.Client(timeout=600.0, follow_redirects=True) as client:
        return bytes(client.get(url).raise_for_status().content)


def _write(folder: Path, file: str, content: bytes) -> None:
    # The server chose the name; only its last part counts, so that nothing is written elsewhere.
    (folder / PurePosixPath(file).name).write_bytes(content)


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a version, to compare.

    >>> _numbers("0.24.1") < _numbers("0.38.0")
    True
    """
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
