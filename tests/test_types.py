"""The names of labels, and where the word for a disputed claim counts as one."""

from __future__ import annotations

from candor.types import LABEL_NAMES, LABEL_NAMES_WITH_DISPUTED, LABELS, NO_LABEL, Label


def test_every_label_is_called_by_its_own_name() -> None:
    assert {name: LABEL_NAMES[name.casefold()] for name in ("PASS", "FAIL", "NA")} == {
        "PASS": Label.PASS,
        "FAIL": Label.FAIL,
        "NA": Label.NA,
    }
    assert all(name == name.casefold() for name in LABEL_NAMES_WITH_DISPUTED)


def test_disputed_is_a_label_only_where_it_is_asked_for() -> None:
    assert "disputed" not in LABEL_NAMES
    assert LABEL_NAMES_WITH_DISPUTED["disputed"] is Label.NA


def test_no_label_is_the_place_of_none() -> None:
    assert NO_LABEL not in range(len(LABELS))
