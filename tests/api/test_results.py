"""What comparisons found: as a table, as plots, in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_run import HOSTILE, results, write_run
from matplotlib.figure import Figure

import candor
from candor.errors import CandorError
from candor.report.formats import FIGURE_COLUMNS


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> candor.Results:
    folder = tmp_path_factory.mktemp("experiment")
    for arm in ("paper", "candor"):
        for seed in (0, 1):
            write_run(folder / f"{arm}-seed{seed}", seed=seed, count=8)
    return candor.open_run(folder).results


def test_every_figure_is_a_row(found: candor.Results) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    frame = found.to_frame()
    assert tuple(frame.columns) == FIGURE_COLUMNS
    assert set(frame["arm"]) == {"paper", "candor"}
    assert set(frame["dataset"]) == set(found.datasets) == {"wiki", "revision", "climate"}
    item = results()["comparisons"][0]
    (row,) = frame[
        (frame["run"] == "candor-seed0") & (frame["dataset"] == "wiki") & (frame["metric"] == "auroc")
    ].to_dict("records")
    assert row["trained"] == item["metrics"]["trained"]["auroc"]["value"]
    assert [row["trained_low"], row["trained_high"]] == list(item["metrics"]["trained"]["auroc"]["interval"])
    assert row["difference"] == item["differences"]["auroc"]["value"]


def test_findings_say_whose_they_are(found: candor.Results) -> None:
    assert {one["run"] for one in found.findings} == {
        f"{arm}-seed{seed}" for arm in ("paper", "candor") for seed in (0, 1)
    }
    assert all(one["title"] and one["text"] for one in found.findings)
    assert len(found.to_dict()) == 4


def test_plots_are_matplotlib_figures_that_show_themselves(found: candor.Results) -> None:
    drawn = [
        found.plot_reliability("wiki"),
        found.plot_risk_coverage("wiki"),
        found.plot_confidence("climate"),
        found.plot_effect("auroc"),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
        assert "<svg" in figure._repr_svg_()  # type: ignore[attr-defined]
    assert "wiki" in drawn[0].get_suptitle()
    assert "climate" in drawn[2].get_suptitle()


def test_what_there_is_to_plot_is_named(found: candor.Results) -> None:
    with pytest.raises(CandorError, match=r"which dataset.*wiki, revision, climate"):
        found.plot_reliability()
    with pytest.raises(CandorError, match=r"no dataset 'mars'.*wiki"):
        found.plot_reliability("mars")
    with pytest.raises(CandorError, match="effect-auroc"):
        found.plot_effect("nothing")


def test_a_notebook_shows_tables_and_findings_as_text(tmp_path: Path, found: candor.Results) -> None:
    shown = found._repr_html_()
    assert shown.count("<table>") >= 3
    assert "candor" in shown
    hostile = candor.open_run(write_run(tmp_path, hostile=True, datasets=("wiki",))).results
    shown = hostile._repr_html_()
    assert "NA recall" in shown
    assert HOSTILE not in shown
    assert "<script>" not in shown
    assert isinstance(hostile.plot_reliability(), Figure)  # one dataset needs no name
