"""What made a run: versions, commit, device, seeds, hashes. Nothing secret, nothing that changes a result."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import candor

PACKAGES: Final = ("torch", "transformers", "tokenizers", "peft", "numpy", "scipy", "scikit-learn")


def environment() -> dict[str, Any]:
    """Versions, source commit and machine."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "candor": candor.__version__,
        "git_commit": git_commit(Path(__file__).resolve().parent),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "versions": versions,
    }


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
