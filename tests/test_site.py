"""The documentation as a site, and the files of the repository that other machines read."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from places import DOCS, ROOT


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra 'docs')")
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_lead_to_where_the_files_lie_on_the_site(hooks: ModuleType) -> None:
    def turned(markdown: str, folder: Path) -> Any:
        return hooks._turned(markdown, folder, "https://example.org/candor")

    assert turned("[a](docs/data.md#six-more)", ROOT) == "[a](data.md#six-more)"
    assert turned("![a](docs/images/serve.png)", ROOT) == "![a](images/serve.png)"
    assert turned("[a](../SECURITY.md)", DOCS) == "[a](security.md)"
    assert turned("[a](../README.md)", ROOT / "recipes") == "[a](index.md)"
    assert turned("[a](../src/candor/errors.py)", DOCS).endswith("/candor/blob/main/src/candor/errors.py)")
    for as_it_is in ("[a](https://example.org)", "[a](#here)", "[a](nowhere.md)"):
        assert turned(as_it_is, DOCS) == as_it_is


def test_every_command_is_in_the_reference(hooks: ModuleType) -> None:
    page = hooks.command_line()
    for name in ("candor run", "candor compare", "candor data fetch", "candor serve"):
        assert f"\n## {name}\n" in page
    assert "`--data-dir`" in page
    assert "[bold]" not in page


@pytest.mark.slow
def test_the_site_builds_without_a_warning(hooks: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    page = (tmp_path / "site" / "reference-python.html").read_text(encoding="utf-8")
    assert "candor.api.run.Run.predictions" in page
    assert "ConfidenceGRPOTrainer" in page


def test_every_page_is_on_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r": ([a-z-]+\.md)$", text, flags=re.MULTILINE))
    assert {path.name for path in DOCS.glob("*.md")} <= listed


def test_what_other_machines_read_is_well_formed() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Repository"]
    for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert path.name == "config.yml" or {"name", "description", "body"} <= set(form)
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert ".ci/run" in [step.get("run") for step in workflow["jobs"]["run"]["steps"]]
    extras = project["optional-dependencies"]
    assert {"docs", "notebook", "release", "serve"} <= set(extras)
