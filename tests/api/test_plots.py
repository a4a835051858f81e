"""One drawing out of many, as a figure."""

from __future__ import annotations

import pytest

from candor.api.plots import chosen
from candor.errors import CandorError
from candor.report.plots import Series, reliability


def test_the_figure_of_a_name() -> None:
    drawing = reliability("reliability-wiki", "Reliability on wiki", [Series("base", "base", [0.5], [0.4])])
    figure = chosen([drawing], "reliability-wiki")
    assert figure is drawing.figure
    assert figure._repr_svg_() == drawing.svg  # type: ignore[attr-defined]
    with pytest.raises(CandorError, match="nothing is drawn under 'x'; there is: reliability-wiki"):
        chosen([drawing], "x")
    with pytest.raises(CandorError, match="there is: nothing"):
        chosen([], "x")
