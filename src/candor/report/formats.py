"""Tables as terminal output, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from candor.report.arms import Arm, comparisons, difference, figure
from candor.report.runs import SavedRun
from candor.report.tables import HEADLINE, LEAST_SEEN, Cell, Table, comparison_table

_NOWHERE = Path()

WIDE = 104
"""Columns of a terminal from which on every figure shows its interval, not the difference alone."""

MOST_NOTED = 6
"""Columns of a table whose figures all have room for their intervals."""

_STYLES = {"better": "green", "worse": "red", "": ""}


class TerminalTable:
    """Base -> trained -> Bayes for a terminal of any width from 80 columns on; see :func:`terminal_table`."""

    def __init__(self, table: Table) -> None:
        """Show ``table``, made by :func:`~candor.report.tables.comparison_table`."""
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render with as many intervals as fit."""
        wide = options.max_width >= WIDE and len(self.table.columns) <= MOST_NOTED
        # Where there is no column of p-values, the figure itself carries the star.
        starred = {"p", "p (Holm)"} & set(self.table.columns) or set(self.table.columns)
        for group in self.table.groups:
            yield Text(group.title, style="bold")
            shown = RichTable(box=None, padding=(0, 1), pad_edge=False, collapse_padding=not wide, header_style="dim")
            shown.add_column(Text(self.table.columns[0]), overflow="fold")
            for name in self.table.columns[1:]:
                shown.add_column(Text(name), justify="right", no_wrap=True)
            for row in group.rows:
                cells = [
                    _rich_cell(cell, noted=wide or name == "Difference", starred=name in starred)
                    for cell, name in zip(row.cells, self.table.columns[1:], strict=True)
                ]
                shown.add_row(Text(row.header), *cells)
            yield shown
            yield Text("")


def terminal_table(results: Mapping[str, Any], metrics: Sequence[str] = HEADLINE) -> Group:
    """A Rich renderable of a run's ``results.json`` or of one comparison.

    Args:
        results: of kind ``run`` or ``comparison`` (see docs/results.md); figures without interval, p or Bayes
            limit are shown without.
        metrics: rows, by name; those that the results lack are left out.
    """
    table = comparison_table(comparisons(SavedRun(name="", folder=_NOWHERE, results=results)), metrics)
    return Group(TerminalTable(table), _Caption(f"{table.caption} (*: significant.)"))


class _Caption:
    """A caption for a terminal of any width: a narrow table does not show the least difference that would be seen."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width >= WIDE
        yield Text(self._text if wide else self._text.replace(f" {LEAST_SEEN}", ""), style="dim")


def warnings_text(warnings: Sequence[str]) -> Group:
    """What a reader of the tables must know, for a terminal; nothing where there is nothing to say."""
    lines = [Text("Warnings", style="bold"), *(Text(f"  {sentence}") for sentence in warnings), Text("")]
    return Group(*(lines if warnings else []))


def findings_text(findings: Sequence[Mapping[str, Any]]) -> Group:
    """What is said of each hypothesis, with what speaks against it, for a terminal."""
    lines = []
    for finding in findings:
        lines += [Text(str(finding["title"]), style="bold"), Text(str(finding["text"]))]
        lines += [Text(f"  against: {sentence}", style="dim") for sentence in finding["against"]]
        lines.append(Text(""))
    return Group(*lines)


def csv_text(arms: Sequence[Arm]) -> str:
    """Every figure of every run, unrounded: one line per run, dataset and metric."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(FIGURE_COLUMNS)
    writer.writerows([_csv_text(value) for value in row] for row in figure_rows(arms))
    return buffer.getvalue()


def markdown(table: Table) -> str:
    """A GitHub table; a group's title is a row of its own, in bold."""
    lines = [
        "| " + " | ".join(map(_markdown_text, table.columns)) + " |",
        "| --- |" + " ---: |" * (len(table.columns) - 1),
    ]
    for group in table.groups:
        if group.title:
            lines.append(f"| **{_markdown_text(group.title)}** |" + " |" * (len(table.columns) - 1))
        for row in group.rows:
            cells = [_markdown_cell(cell) for cell in row.cells]
            lines.append("| " + " | ".join([_markdown_text(row.header), *cells]) + " |")
    return "\n".join(lines) + f"\n\n{_markdown_text(table.caption)}\n"


