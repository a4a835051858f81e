"""Rows as pandas tables and as HTML."""

from __future__ import annotations

import sys

import pytest

from candor.api.tables import html_table, to_frame
from candor.errors import CandorError


def test_rows_become_a_frame() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed (extra 'notebook')")
    frame = to_frame(("name", "value"), [("a", 1.5), ("b", None)])
    assert list(frame.columns) == ["name", "value"]
    assert frame["name"].tolist() == ["a", "b"]
    assert frame["value"].isna().tolist() == [False, True]
    assert to_frame(("name",), []).empty


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(CandorError, match=r"pip install -e '\.\[notebook\]' in a clone"):
        to_frame(("a",), [])


def test_cells_are_text_in_html() -> None:
    table = html_table(("<a>",), [("</td><script>",)], caption="x & y")
    assert table == (
        "<table><caption>x &amp; y</caption><thead><tr><th>&lt;a&gt;</th></tr></thead>"
        "<tbody><tr><td>&lt;/td&gt;&lt;script&gt;</td></tr></tbody></table>"
    )
