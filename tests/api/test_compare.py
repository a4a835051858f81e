"""Two files compared from Python: the same numbers as the command's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_run import write_run
from typer.testing import CliRunner

import candor
from candor.cli.main import app
from candor.errors import PredictionError

RESAMPLES = 2000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), datasets=("wiki",), count=60)


def test_it_finds_what_the_command_finds(run: Path, tmp_path: Path) -> None:
    base, trained = (run / "predictions" / side / "wiki.jsonl" for side in ("base", "trained"))
    found = candor.compare(base, candor.read_predictions(trained), in_domain=True, resamples=RESAMPLES)
    words = ["compare", str(base), str(trained), "--in-domain", "--resamples", str(RESAMPLES)]
    done = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    written = json.loads((tmp_path / "out.json").read_text())
    (results,) = found.to_dict()
    (comparison,) = json.loads(json.dumps(results))["comparisons"]
    assert {key: written[key] for key in comparison} == comparison
    assert found.findings[0]["outcome"] == written["findings"][0]["outcome"]
    assert found.datasets == ["wiki"]
    assert "NA recall" in found._repr_html_()


def test_files_that_do_not_belong_together_are_refused(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path, datasets=("climate",), count=60)
    with pytest.raises(PredictionError, match="dataset"):
        candor.compare(run / "predictions" / "base" / "wiki.jsonl", other / "predictions" / "trained" / "climate.jsonl")