def latex(table: Table) -> str:
    """A ``tabular`` with booktabs rules; the caption is a comment above it."""
    width = len(table.columns)
    lines = [
        *(f"% {line}" for line in table.caption.splitlines()),
        r"\begin{tabular}{l" + "r" * (width - 1) + "}",
        r"\toprule",
        " & ".join(map(_latex_text, table.columns)) + r" \\",
    ]
    for group in table.groups:
        lines.append(r"\midrule")
        if group.title:
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{_latex_text(group.title)}}}}} \\")
        lines += [" & ".join([_latex_text(row.header), *map(_latex_cell, row.cells)]) + r" \\" for row in group.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


FIGURE_COLUMNS = (
    *("arm", "run", "dataset", "role", "metric"),
    *("base", "base_low", "base_high", "trained", "trained_low", "trained_high", "n"),
    *("difference", "difference_low", "difference_high", "p", "p_holm", "bayes"),
)
"""Of every figure: whose it is, both models' values with their intervals, and what lies between them."""


def figure_rows(arms: Sequence[Arm]) -> Iterator[list[Any]]:
    """Every figure of every run, unrounded, in the order of :data:`FIGURE_COLUMNS`; ``None`` where there is none."""
    for arm in arms:
        for run in arm.runs:
            for item in comparisons(run):
                names = {**item["metrics"].get("base", {}), **item["metrics"].get("trained", {})}
                for metric in names:
                    base, trained = figure(item, "base", metric), figure(item, "trained", metric)
                    change = difference(item, metric)
                    yield [
                        *(arm.name, run.name, item["dataset"], item.get("role") or "", metric),
                        base.get("value"),
                        *_ends(base),
                        trained.get("value"),
                        *_ends(trained),
                        trained.get("n"),
                        change.get("value"),
                        *_ends(change),
                        change.get("p"),
                        change.get("p_holm"),
                        figure(item, "bayes", metric).get("value"),
                    ]


def _ends(found: Mapping[str, Any]) -> tuple[float | None, float | None]:
    ends = found.get("interval")
    return (found.get("at_least"), None) if ends is None else (ends[0], ends[1])


def _csv_text(value: Any) -> Any:
    # A spreadsheet runs text that begins like a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _rich_cell(cell: Cell, *, noted: bool, starred: bool) -> Text:
    style = " ".join(filter(None, ("bold" if cell.strong else "", _STYLES[cell.tone])))
    # Where output is piped there is no bold.
    text = Text(f"{cell.text}*" if starred and cell.strong else cell.text, style=style)
    if noted and cell.note.startswith("["):
        text.append(f" {cell.note.splitlines()[0]}", style="dim")
    return text


def _markdown_cell(cell: Cell) -> str:
    text = _markdown_text(cell.text)
    # The brackets of an interval cannot be taken for a link, so they stay readable as they are.
    note = _markdown_text(cell.note).replace(r"\[", "[").replace(r"\]", "]")
    return " ".join(filter(None, (f"**{text}**" if cell.strong else text, note)))


def _markdown_text(text: str) -> str:
    for character in "\\|*_<>`[]":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", "; ")


def _latex_cell(cell: Cell) -> str:
    text = _latex_number(cell.text)
    note = rf" {{\small {_latex_number(cell.note)}}}" if cell.note else ""
    return (rf"\textbf{{{text}}}" if cell.strong else text) + note


def _latex_number(text: str) -> str:
    return _latex_text(text).replace("<", "$<$").replace("−", "$-$")


def _latex_text(text: str) -> str:
    replaced = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": "; "}
    replaced |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(replaced.get(character, character) for character in text)
