"""Two sides of a comparison: which rows are paired, and what may differ if it is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from candor.comparison.pairing import (
    Side,
    load_side,
    match_sides,
    no_evidence,
    provenance_warnings,
    shortcut_warning,
)
from candor.errors import PredictionError
from candor.files import sha256
from candor.predictions.file import Header, write_predictions
from candor.types import Label, Prediction, Validity

HEADER = Header("m", "verdict", "ab" * 32, "wiki", "test", 3)
ROW = Prediction("1", "wiki", "g1", "Claim", ("E",), Label.NA, "LABEL=NA", Label.NA, 0.5, Validity.READABLE)


def rows(*ids: str, **changes: Any) -> list[Prediction]:
    return [replace(ROW, id=number, **changes) for number in ids]


def side(folder: Path, name: str, predictions: list[Prediction], header: Header = HEADER) -> Side:
    path = folder / f"{name}.jsonl"
    write_predictions(path, header, predictions)
    return load_side(path, name)


def study(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"model": "m", "source": "eval.py", "results": list(entries)}))
    return path


def test_a_side_says_where_it_comes_from(tmp_path: Path) -> None:
    loaded = side(tmp_path, "base", rows("1", "2"))
    assert loaded.header["sha256"] == sha256(tmp_path / "base.jsonl")
    assert (loaded.header["format"], loaded.header["model"], loaded.header["seed"]) == ("candor", "m", 3)
    assert [row.id for row in loaded.rows] == ["1", "2"]
    with pytest.raises(PredictionError, match=r"empty\.jsonl: holds no answers"):
        side(tmp_path, "empty", [])


def test_of_the_studys_file_only_rows_with_a_gold_label_can_be_judged(tmp_path: Path) -> None:
    path = study(
        tmp_path / "x.json",
        {"id": 1, "golden_label": "NA", "predicted_label": "NA", "raw_response": "no idea"},
        {"id": 2, "golden_label": "NA", "predicted_label": "FAIL", "raw_response": "LABEL=PASS\nCONF=0.9"},
        {"id": 3, "golden_label": "MAYBE", "predicted_label": "NA"},
    )
    loaded = load_side(path, "trained")
    assert [row.id for row in loaded.predictions] == ["1", "2"]
    assert len(loaded.rows) == 3
    assert loaded.header["source"] == "eval.py"
    assert loaded.notes == (
        "trained: the file gives a label to 1 answers that hold none (x.json); it is not taken.",
        "trained: 1 answers state another label than the file says (x.json); the answer's text counts.",
    )
    matched = match_sides(loaded, loaded)
    assert {(drop["side"], drop["n"]) for drop in matched.dropped} == {("base", 1), ("trained", 1)}


def test_answers_are_paired_by_id_in_the_base_files_order_and_grouped_alike(tmp_path: Path) -> None:
    base = side(tmp_path, "base", [*rows("b", group="own"), *rows("a")])
    trained = side(tmp_path, "trained", rows("a", "b", group="other"))
    matched = match_sides(base, trained)
    assert [row.id for row in matched.base] == [row.id for row in matched.trained] == ["b", "a"]
    assert [row.group for row in matched.trained] == ["own", "g1"]
    assert matched.dropped == matched.allowed == matched.warnings == ()


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("ids", rows("1", "2", "9"), r"1 ids are in the base file alone and 1 in the trained file alone \(3\)"),
        ("gold", [*rows("1", "2"), *rows("3", gold=Label.PASS)], r"1 examples have different gold labels \(3\)"),
        (
            "prompt",
            [*rows("1", "2"), *rows("3", evidence=())],
            r"1 examples show another claim or other evidence \(3\)",
        ),
    ],
)
def test_what_differs_is_refused_and_left_out_if_allowed(
    tmp_path: Path, name: str, changed: list[Prediction], words: str
) -> None:
    base, trained = side(tmp_path, "base", rows("1", "2", "3")), side(tmp_path, "trained", changed)
    with pytest.raises(PredictionError, match=rf"cannot be compared: {words}\. .* allow: {name}$"):
        match_sides(base, trained)
    matched = match_sides(base, trained, [name])
    assert matched.allowed == (name,)
    assert matched.warnings[0].startswith("Compared although ")
    # Another prompt leaves every row in place.
    assert [row.id for row in matched.base] == (["1", "2", "3"] if name == "prompt" else ["1", "2"])
    assert sum(drop["n"] for drop in matched.dropped) == {"ids": 2, "gold": 1, "prompt": 0}[name]


def test_another_template_is_another_prompt(tmp_path: Path) -> None:
    base = side(tmp_path, "base", rows("1"))
    trained = side(tmp_path, "trained", rows("1"), replace(HEADER, template="own", template_sha256="cd" * 32))
    with pytest.raises(PredictionError, match=r"verdict \(abababababab\) against own \(cdcdcdcdcdcd\)"):
        match_sides(base, trained)


@pytest.mark.parametrize(
    ("name", "header", "words"),
    [
        ("dataset", replace(HEADER, dataset="climate"), "the datasets differ: wiki against climate"),
        ("split", replace(HEADER, split="train"), "the splits differ: test against train"),
    ],
)
def test_another_dataset_or_split_is_compared_only_when_asked_for(
    tmp_path: Path, name: str, header: Header, words: str
) -> None:
    base, trained = side(tmp_path, "base", rows("1")), side(tmp_path, "trained", rows("1"), header)
    with pytest.raises(PredictionError, match=rf"cannot be compared: {words}\. .* allow: {name}$"):
        match_sides(base, trained)
    matched = match_sides(base, trained, [name])
    assert matched.allowed == (name,)
    assert matched.warnings == (f"Compared although {words}.",)
    # A file that does not say cannot differ.
    assert match_sides(base, replace(trained, header={**trained.header, name: None})).allowed == ()  # type: ignore[typeddict-item]


def test_the_studys_file_may_name_its_dataset(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    entry = {"id": 1, "golden_label": "NA", "predicted_label": "NA"}
    path.write_text(json.dumps({"dataset": "climatefever", "results": [entry]}))
    loaded = load_side(path, "base")
    assert loaded.header["dataset"] == loaded.predictions[0].dataset == "climatefever"


def test_many_ids_are_shown_by_a_few(tmp_path: Path) -> None:
    base = side(tmp_path, "base", rows(*"abcdefg"))
    with pytest.raises(PredictionError, match=r"6 ids .* \(b, c, d, \.\.\.\)"):
        match_sides(base, side(tmp_path, "trained", rows("a")))


def test_nothing_in_common_and_what_cannot_be_allowed(tmp_path: Path) -> None:
    base, trained = side(tmp_path, "base", rows("1")), side(tmp_path, "trained", rows("2"))
    with pytest.raises(PredictionError, match="have no example in common"):
        match_sides(base, trained, ["ids"])
    with pytest.raises(PredictionError, match="cannot allow 'seeds': files may differ in prompt, dataset, split, ids"):
        match_sides(base, trained, ["seeds"])


def test_files_that_do_not_tell_their_prompt_are_warned_of(tmp_path: Path) -> None:
    entry = {"id": 1, "golden_label": "NA", "predicted_label": "NA"}
    told, untold = side(tmp_path, "base", rows("1")), load_side(study(tmp_path / "x.json", entry), "trained")
    assert provenance_warnings(told.header, untold.header) == []
    (warning,) = provenance_warnings(untold.header, untold.header)
    assert "Neither file says which prompt" in warning
    assert "different programs" not in warning
    (warning,) = provenance_warnings(untold.header, {**untold.header, "source": "other.py"})
    assert warning.endswith("They come from different programs: eval.py and other.py.")


@pytest.mark.parametrize(("bare_others", "warned"), [(0, True), (2, True), (3, False)])
def test_evidence_that_is_missing_may_give_na_away(bare_others: int, warned: bool) -> None:
    """Balanced accuracy of the rule: 1, .9 and .85."""
    na = rows(*map(str, range(10)), evidence=())
    others = rows(*map(str, range(bare_others)), gold=Label.PASS, evidence=())
    others += rows(*map(str, range(10 - bare_others)), gold=Label.FAIL)
    found = shortcut_warning(no_evidence([*na, *others]))
    assert bool(found) is warned
    if warned:
        assert f"10 of 10 NA examples show no evidence, against {bare_others} of 10 others" in found[0]
    assert no_evidence(na) is None
    assert shortcut_warning(None) == []
