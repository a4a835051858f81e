"""Tests mirror the package: ``src/candor/A/B.py`` is tested in ``tests/A/test_B.py``."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from places import TESTS

import candor

SOURCE = Path(candor.__file__).parent

UNTESTED = {
    "comparison/stages.py": "records that the stages of a comparison hand on; the stages are tested",
    "engines/base.py": "the contract of an engine; tests/contract holds every engine to it",
    "engines/forward.py": "the protocol of a forward path; both paths are tested against each other",
    "metrics/schema.py": "the shape of results; metrics/check_results.py holds them to it",
    "metrics/seeds_schema.py": "the same of several seeds",
    "serve/settings.py": "the bounds of a service with their defaults; what keeps to them is tested",
}
"""Modules that hold no behaviour of their own."""

WITHOUT_MODULE = {
    "cli/test_howto.py": "the commands of the documentation",
    "contract/test_engine_contract.py": "what every engine promises",
    "examples/test_notebooks.py": "the notebooks in examples/",
    "engines/tinker/test_faults.py": "whole trainings on a real server that fails",
    "metrics/test_coverage_simulation.py": "the simulation in benchmarks/coverage.py",
    "metrics/test_figures_properties.py": "properties that all figures share",
    "engines/tinker/test_study_page.py": "the commands of a page of the documentation, on a real server",
    "engines/tinker/test_few.py": "few sequences for all answers, on a real server",
    "metrics/test_figures_reference.py": "all figures against other libraries",
    "metrics/test_paired_tests.py": "classical tests against other libraries",
    "metrics/test_resamples.py": "the bootstrap from drawing to interval",
    "predictions/endpoint/test_transformers_server.py": "a real chat server",
    "report/test_browser.py": "the page in a browser",
    "runs/test_faults.py": "run folders that came to harm",
    "serve/test_fuzz.py": "requests that a machine makes up",
    "serve/test_serve_page.py": "the service's page in a browser",
    "serve/test_service.py": "the service under load and abuse",
    "test_allowed_skips.py": "which tests may be skipped where",
    "test_container.py": "the container file",
    "test_doctests.py": "the examples in all docstrings",
    "test_imports.py": "the order of the package",
    "test_layout.py": "the order of the tests",
    "test_package.py": "what importing candor hands out",
    "test_release.py": "tools/release.py",
    "test_site.py": "the documentation as a site, and what else lies beside the package",
}
"""Test files about the package as a whole, or about something that several modules do together."""


def _modules() -> set[str]:
    paths = (path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))
    return {path for path in paths if PurePosixPath(path).stem not in ("__init__", "__main__")}


def _test_files() -> set[str]:
    return {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}


def _test_of(module: str) -> str:
    path = PurePosixPath(module)
    return (path.parent / f"test_{path.name}").as_posix()


def test_every_module_has_its_test_file() -> None:
    needed = _modules() - set(UNTESTED)
    missing = sorted(_test_of(module) for module in needed if not (TESTS / _test_of(module)).is_file())
    assert missing == []


def test_every_test_file_has_its_module() -> None:
    """One without is named after a module, or said above to be for something else."""
    strangers = _test_files() - {_test_of(module) for module in _modules()} - set(WITHOUT_MODULE)
    assert sorted(strangers) == []


def test_the_lists_hold_nothing_that_is_gone_or_done() -> None:
    assert set(UNTESTED) <= _modules()
    assert not {module for module in UNTESTED if (TESTS / _test_of(module)).is_file()}
    assert set(WITHOUT_MODULE) <= _test_files()
    assert not {_test_of(module) for module in _modules()} & set(WITHOUT_MODULE)
