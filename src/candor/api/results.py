"""What comparisons found, for a program or a notebook: figures as a table, findings, plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from candor.api.plots import chosen
from candor.api.tables import html_table, to_frame
from candor.errors import CandorError
from candor.report import figures, wording
from candor.report.arms import Arm, arms_of, comparisons, datasets_of
from candor.report.formats import FIGURE_COLUMNS, figure_rows
from candor.report.runs import SavedRun
from candor.report.tables import Cell, arms_table, comparison_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Results:
    """Base and trained model compared on one dataset or several, for one run or several.

    Attributes:
        runs: at least one, each with the results that ``docs/results.md`` documents.
    """

    runs: tuple[SavedRun, ...]

    @property
    def datasets(self) -> list[str]:
        """Every dataset that was evaluated, in order."""
        return datasets_of(self._arms)

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """What is said of each hypothesis in each run: ``run``, ``title``, ``outcome``, ``text``, ``against`` ..."""
        return [{"run": run.name, **finding} for run in self.runs for finding in run.results.get("findings", ())]

    def to_dict(self) -> list[Mapping[str, Any]]:
        """The results of each run as they are saved, without anything left out."""
        return [run.results for run in self.runs]

    def to_frame(self) -> pd.DataFrame:
        """One row a run, dataset and metric: both models' values, their intervals, the difference, p and Bayes' limit.

        Raises:
            CandorError: pandas is not installed.
        """
        return to_frame(FIGURE_COLUMNS, list(figure_rows(self._arms)))

    def plot_reliability(self, dataset: str | None = None) -> Figure:
        """Share of right answers against stated confidence; a calibrated model follows the diagonal.

        Args:
            dataset: which; may be left out where there is one.

        Raises:
            CandorError: there is no such dataset, or nothing of it to draw.
        """
        return self._drawn("reliability", dataset)

    def plot_risk_coverage(self, dataset: str | None = None) -> Figure:
        """Share of wrong answers among the surest, by how many are kept; arguments as of :meth:`plot_reliability`."""
        return self._drawn("risk-coverage", dataset)

    def plot_confidence(self, dataset: str | None = None) -> Figure:
        """Stated confidence of right and of wrong answers; arguments as of :meth:`plot_reliability`."""
        return self._drawn("confidence", dataset)

    def plot_effect(self, metric: str = "na_recall") -> Figure:
        """The difference that training made to one figure, with its interval, on every dataset.

        Args:
            metric: ``na_recall``, ``accuracy``, ``auroc``, ``brier`` and the like.

        Raises:
            CandorError: no such difference was drawn; names those that are.
        """
        drawings = figures.effect_figures(self._arms).drawings
        return chosen(drawings, f"effect-{wording.slug(metric)}")

    @property
    def _arms(self) -> list[Arm]:
        return arms_of(self.runs)

    def _drawn(self, kind: str, dataset: str | None) -> Figure:
        names = self.datasets
        if dataset is None and len(names) == 1:
            (dataset,) = names
        if dataset not in names:
            asked = "which dataset?" if dataset is None else f"no dataset {dataset!r};"
            raise CandorError(f"{asked} there are: {', '.join(names) or 'none'}")
        alone = [_on(run, dataset) for run in self.runs]
        drawings = [one for group in figures.calibration_figures(arms_of(alone)) for one in group.drawings]
        return chosen(drawings, f"{kind}-{wording.slug(dataset)}")

    def _repr_html_(self) -> str:
        several = len(self.runs) > 1
        table = arms_table(self._arms) if several else comparison_table(comparisons(self.runs[0]))
        parts = []
        for group in table.groups:
            rows = [(row.header, *map(_cell, row.cells)) for row in group.rows]
            parts.append(html_table(table.columns, rows, caption=group.title))
        parts.append(f"<p>{escape(table.caption)}</p>")
        said = [f"<li><b>{escape(str(one['title']))}</b> {escape(str(one['text']))}</li>" for one in self.findings]
        return "".join([*parts, f"<ul>{''.join(said)}</ul>" if said else ""])


def _on(run: SavedRun, dataset: str) -> SavedRun:
    kept = [item for item in comparisons(run) if item["dataset"] == dataset]
    return replace(run, results={**run.results, "kind": "run", "comparisons": kept})


def _cell(cell: Cell) -> str:
    return " ".join(filter(None, (f"{cell.text}{'*' if cell.strong else ''}", cell.note.replace("\n", " "))))
