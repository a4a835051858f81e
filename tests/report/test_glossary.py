"""The words of the page and what they mean."""

from __future__ import annotations

import pytest

from candor.comparison.models import COMPARED
from candor.report import wording
from candor.report.glossary import TERMS, meaning
from candor.report.tables import HEADLINE


@pytest.mark.parametrize("metric", dict.fromkeys([*HEADLINE, *COMPARED]))
def test_every_figure_of_the_main_tables_is_explained(metric: str) -> None:
    assert meaning(wording.title(metric))


def test_headers_find_their_word() -> None:
    assert meaning("p (Holm)") == TERMS["Holm"]
    assert meaning("Probe: Accuracy, %") == TERMS["Accuracy"]
    assert meaning("candor") == ""


def test_what_says_na_to_everything_is_named_beside_na_recall() -> None:
    assert "NA to everything has 100 %" in TERMS["False NA"]
