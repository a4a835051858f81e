"""What every page of candor is made with: its templates, its style sheet, its script, and the marks it draws."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from candor import __version__
from candor.report import formats
from candor.report.glossary import TERMS, meaning
from candor.report.style import DARK, PAPER
from candor.report.tables import Mark, Row

_INTERVAL: Final = re.compile(r"\[.*\]|\S+ to \S+")


def environment() -> Environment:
    """Templates in which every value is escaped, and an unknown one is an error."""
    made = Environment(
        loader=PackageLoader("candor.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"track": track, "dot": dot, "meaning": meaning, "told": _told, "latex": formats.latex}
    made.tests["interval"] = lambda text: _INTERVAL.fullmatch(text) is not None
    return made


def frame(title: str, facts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What the frame of every page is filled with."""
    script = _asset("page.js")
    return {
        "title": title,
        "facts": facts,
        "version": __version__,
        "css": Markup(stylesheet()),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "colours": json.dumps(PAPER),
        "glossary": TERMS,
    }


def stylesheet() -> str:
    """The page's style sheet, colours filled in; the page of a served model wears it too."""
    text = _asset("page.css")
    for name, colours in (("paper", PAPER), ("dark", DARK)):
        variables = " ".join(f"--fig-{role}: {colour};" for role, colour in colours.items())
        text = text.replace(f"{{{{ {name}_variables }}}}", variables)
    return text


def track(marks: Sequence[Mark]) -> Markup:
    """Where models stand between 0 and 1: a dot each over its interval, a bar for Bayes."""
    if not marks:
        return Markup("")
    shapes = ['<line class="axis" x1="0" x2="100%" y1="50%" y2="50%"/>']
    shapes += [_reach(mark) for mark in marks if mark.ends is not None]
    shapes += [_mark(mark.role, f"{mark.value:.1%}") for mark in marks]
    return Markup(f"<svg>{''.join(shapes)}</svg>")


def dot(role: str) -> Markup:
    """The mark of a model alone, for a key."""
    return Markup(f'<svg aria-hidden="true">{_mark(role, "50%")}</svg>')


def _reach(mark: Mark) -> str:
    low, high = mark.ends or (mark.value, mark.value)
    ends = f'x1="{max(0.0, low):.1%}" x2="{min(1.0, high):.1%}"'
    return f'<line class="reach" style="color: var(--fig-{mark.role})" {ends} y1="50%" y2="50%"/>'


def _mark(role: str, x: str) -> str:
    """The mark of a model at ``x``: hollow for base, filled for an arm, a bar for Bayes."""
    style = f'style="color: var(--fig-{role})"'
    if role == "bayes":
        return f'<line class="bar" {style} x1="{x}" x2="{x}" y1="15%" y2="85%"/>'
    return f'<circle class="{"hollow" if role == "base" else "filled"}" {style} cx="{x}" cy="50%" r="4.5"/>'


def _told(row: Row, columns: Sequence[str]) -> str:
    """A row's figures in words, a line each."""
    lines = []
    for column, cell in zip(columns[1:], row.cells, strict=True):
        note = cell.note.splitlines()[0] if cell.note else ""
        lines.append(f"{column}: {cell.text}{f' {note}' if _INTERVAL.fullmatch(note) else ''}")
    return "\n".join([row.header, *lines])


def _asset(name: str) -> str:
    return files("candor.report").joinpath("assets", name).read_text(encoding="utf-8")
