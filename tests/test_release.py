"""The release, up to the upload."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from places import ROOT


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_version_needs_its_changes(release: ModuleType) -> None:
    text = "## Unreleased\n\n## 1.2.0 - 2026-11-27\n\n- New.\n\n## 1.1.0 - 2026-10-01\n\n## 1.0.0\n\n- A.\n"
    assert release.changes(text, "1.2.0") == "- New."
    with pytest.raises(release.NotReadyError, match=r"says nothing under 1\.1\.0"):
        release.changes(text, "1.1.0")
    for version in ("1.0.0", "1.2", "2.0.0"):  # one without a date is none
        with pytest.raises(release.NotReadyError, match="no section"):
            release.changes(text, version)
    assert release.version_of(ROOT)


def test_changes_are_committed_first(release: ModuleType, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    release.check_clean(tmp_path)
    (tmp_path / "new.txt").write_text("x", encoding="utf-8")
    with pytest.raises(release.NotReadyError, match=r"not committed: new\.txt"):
        release.check_clean(tmp_path)


def test_a_wheel_without_its_recipes_is_refused(release: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "candor_llm-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in release.NEEDED[:1]:
            archive.writestr(name, "")
    with pytest.raises(release.NotReadyError, match=r"lacks candor/recipes/demo\.yaml.*base model"):
        release.check_wheel(wheel)


@pytest.mark.slow
def test_it_builds_and_passes_twine(release: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("build", reason="build is not installed (extra 'release')")
    pytest.importorskip("twine", reason="twine is not installed (extra 'release')")
    root = tmp_path / "candor"
    for folder in ("src", "recipes"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(ROOT / name, root)
    files = release.build(root, tmp_path / "dist")
    assert {file.suffix for file in files} == {".whl", ".gz"}
