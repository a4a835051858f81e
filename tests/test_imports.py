"""Imports follow the data, and what reads saved files needs no model."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import candor

SOURCE = Path(candor.__file__).parent

LAYERS = (
    "types errors files config seeding means progress run_folder",
    "prompts metrics",
    "recipe sandbox",
    "data engines",
    "training predictions",
    "comparison",
    "verifier adapters",
    "report",
    "runs serve",
    "cli",
)
"""The order of the package: what stands in a line imports from that line and from those above it."""

WITHOUT_MODEL = ("metrics", "comparison", "report")
"""These read saved files: no torch, no engine."""


def _modules() -> dict[str, Path]:
    modules = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        modules[name] = path
    return modules


MODULES = _modules()


def _layer(module: str) -> int:
    if module == "__init__":
        return 0
    for number, line in enumerate(LAYERS):
        if module.split(".")[0] in line.split():
            return number
    pytest.fail(f"candor.{module} has no place in the order of the package yet; give it one in {Path(__file__).name}")


def _imports(path: Path, *, at_import: bool) -> set[str]:
    """Modules that a file imports; with ``at_import`` not those inside functions or for type checking alone."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def _own(imported: set[str]) -> set[str]:
    """Modules of the package among imported names, without the prefix."""
    own = {name.removeprefix("candor.") for name in imported if name.startswith("candor.")}
    return {name for name in own if name in MODULES}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_downwards(module: str) -> None:
    for other in _own(_imports(MODULES[module], at_import=False)):
        # The package's own __init__ hands out the verifier lazily.
        if module != "__init__":
            assert _layer(other) <= _layer(module), (
                f"candor.{module} must not import candor.{other}, which lies above it"
            )


def test_every_layer_exists() -> None:
    packages = {name.split(".")[0] for name in MODULES}
    assert {name for line in LAYERS for name in line.split()} <= packages


def _reached(module: str) -> set[str]:
    """Everything that importing a module imports, in the package and outside."""
    seen: set[str] = set()
    outside: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in MODULES:
            continue
        seen.add(name)
        imported = _imports(MODULES[name], at_import=True)
        outside.update(i.split(".")[0] for i in imported if not i.startswith("candor"))
        waiting.extend(_own(imported))
        waiting.extend(name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1))
    return seen | outside


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.split(".")[0] in WITHOUT_MODEL))
def test_what_reads_files_needs_no_model(module: str) -> None:
    reached = _reached(module)
    assert not reached & {"torch", "transformers", "peft", "tokenizers"}
    assert not {name for name in reached if name.split(".")[0] in ("engines", "training")}


def test_the_command_line_answers_without_torch() -> None:
    code = (
        "import sys, candor.cli.main, candor.comparison.compare, candor.report.page, candor.metrics.summary;"
        "print([m for m in ('torch', 'transformers', 'peft', 'candor.engines.local.engine') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_walking_finds_what_there_is() -> None:
    assert "torch" in _reached("training.loop")
    assert "engines.base" in _reached("training.loop")
    assert "engines.tree.path" in _reached("engines.local.engine")
    assert "prompts.templates" in _own(_imports(MODULES["prompts.encoding"], at_import=True))
