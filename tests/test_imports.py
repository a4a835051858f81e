"""Imports follow the data, and what reads saved files needs no model."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import candor

SOURCE = Path(candor.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    # What everything may use.
    ("__init__", "errors", "types", "config", "files", "means", "seeding", "manifest", "run_folder"),
    ("prompts",),
    (
        "sandbox.reading",
        "sandbox.world",
        "sandbox.wiki",
        "sandbox.revision",
        "sandbox.climate",
        "sandbox.tokenizer",
        "sandbox",
    ),
    ("data.config", "data.sources", "data.text", "data"),
    ("engines.config", "engines"),
    ("rewards",),
    ("objective",),
    ("recipe",),
    ("answer_scores", "collapse"),
    ("expected_confidence",),
    ("grpo",),
    ("enumerated",),
    ("scoring", "steps"),
    ("training_log", "trackers"),
    ("train",),
    ("predictions", "predict", "validation"),
    ("metrics",),
    ("study", "paper_conventions", "sides", "posthoc", "abstention", "verdicts", "compare", "results", "run_results"),
    ("report",),
    ("progress",),
    ("models",),
    ("endpoint_form", "endpoint", "endpoint_probs", "endpoint_file"),
    ("prompt_lengths",),
    ("members",),
    ("experiment", "predict_file", "workers"),
    ("plan",),
    ("verifier", "verify_file", "model_card", "export", "push"),
    ("adapters",),
    ("serve",),
    ("use_commands", "predict_command"),
    ("cli",),
)
"""The order of the package: a module imports from its own line and those before it."""

EXCEPTIONS = {
    # Commands for data alone: they belong to the command line, and lie with what they call.
    ("data.commands", "recipe"),
    ("data.commands", "prompt_lengths"),
}

WITHOUT_MODEL = (
    "metrics",
    "report",
    "compare",
    "predictions",
    "posthoc",
    "verdicts",
    "results",
    "study",
    "sides",
    "cli",
)


def _modules() -> dict[str, Path]:
    modules = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        modules[name] = path
    return modules


MODULES = _modules()


def _layer(module: str) -> int:
    """Of the module itself if it is named, else of its package."""
    for name in (module, module.split(".")[0]):
        for number, names in enumerate(LAYERS):
            if name in names:
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
def test_imports_follow_the_data(module: str) -> None:
    layer = _layer(module)
    for other in _own(_imports(MODULES[module], at_import=False)):
        if (module, other) in EXCEPTIONS:
            continue
        assert _layer(other) <= layer, f"candor.{module} must not import candor.{other}, which comes after it"


def test_every_layer_exists() -> None:
    packages = {name.split(".")[0] for name in MODULES}
    named = {name for names in LAYERS for name in names}
    assert named <= set(MODULES) | packages


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
    assert not {name for name in reached if name.startswith("engines.") and name != "engines.config"}


def test_the_command_line_answers_without_torch() -> None:
    code = (
        "import sys, candor.cli, candor.compare, candor.report.page, candor.metrics.summary;"
        "print([m for m in ('torch', 'transformers', 'peft', 'candor.engines.local') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_walking_finds_what_there_is() -> None:
    assert "torch" in _reached("train")
    assert "engines.base" in _reached("train")
    assert "engines.prefix_tree" in _reached("engines.local")
    assert "prompts.templates" in _own(_imports(MODULES["prompts.encoding"], at_import=True))
