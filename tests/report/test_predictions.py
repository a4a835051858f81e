"""Predictions chosen for the page, and their way into a script element."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from candor.report.predictions import browsable, script_json
from candor.report.runs import SavedRun
from candor.types import LABELS, Prediction, Validity


def prediction(name: str, label: int | None, *, confidence: float = 0.5, claim: str = "c", raw: str = "") -> Prediction:
    return Prediction(
        id=name,
        dataset="d",
        group=name,
        claim=claim,
        evidence=("e",),
        gold=LABELS[0],
        raw=raw,
        label=None if label is None else LABELS[label],
        confidence=confidence,
        validity=Validity.NONE if label is None else Validity.CLEAN,
    )


def of(base: list[Prediction], trained: list[Prediction], name: str = "r") -> SavedRun:
    return SavedRun(name=name, folder=Path(), results={}, predictions={"base": {"d": base}, "trained": {"d": trained}})


def test_predictions_are_paired_by_id_in_file_order() -> None:
    data = browsable([of([prediction("a", 0), prediction("b", 1)], [prediction("b", 0), prediction("c", 0)])])
    assert data["total"] == data["kept"] == 1
    assert data["examples"] == [{"id": "b", "dataset": "d", "claim": "c", "evidence": ["e"], "gold": "PASS"}]
    assert data["runs"] == [{"name": "r", "arm": "r", "rows": [[0, ["FAIL", 0.5, None], ["PASS", 0.5, None]]]}]


def test_when_not_all_fit_those_that_changed_or_are_confidently_wrong_stay() -> None:
    base = [prediction(str(n), 1, claim="x" * 500) for n in range(20)]
    trained = [prediction(str(n), 1) for n in range(20)]
    trained[17] = prediction("17", 0)
    trained[19] = prediction("19", 1, confidence=0.95)
    data = browsable([of(base, trained)], max_bytes=2500)
    assert data["total"] == 20
    kept = [data["examples"][row[0]]["id"] for row in data["runs"][0]["rows"]]
    assert kept[-2:] == ["17", "19"]
    assert kept[:-2] == [str(n) for n in range(len(kept) - 2)]
    assert len(script_json(data).encode()) <= 2500


def test_runs_share_the_text_of_their_examples() -> None:
    one = of([prediction("a", 0)], [prediction("a", 1)])
    data = browsable([one, one])
    assert len(data["examples"]) == 1
    assert [run["rows"][0][0] for run in data["runs"]] == [0, 0]


def test_when_not_all_fit_those_where_trained_models_differ_stay_with_every_answer() -> None:
    base = [prediction(str(n), 1, claim="x" * 500) for n in range(20)]
    alike = [prediction(str(n), 1) for n in range(20)]
    other = [prediction(str(n), 2 if n == 18 else 1) for n in range(20)]
    data = browsable([of(base, alike, "a/seed-0"), of(base, other, "b/seed-0")], max_bytes=2500)
    assert [run["arm"] for run in data["runs"]] == ["a", "b"]
    for run in data["runs"]:
        kept = [data["examples"][row[0]]["id"] for row in run["rows"]]
        assert "18" in kept
        assert "17" not in kept


def test_of_a_long_output_the_end_is_kept_where_the_verdict_stands() -> None:
    data = browsable([of([prediction("a", None, raw="x" * 900 + "END")], [prediction("a", 0)])])
    raw = data["runs"][0]["rows"][0][1][2]
    assert raw.startswith("(403 characters before) … x")
    assert raw.endswith("xEND")


@given(st.text())
def test_json_in_a_script_element_cannot_end_it_and_reads_back(text: str) -> None:
    written = script_json([text])
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == [text]
