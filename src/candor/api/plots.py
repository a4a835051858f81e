"""One drawing of the report as a matplotlib figure that a notebook shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from candor.errors import CandorError
from candor.report.style import Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def chosen(drawings: Sequence[Drawing], name: str) -> Figure:
    """The figure of the drawing of this name.

    Raises:
        CandorError: it was not drawn, or in several panels; names those that were.
    """
    found = {drawing.name: drawing for drawing in drawings}
    if name not in found:
        raise CandorError(f"nothing is drawn under {name!r}; there is: {', '.join(found) or 'nothing'}")
    drawing = found[name]
    figure = drawing.figure
    # Without pyplot no notebook knows how to show a figure; asked for SVG, this one answers itself.
    vars(figure)["_repr_svg_"] = lambda: drawing.svg
    return figure
