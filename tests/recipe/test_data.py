from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claim_files import COLUMNS

from candor.recipe.data import DataConfig, TableSource
from candor.types import Label


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test": {"wikki": 3}}, "did you mean 'wiki'"),
        ({"test": {"wiki": {"MAYBE": 3}}}, "MAYBE"),
        ({"test": {"wiki": {"PASS": -1}}}, "greater than or equal to 0"),
        ({"test": {"wiki": {"PASS": "3"}}}, "valid integer"),
        ({"sources": {}}, "at least 1"),
        ({"sources": {"wiki": {"kind": "sandbx"}}}, "sandbox"),
        ({"sources": {"wiki": {"kind": "sandbox", "x": 1}}}, "Extra inputs"),
        ({"on_shortage": "ignore"}, "'error', 'shrink' or 'in_order'"),
        ({"split": {"train": 0.5}, "test": {"wiki": 1}}, "split: no effect, as counts are asked of every source"),
        ({"split": {"train": 0.5}}, "wiki is a sandbox"),
        ({"split": {"train": 0.9, "test": 0.2}}, "add up to 1.1"),
        ({"split": {"trian": 0.5}}, "trian"),
        ({"sources": {"wiki": {"kind": "table", "path": "a.csv", "labels": {True: "PASS"}}}}, "in quotes"),
    ],
)
def test_wrong_configs(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataConfig.model_validate({"sources": {"wiki": {"kind": "sandbox"}}, **changes})


@pytest.mark.parametrize(
    "name", ["/tmp/x", "../../x", "..", ".", ".hidden", "a/b", "a\\b", "a\x00", "a\n", "", " a", "-a", "C:a", "~", "ａ"]
)
def test_a_source_is_named_like_a_file_and_leads_nowhere_else(name: str) -> None:
    with pytest.raises(ValueError, match=r"^1 validation error for DataConfig\nsources\n") as error:
        DataConfig.model_validate(
            {"sources": {"wiki": {"kind": "sandbox"}, name: {"kind": "sandbox", "domain": "wiki"}}}
        )
    assert repr(name) in str(error.value)


def test_labels_of_a_table_are_written_in_any_way_that_means_one_thing() -> None:
    labels = {0: "pass", 1.0: "Fail", "2": "NA", "spam": None}
    source = {"kind": "table", "path": "a.csv", "labels": labels}
    (table,) = DataConfig.model_validate({"sources": {"mine": source}}).sources.values()
    assert isinstance(table, TableSource)
    assert table.labels == {"0": Label.PASS, "1.0": Label.FAIL, "2": Label.NA, "spam": None}
    for wrong in ("maybe", 0, True):
        with pytest.raises(ValueError, match=r"labels\.x"):
            DataConfig.model_validate({"sources": {"mine": source | {"labels": {"x": wrong}}}})


@pytest.mark.parametrize("kind", ["check-covid", "scitab", "healthver", "scifact", "averitec", "fever-symmetric"])
def test_published_datasets_need_no_more_than_their_kind(kind: str) -> None:
    config = DataConfig.model_validate({"sources": {kind: {"kind": kind}}, "test": {kind: 3}})
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ValueError, match=r"parts|Extra inputs"):
        DataConfig.model_validate({"sources": {kind: {"kind": kind, "parts": ["none"]}}})


def test_config_survives_json(tmp_path: Path) -> None:
    config = DataConfig.model_validate(
        {
            "sources": {
                "fever": {"kind": "fever", "parts": ["dev"], "na_sentences": 3},
                "mine": {"kind": "table", "path": "a.csv", "columns": COLUMNS, "labels": {"yes": "PASS"}},
            },
            "train": {"fever": {"NA": 2, "PASS": 1}, "mine": 7},
        }
    )
    assert DataConfig.model_validate(config.model_dump(mode="json")) == config
    usual = DataConfig.model_validate({"sources": {"mine": {"kind": "table", "path": "a.csv"}}})
    assert DataConfig.model_validate(usual.model_dump(mode="json")) == usual
    assert DataConfig.model_validate_json(config.model_dump_json()) == config
    assert config.requested("fever") == 3


def test_shares_are_asked_of_sources_without_counts() -> None:
    made = DataConfig.model_validate(
        {
            "sources": {name: {"kind": "table", "path": f"{name}.csv"} for name in ("mine", "other")},
            "split": {"train": 0.6, "test": 0.3},
            "test": {"other": 5},
        }
    )
    assert made.counts("train") == {"mine": 0.6}
    assert made.counts("test") == {"other": 5, "mine": 0.3}
    assert made.counts("validation") == {}
    assert (made.asks("train"), made.asks("validation")) == (True, False)
    assert DataConfig.model_validate(made.model_dump(mode="json")) == made


def test_a_label_said_as_a_number_and_as_text_is_one_key() -> None:
    with pytest.raises(ValueError, match="'1' stands in it twice, as a number and as text"):
        TableSource.model_validate({"kind": "table", "path": "a.csv", "labels": {1: "PASS", "1": "FAIL"}})
