"""Made-up answers for the tests of figures."""

from __future__ import annotations

from collections.abc import Callable

import made_view
import pytest

from candor.metrics.views import View

MakeView = Callable[..., View]


@pytest.fixture
def make_view() -> MakeView:
    """See :func:`made_view.make_view`."""
    return made_view.make_view
