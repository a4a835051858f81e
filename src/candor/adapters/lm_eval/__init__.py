"""The three datasets as tasks of lm-evaluation-harness: ``--include_path $(python -m candor.adapters.lm_eval)``."""

from __future__ import annotations

from pathlib import Path


def include_path() -> Path:
    """The folder of task files for ``--include_path``."""
    return Path(__file__).resolve().parent / "task_files"
