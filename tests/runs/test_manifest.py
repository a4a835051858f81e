"""What made a run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import torch

import candor
from candor.runs.manifest import environment, git_commit


def test_versions_are_those_that_run() -> None:
    found = environment()
    json.dumps(found, allow_nan=False)
    assert found["candor"] == candor.__version__
    assert found["versions"]["torch"] == torch.__version__
    assert set(found["versions"]) >= {"transformers", "peft", "numpy"}


def test_commit_says_whether_anything_was_changed(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"}
    (tmp_path / "file").write_text("one")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, env={**os.environ, **identity})
    commit = git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "file").write_text("two")
    assert git_commit(tmp_path) == f"{commit}-dirty"
