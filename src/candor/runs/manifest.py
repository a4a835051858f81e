"""What made a run: versions, commit, device, seeds, hashes. Nothing secret, nothing that changes a result."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import candor
from candor.files import sha256

SOURCE: Final = Path(candor.__file__).resolve().parent
PACKAGES: Final = ("torch", "transformers", "tokenizers", "peft", "numpy", "scipy", "scikit-learn")


def environment() -> dict[str, Any]:
    """Versions, source and machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "candor": candor.__version__,
        "git_commit": git_commit(SOURCE),
        "code_sha256": code_sha256(SOURCE),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": versions,
    }


def made_with() -> dict[str, str | int]:
    """What decides the last digits of a training, by name."""
    import torch

    found = environment()
    return {
        "candor": found["candor"],
        "code": found["code_sha256"][:12],
        "python": found["python"],
        **found["versions"],
        "number of threads": torch.get_num_threads(),
    }


def code_sha256(folder: Path) -> str:
    """Hex SHA-256 over the names and texts of all Python files in and below a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(f"{path.relative_to(folder).as_posix()}\n{sha256(path)}\n".encode())
    return found.hexdigest()


def git_commit(folder: Path) -> str | None:
    """Commit of the checkout that ``folder`` lies in, ``-dirty`` behind it if changed; ``None`` outside of one."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--match="],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() or None
