"""What made a run."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

import candor
from candor.runs.manifest import code_sha256, environment, git_commit, made_with


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


def test_what_trains_is_told_apart_by_code_versions_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made_with()
    assert {"candor", "code", "python", "torch", "transformers", "peft", "numpy", "number of threads"} <= before.keys()
    json.dumps(before, allow_nan=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert made_with() == before | {"number of threads": 99}


def test_code_is_its_files_with_their_names(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.py").write_text("x = 1")
    first = code_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert code_sha256(tmp_path) == first
    (tmp_path / "deep" / "a.py").write_text("x = 2")
    second = code_sha256(tmp_path)
    (tmp_path / "deep" / "a.py").rename(tmp_path / "b.py")
    assert len({first, second, code_sha256(tmp_path)}) == 3
