"""The example notebooks run from the first cell to the last, as they are written."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from chat_models import save_chat_model
from chat_server import serve_chat
from places import ROOT
from pytest_httpserver import HTTPServer

import candor

EXAMPLES = ROOT / "examples"


def cells(name: str) -> list[str]:
    notebook = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cells(name: str) -> dict[str, Any]:
    """Run a notebook's cells as a kernel does: in an event loop, each one's last expression shown."""
    space: dict[str, Any] = {"__name__": "__main__"}

    async def kernel() -> None:
        for number, source in enumerate(cells(name)):
            tree = ast.parse(source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            place = f"{name}.ipynb, code cell {number + 1}"
            exec(compile(tree, place, "exec"), space)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), place, "eval"), space)
                show = getattr(value, "_repr_svg_", None) or getattr(value, "_repr_html_", None)
                assert show is None or "<" in show()

    asyncio.run(kernel())
    return space


@pytest.mark.slow
def test_own_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a small Qwen3 where the notebook names one that would have to be downloaded."""
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    save_chat_model(tmp_path / "Qwen" / "Qwen3-0.6B", "qwen3")
    monkeypatch.chdir(tmp_path)
    space = run_cells("own-claims")
    assert (tmp_path / "runs" / "mine-quick" / "report.html").is_file()
    assert set(space["headline"]["metric"]) >= {"na_recall", "false_na_rate", "accuracy"}
    assert len(space["answers"]) == 30
    assert space["verdict"].label in ("PASS", "FAIL", "NA")
    assert "The whole report:" in capsys.readouterr().out


def test_judge_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    server = serve_chat(httpserver)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("CANDOR_ENDPOINT", f"{server.url}/v1")
    monkeypatch.chdir(tmp_path)
    space = run_cells("judge-an-endpoint")
    assert {body["model"] for body in server.bodies} == {"first-model", "second-model"}
    assert len(space["first"]) == len(space["second"]) == 60
    assert space["found"].datasets == ["towns"]
    assert space["figures"].set_index("metric").loc["accuracy", "trained"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(path: Path) -> None:
    """What a run printed belongs to that run; and every name of candor that a cell uses is handed out."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    used = {
        node.attr
        for source in cells(path.stem)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "candor"
    }
    assert used <= set(candor.__all__)
    assert all(inspect.getdoc(getattr(candor, name)) for name in used)
