"""A skipped test fails the session unless the list has it, in one process and in several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from allowed_skips import read_allowed
from places import ALLOWED_SKIPS, TESTS

CONFTEST = """
from pathlib import Path
from allowed_skips import OPTION, AllowedSkips

def pytest_addoption(parser):
    parser.addoption(OPTION, action="store_true")

def pytest_configure(config):
    if config.getoption(OPTION) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(AllowedSkips(Path(__file__).with_name("allowed_skips.txt")))
"""
ONE = """
import pytest

def test_runs():
    pass

@pytest.mark.parametrize("kind", ["this", "that"])
def test_skips(kind):
    pytest.skip(f"no {kind} here")

@pytest.mark.xfail
def test_fails_as_expected():
    assert False
"""
OTHER = """
import pytest
pytest.skip("nothing here", allow_module_level=True)
"""


ALL = "test_one.py::test_skips* | no *\n# why\ntest_other.py | nothing here\n"
SOME = "test_one.py::* | no this here\n"


@pytest.mark.parametrize(("processes", "allowed"), [("0", ALL), ("0", SOME), ("2", SOME)])
def test_what_the_list_lacks_fails(tmp_path: Path, processes: str, allowed: str) -> None:
    for name, text in (("conftest", CONFTEST), ("test_one", ONE), ("test_other", OTHER)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "allowed_skips.txt").write_text(allowed)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {TESTS / 'support'}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", processes, "-p", "no:cacheprovider"]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the other plugins take seconds to load
    command.append("--only-allowed-skips")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=alone)
    refused = ["test_one.py::test_skips[that]: no that here", "test_other.py: nothing here"] if allowed == SOME else []
    assert done.returncode == bool(refused), done.stdout
    assert "1 passed, 3 skipped, 1 xfailed" in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("test_") and ": no" in line]
    assert sorted(told) == refused


def test_a_line_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("tests/x.py no reason\n")
    with pytest.raises(pytest.UsageError, match=r"list\.txt: .* in place of 'tests/x.py no reason'"):
        read_allowed(tmp_path / "list.txt")
    assert read_allowed(ALLOWED_SKIPS)
