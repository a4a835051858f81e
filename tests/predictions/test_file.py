"""Prediction files: what is written is what is read, and what cannot be used is refused with its place."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from candor.errors import PredictionError
from candor.predictions.file import Header, is_prediction_file, read_predictions, read_text, write_predictions
from candor.types import Label, Prediction, Validity

HEADER = Header("tiny", "verdict", "ab" * 32, "wiki", "test", 3)

ROW = Prediction(
    id="a",
    dataset="wiki",
    group="page",
    claim="Äpfel sind rot.\u2028\nNext",
    evidence=("one", "two"),
    gold=Label.NA,
    raw="LABEL=NA\nCONF=0.40",
    label=Label.NA,
    confidence=0.4,
    validity=Validity.CLEAN,
    label_probs=(0.1, 0.2, 0.7),
    valid_mass=0.99,
    evidence_dropped=1,
    posterior=(0.25, 0.25, 0.5),
)
NONE = replace(
    ROW, id="b", raw="???", label=None, confidence=None, validity=Validity.NONE, label_probs=None, posterior=None
)


def refusal(path: Path, place: int, change: dict[str, object]) -> str:
    """What is said of a file of one row whose header (0) or row (1) was changed."""
    write_predictions(path, HEADER, [ROW])
    lines = path.read_text().rstrip("\n").split("\n")
    lines[place] = json.dumps(json.loads(lines[place]) | change)
    path.write_text("\n".join(lines))
    with pytest.raises(PredictionError) as caught:
        read_predictions(path)
    return str(caught.value)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, HEADER, [ROW, NONE])
    file = read_predictions(path)
    assert file.header == HEADER
    assert file.predictions == (ROW, NONE)
    assert isinstance(file.predictions[0].gold, Label)
    assert is_prediction_file(read_text(path))


def test_gzipped_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, HEADER, [ROW])
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_predictions(path).predictions == (ROW,)


def test_a_byte_order_mark_is_none_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, HEADER, [ROW])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert is_prediction_file(read_text(path))
    assert read_predictions(path).predictions == (ROW,)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_predictions(path).predictions == (ROW,)


def test_an_empty_file_of_predictions_is_one(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.jsonl", HEADER, [])
    assert read_predictions(tmp_path / "p.jsonl").predictions == ()


def test_repeated_ids_are_refused_on_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with pytest.raises(PredictionError, match="'a' occurs twice"):
        write_predictions(path, HEADER, [ROW, ROW])
    write_predictions(path, HEADER, [ROW])
    path.write_text(path.read_text() + path.read_text().rstrip("\n").split("\n")[1])
    with pytest.raises(PredictionError, match=r"p\.jsonl:3: id 'a' occurs twice"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold": "MAYBE"}, "MAYBE"),
        ({"label": None}, "validity is 'clean', but label is None"),
        ({"validity": "none"}, "validity is 'none', but label is 'NA'"),
        ({"confidence": 1.5}, "confidence is 1.5"),
        ({"confidence": 95}, "confidence is 95, not a number from 0 to 1; 95 per cent are written as 0.95"),
        ({"confidence": 1.7}, "confidence is 1.7"),
        ({"confidence": True}, "confidence is True"),
        ({"confidence": "high"}, "confidence is 'high'"),
        ({"valid_mass": True}, "valid_mass is True"),
        ({"label_probs": [True, 0, 0]}, "3 probabilities"),
        ({"label_probs": [0.5, 0.5]}, "3 probabilities"),
        ({"label_probs": [0.5, 0.1, 0.1]}, "do not sum to 1"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, HEADER, [NONE, ROW])
    lines = path.read_text().rstrip("\n").split("\n")
    lines[2] = json.dumps(json.loads(lines[2]) | change)
    path.write_text("\n".join(lines))
    with pytest.raises(PredictionError, match=r"p\.jsonl:3: ") as caught:
        read_predictions(path)
    assert message in str(caught.value)


def test_missing_keys_and_broken_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, HEADER, [ROW])
    head, line = path.read_text().rstrip("\n").split("\n")
    row = json.loads(line)
    del row["gold"]
    path.write_text(f"{head}\n{json.dumps(row)}\n")
    with pytest.raises(PredictionError, match=r":2: the key 'gold' is missing"):
        read_predictions(path)
    path.write_text(f"{head}\n{line[:-5]}\n")
    with pytest.raises(PredictionError, match=r":2: not JSON"):
        read_predictions(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="no such file"):
        read_predictions(tmp_path / "none.jsonl")
    (tmp_path / "x").write_text("{}")
    with pytest.raises(PredictionError, match="not a prediction file"):
        read_predictions(tmp_path / "x")
    (tmp_path / "x").write_text('{"candor": "predictions", "schema": 99}')
    with pytest.raises(PredictionError, match="reads 1"):
        read_predictions(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(PredictionError, match="neither text nor gzipped"):
        read_predictions(tmp_path / "x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evidence": "abc"}, "'evidence' must be a list of texts, not 'abc'"),
        ({"evidence": [1, None]}, "'evidence' must be a list of texts"),
        ({"evidence": {"a": 1}}, "'evidence' must be a list of texts"),
        ({"id": 5}, "'id' must be text, not 5"),
        ({"id": [1]}, "'id' must be text"),
        ({"id": "\ud800"}, "'id' must be text"),
        ({"group": None}, "'group' must be text, not None"),
        ({"claim": None}, "'claim' must be text"),
        ({"raw": None}, "'raw' must be text"),
        ({"dataset": 4}, "'dataset' must be text"),
        ({"evidence_dropped": "x"}, "'evidence_dropped' must be a whole number of at least 0, not 'x'"),
        ({"evidence_dropped": -4}, "'evidence_dropped' must be a whole number of at least 0"),
        ({"evidence_cut": True}, "'evidence_cut' must be a whole number"),
        ({"label": 3}, "'label' must be text or null"),
        ({"gold": None}, "'gold' must be text"),
    ],
)
def test_fields_of_another_kind(tmp_path: Path, change: dict[str, object], words: str) -> None:
    assert f"p.jsonl:2: {words}" in refusal(tmp_path / "p.jsonl", 1, change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": 5}, "'model' must be text, not 5"),
        ({"dataset": ["a"]}, "'dataset' must be text"),
        ({"template_sha256": 5}, "'template_sha256' must be text"),
        ({"seed": "zero"}, "'seed' must be a whole number"),
        ({"chat": "x"}, "'chat' must be an object or null"),
        ({"more": 1}, "the key 'more' is unknown"),
    ],
)
def test_a_header_of_another_kind(tmp_path: Path, change: dict[str, object], words: str) -> None:
    assert f"p.jsonl:1: header: {words}" in refusal(tmp_path / "p.jsonl", 0, change)


def test_a_key_that_stands_twice_in_a_row(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(path, HEADER, [ROW])
    path.write_text(path.read_text().rstrip("\n")[:-1] + ', "label": "PASS"}\n')
    with pytest.raises(PredictionError, match=r"p\.jsonl:2: not JSON \(a JSON object repeats the key 'label'\)"):
        read_predictions(path)
    path.write_text(path.read_text().replace('"seed"', '"seed": 1, "seed"', 1))
    assert is_prediction_file(read_text(path))
    with pytest.raises(PredictionError, match=r"p\.jsonl:1: not JSON \(a JSON object repeats the key 'seed'\)"):
        read_predictions(path)
