"""Results of older schemas are read in today's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_run import in_old_words, results

from candor.metrics.check_results import check_results
from candor.metrics.old_results import in_current_words
from candor.metrics.schema import SCHEMA


@pytest.mark.parametrize("schema", [1, 2])
def test_findings_and_comparisons_of_an_older_schema(schema: int) -> None:
    old = in_old_words(results(), schema)
    now: Any = in_current_words(old)
    check_results(now)
    assert now["schema"] == SCHEMA
    assert [one["outcome"] for one in now["findings"]] == ["holds", "undecided"]
    assert [one["hypothesis"] for one in now["findings"]] == [1, 2]
    expected = results()
    # The numbers were sentences: nothing else is known of them.
    number = now["findings"][0]["numbers"][0]
    assert number["text"] == expected["findings"][0]["numbers"][0]["text"]
    assert (number["dataset"], number["value"]) == ("", None)
    assert now["comparisons"][0]["differences"] == expected["comparisons"][0]["differences"]
    assert now["comparisons"][0]["share_tests"] == []


def test_a_hypothesis_that_did_not_hold() -> None:
    old = in_old_words(results(), 2)
    old["findings"][0]["holds"] = False
    now: Any = in_current_words(old)
    assert now["findings"][0]["outcome"] == "does_not_hold"


def test_a_lone_comparison_and_other_schemas() -> None:
    old = in_old_words(results(), 2)["comparisons"][0]
    check_results(in_current_words(old))
    assert in_current_words(results()) == results()
    other = json.loads(json.dumps(old)) | {"schema": 0}
    assert in_current_words(other) == other
