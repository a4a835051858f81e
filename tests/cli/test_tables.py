"""Options that say how a table is read."""

from __future__ import annotations

import pytest
import typer

from candor.cli.tables import table_form
from candor.recipe.data import Columns
from candor.types import Label


def test_none_given_is_none() -> None:
    assert table_form(None, []) is None


def test_columns_and_labels() -> None:
    form = table_form(
        ["claim=text", "evidence=e1", "evidence=e=2", "id="], ["yes=PASS", "a=b=fail", "spam=", " not sure = na "]
    )
    assert form is not None
    assert form.columns == Columns(claim="text", evidence=("e1", "e=2"), id=None)
    assert form.labels == {"yes": Label.PASS, "a=b": Label.FAIL, "spam": None, "not sure": Label.NA}


@pytest.mark.parametrize(
    ("columns", "labels", "words"),
    [
        (["claim"], [], "'claim' has no ="),
        (["text=claim"], [], "'text' is none of claim, evidence, label, id, group"),
        (["claim="], [], "claim= names no column"),
        (["claim=a", "claim=b"], [], "claim is given twice"),
        ([], ["yes"], "'yes' has no ="),
        ([], ["yes=MAYBE"], "'MAYBE' is none of PASS, FAIL, NA"),
        ([], ["yes=PASS", "yes=NA"], "'yes' is given twice"),
    ],
)
def test_options_that_are_wrong(columns: list[str], labels: list[str], words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        table_form(columns, labels)
