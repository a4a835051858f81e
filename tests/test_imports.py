"""Imports follow the data, and what reads saved files needs no model."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import candor

SOURCE = Path(candor.__file__).parent

LAYERS = (
    "types errors files extensions seals config seeding means progress run_folder shards",
    "prompts metrics",
    "recipe sandbox",
    "data engines",
    "training predictions",
    "comparison",
    "verifier adapters",
    "report",
    "runs serve",
    "cli api",
)
"""The order of the package: what stands in a line imports from that line and from those above it."""

PLACE = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
PATHS = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
# The package's own __init__ hands out the verifier lazily.
MODULES = {name.removesuffix(".__init__"): path for name, path in PATHS.items() if name != "__init__"}


def _imported(source: str) -> Iterator[str]:
    """Names in the package that a module imports, anywhere but for type checking alone, without the prefix."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = []
        yield from (name.removeprefix("candor.") for name in names if name.startswith("candor."))
        waiting += ast.iter_child_nodes(node)


def _upwards(module: str, source: str) -> list[str]:
    """What a module imports from above itself."""
    first = module.partition(".")[0]
    assert first in PLACE, (
        f"candor.{first} has no place in the order of the package; give it one in {Path(__file__).name}"
    )
    packages = {name.partition(".")[0] for name in _imported(source)}
    return sorted(
        f"candor.{module} imports candor.{one}" for one in packages & PLACE.keys() if PLACE[one] > PLACE[first]
    )


def test_imports_point_downwards() -> None:
    assert [found for name, path in sorted(MODULES.items()) for found in _upwards(name, path.read_text("utf-8"))] == []


def test_every_place_is_taken() -> None:
    assert {name.partition(".")[0] for name in MODULES} == PLACE.keys()


@pytest.mark.parametrize(
    "source",
    [
        "import candor.training.loop",
        "from candor.training import loop",
        "from candor import training",
        "def late():\n    from candor.training.loop import train",
    ],
)
def test_an_import_from_above_is_found_wherever_it_stands(source: str) -> None:
    assert _upwards("prompts.encoding", source) == ["candor.prompts.encoding imports candor.training"]
    assert _upwards("runs.stages", source) == []
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from candor.training import loop"
    assert _upwards("prompts.encoding", guarded) == []


MODEL = ("torch", "transformers", "peft", "tokenizers", "candor.engines", "candor.training")
READS_FILES = [name for name in MODULES if name.partition(".")[0] in ("metrics", "comparison", "report")]


@pytest.mark.parametrize(
    ("modules", "without"),
    [
        (READS_FILES, MODEL),
        (["cli.main"], ("torch", "transformers", "peft", "candor.engines.local.engine")),
        (["verifier"], ("candor.training",)),
        (["errors"], (*MODEL, "numpy", "pandas", "matplotlib", "pydantic", "httpx2")),
        (["api.run", "api.compare"], ("torch", "transformers", "peft", "pandas", "matplotlib.pyplot")),
        (["serve.client"], (*MODEL, "numpy", "fastapi")),
    ],
    ids=["what reads files", "the command line", "the verifier", "candor itself", "saved runs", "the client"],
)
def test_a_fresh_process_loads_no_more_than_it_needs(modules: list[str], without: tuple[str, ...]) -> None:
    wanted = json.dumps([f"candor.{name}" for name in modules])
    code = f"import importlib, json, sys; [importlib.import_module(name) for name in {wanted}]"
    code += "; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    loaded: list[str] = json.loads(done.stdout)
    assert f"candor.{modules[0]}" in loaded
    assert [name for name in loaded if any(f"{name}.".startswith(f"{one}.") for one in without)] == []
