"""Models on the hub: which commit a name stands for, and which names are none of the hub's."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from candor.errors import ModelError

COMMIT: Final = re.compile(r"[0-9a-f]{40}")

HUB_ID: Final = re.compile(r"(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
"""``owner/name`` or ``name``; everything else is a path."""

FOLDERS: Final = frozenset(
    "adapter adapters checkpoints data export exports models out output outputs run runs".split()  # noqa: SIM905
)
"""Names that people give to folders: what lies in one is never asked of the hub, where a stranger may have taken it."""
WEIGHTS: Final = (".gguf", ".safetensors", ".bin", ".pt", ".pth")

PATIENCE_S: Final = 10.0
"""For the hub to say which commit a name stands for; without an answer the copy that is kept here decides."""


def is_local(name: str) -> bool:
    """Whether a model's name is that of a folder or file here, there or not.

    >>> [is_local(name) for name in ("runs/mine", "./gpt2", "a/b/c", "model.gguf", "gpt2", "Qwen/Qwen3-0.6B")]
    [True, True, True, True, False, False]
    """
    return (
        Path(name).exists()
        or HUB_ID.fullmatch(name) is None
        or (name.partition("/")[0] in FOLDERS and "/" in name)
        or name.endswith(WEIGHTS)
    )


def check_name(name: str) -> None:
    """Refuse a path that leads nowhere before anybody asks the hub for it.

    Raises:
        ModelError: there is no such folder or file.
    """
    if is_local(name) and not Path(name).exists():
        raise ModelError(
            f"model.name: no such folder: {name!r}; check the name: the path of a model's folder, or a name on the hub"
        )


def commit_of(name: str, revision: str | None = None, *, api: Any = None) -> str | None:
    """The commit on the hub that a model's name and revision stand for now.

    Args:
        name: of a model.
        revision: branch, tag or commit; ``None`` for the newest.
        api: what to ask in place of the hub.

    Returns:
        40 hex digits: what the hub says, or where it says nothing, what the copy kept here was; ``None`` for a folder,
        and where neither is there.
    """
    if is_local(name):
        return None
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    try:
        found = (api or HfApi()).model_info(name, revision=revision, timeout=PATIENCE_S).sha
    except Exception:
        # No network, no such model, no access: the libraries that load it say so better, or find their kept copy.
        return _kept(name, revision)
    return found if isinstance(found, str) and COMMIT.fullmatch(found) else None


def _kept(name: str, revision: str | None) -> str | None:
    """The commit of the copy that the hub's client keeps."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    commit = Path(found).parent.name if isinstance(found, str) else ""
    return commit if COMMIT.fullmatch(commit) else None


def hub_trouble() -> str | None:
    """Why the hub does not answer; ``None`` where it does."""
    import httpx2
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        httpx2.head(constants.ENDPOINT, timeout=PATIENCE_S)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return None


@contextlib.contextmanager
def asked_once(name: str) -> Iterator[None]:
    """Where the hub does not answer, keep its client from asking again and again while a model of it is loaded.

    What is kept here is then used at once, or missed at once.
    """
    if is_local(name) or hub_trouble() is None:
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
