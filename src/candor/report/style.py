"""Colours by role, and how a matplotlib figure becomes a file or a part of the page.

A figure is drawn once, in the colours for white paper. For the page every one of these colours is replaced by
a CSS variable of the same role, so that one drawing follows the page into dark mode.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from candor.files import atomic_path, write_text

PAPER: dict[str, str] = {
    "text": "#1d232b",
    "muted": "#59636f",
    "grid": "#dde1e7",
    "base": "#6e7781",
    "bayes": "#3d444d",
    "right": "#0b72b1",
    "wrong": "#d15d02",
    "pass": "#018a65",
    "fail": "#d25c01",
    "na": "#a5508a",
    "series1": "#0072b2",
    "series2": "#d55e00",
    "series3": "#008f68",
    "series4": "#b0558f",
    "series5": "#946a00",
    "series6": "#2a8fc9",
}
"""Role to colour on paper. The hues are those of Okabe and Ito (2008), chosen to be told apart with any colour
vision; some are darkened so that each has at least 3:1 contrast on white (WCAG 2.2, 1.4.11). All values differ,
which is what makes replacing them by role possible."""

DARK: dict[str, str] = {
    "text": "#e7eaee",
    "muted": "#a4aeba",
    "grid": "#2c343e",
    "base": "#9aa5b1",
    "bayes": "#d5dae0",
    "right": "#56b4e9",
    "wrong": "#e69f00",
    "pass": "#2fc497",
    "fail": "#ff9a52",
    "na": "#e08cc4",
    "series1": "#56b4e9",
    "series2": "#ff8a3d",
    "series3": "#2fc497",
    "series4": "#e08cc4",
    "series5": "#f0d642",
    "series6": "#9ad0f5",
}
"""The same roles on the page's dark ground."""

SERIES = tuple(role for role in PAPER if role.startswith("series"))
MARKERS = ("o", "s", "^", "D", "v", "P")
LABEL_ROLES = {"PASS": "pass", "FAIL": "fail", "NA": "na"}

PANEL_INCHES = (5.0, 3.5)
"""A panel is 360 units wide (72 per inch), so its text keeps its size on a phone of that width."""

_RC = {
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 11,
    "axes.labelcolor": PAPER["muted"],
    "axes.titlecolor": PAPER["text"],
    "axes.edgecolor": PAPER["muted"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PAPER["grid"],
    "grid.linewidth": 0.8,
    "xtick.color": PAPER["muted"],
    "ytick.color": PAPER["muted"],
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": PAPER["text"],
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "candor",
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class Point:
    """A place with what stands there: ``x`` and ``y`` of axes before, of the SVG after :func:`finish`."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with the words that stand for it.

    Attributes:
        name: of its files, without ending; unique on a page.
        title: one line.
        description: what a reader who cannot see it should know.
        figure: the matplotlib figure, laid out.
        svg: a stand-alone SVG document in the colours of paper; equal figures give equal text.
        points: places of the drawing, in the units of the SVG, that a page shows the values of.
    """

    name: str
    title: str
    description: str
    figure: Figure
    svg: str
    points: tuple[Point, ...] = ()


def role_of(place: int) -> str:
    """Role of the arm at this place; colours repeat after six."""
    return SERIES[place % len(SERIES)]


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Context in which figures are created and rendered, whatever the user's matplotlib settings are."""
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
    with mpl.rc_context({**defaults, **_RC}):
        yield


def finish(
    name: str,
    title: str,
    description: str,
    figure: Figure,
    points: Sequence[tuple[Axes, Sequence[Point]]] = (),
) -> Drawing:
    """Lay a figure out and render it; ``points`` are the values of each of its axes."""
    buffer = io.StringIO()
    with style():
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    # Laid out once: the PNG is then the same drawing, at half the cost.
    figure.set_layout_engine("none")
    placed = tuple(_placed(figure, axes, point) for axes, found in points for point in found)
    return Drawing(name, title, description, figure, buffer.getvalue(), placed)


def _placed(figure: Figure, axes: Axes, point: Point) -> Point:
    """A point of the axes in the units of the SVG, 72 to the inch and down from the top."""
    x, y = axes.transData.transform((point.x, point.y)) * (72 / figure.dpi)
    return Point(float(x), float(72 * figure.get_figheight() - y), point.text)


def inline_svg(drawing: Drawing) -> str:
    """The drawing as an ``<svg>`` element for a page that defines ``--fig-<role>`` for every role.

    Ids are made unique to the drawing, coordinates are rounded to a hundredth of a unit, and fonts are left to
    the page. Title and description are escaped; text inside was escaped by matplotlib.
    """
    svg = drawing.svg[drawing.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    # Only tags are touched: what stands between them may be a name that a person chose.
    svg = re.sub(r"<[^>]+>", lambda tag: _themed(tag[0], drawing.name), svg)
    svg = re.sub(r">\s*\n\s*<", "><", svg)
    view_box = re.search(r'viewBox="([^"]+)"', svg)
    body = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    points = "".join(
        f'<circle cx="{point.x:.1f}" cy="{point.y:.1f}" r="7" data-tip="{escape(point.text)}"/>'
        for point in drawing.points
    )
    return (
        f'<svg role="img" viewBox="{view_box[1] if view_box else ""}" '
        f'aria-labelledby="{drawing.name}-title {drawing.name}-desc">'
        f'<title id="{drawing.name}-title">{escape(drawing.title)}</title>'
        f'<desc id="{drawing.name}-desc">{escape(drawing.description)}</desc>{body}'
        f'{f"""<g class="hits">{points}</g>""" if points else ""}</svg>'
    )


def _themed(tag: str, name: str) -> str:
    """One tag with colours by role, the page's fonts, ids of its own and short coordinates."""
    for role, colour in PAPER.items():
        tag = tag.replace(colour, f"var(--fig-{role})")
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"font: (?:(\d+) )?([\d.]+)px [^;\"]*", _font, tag)
    tag = re.sub(r"\bid=\"([^\"]+)\"", rf'id="{name}-\1"', tag)
    tag = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", tag)
    tag = re.sub(r"xlink:href=\"#([^\"]+)\"", rf'href="#{name}-\1"', tag)
    return re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), tag)


def _font(match: re.Match[str]) -> str:
    weight = f"font-weight: {match[1]}; " if match[1] else ""
    return f"{weight}font-size: {match[2]}px"


def save(drawing: Drawing, folder: Path) -> list[Path]:
    """Write ``<name>.svg`` and ``<name>.png`` (on white, 200 dots per inch) into ``folder``."""
    svg_path, png_path = folder / f"{drawing.name}.svg", folder / f"{drawing.name}.png"
    write_text(svg_path, drawing.svg)
    with style(), atomic_path(png_path) as temporary:
        canvas = FigureCanvasAgg(drawing.figure)
        drawing.figure.set_dpi(200)
        drawing.figure.patch.set_facecolor("white")
        canvas.print_png(temporary)
        drawing.figure.patch.set_facecolor("none")
    return [svg_path, png_path]
