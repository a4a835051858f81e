"""Comparing two files: ours, the study's, and files that should not be compared."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from candor.comparison.compare import compare_files
from candor.comparison.study_rules import text_confidence
from candor.errors import PredictionError
from candor.metrics.check_results import check_results
from candor.metrics.names import PROBED, STATED, TESTED
from candor.metrics.recalibration import METHODS
from candor.metrics.schema import Comparison
from candor.predictions.file import Header, write_predictions
from candor.types import LABELS, Label, Prediction, Validity

HEADER = Header("tiny", "verdict", "ab" * 32, "wiki", "test", 0)


def answers(
    seed: int, rows: int = 120, *, skill: float = 0.5, first: int = 0, probed: bool = False
) -> list[Prediction]:
    """Made-up answers to the same examples, whatever the seed."""
    draw, made = np.random.default_rng(seed), []
    for number in range(first, first + rows):
        gold = LABELS[number % 3]
        label = gold if draw.random() < skill else LABELS[int(draw.integers(3))]
        probs = draw.dirichlet([1, 1, 1]).tolist()
        made.append(
            Prediction(
                id=f"e{number}",
                dataset="wiki",
                group=f"g{number // 2}",
                claim=f"claim {number}",
                evidence=() if number % 4 == 0 else ("some",),
                gold=gold,
                raw="",
                label=label,
                confidence=round(float(draw.beta(5, 2)), 2),
                validity=Validity.CLEAN,
                label_probs=(probs[0], probs[1], probs[2]) if probed else None,
                posterior=(0.2, 0.3, 0.5) if probed else None,
            )
        )
    return made


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a prediction file into the test's folder."""

    def write_file(name: str, rows: Sequence[Prediction], header: Header = HEADER) -> Path:
        path = tmp_path / f"{name}.jsonl"
        write_predictions(path, header, rows)
        return path

    return write_file


def plain(results: Comparison) -> dict[str, Any]:
    """As read back from JSON, shape checked."""
    read = json.loads(json.dumps(results, allow_nan=False))
    check_results(read)
    assert isinstance(read, dict)
    return read


def test_every_name_is_there(write: Write) -> None:
    results = plain(
        compare_files(write("b", answers(1, probed=True)), write("t", answers(2, probed=True)), resamples=2_000)
    )
    for side in ("base", "trained"):
        assert set(results["metrics"][side]) == {*STATED, *PROBED, "probe_agreement"}
    assert set(results["metrics"]["bayes"]) == set(STATED)
    assert results["metrics"]["bayes"]["na_recall"]["value"] == 1  # the posterior always says NA
    assert set(results["differences"]) == {*STATED, *PROBED}
    assert set(results["curves"]) == {"base", "trained", "bayes", "base_probe", "trained_probe"}
    assert results["settings"]["tested"] == list(TESTED)
    assert results["rows"] | {"dropped": []} == results["rows"]
    assert (results["rows"]["used"], results["rows"]["groups"]) == (120, 60)
    for name, difference in results["differences"].items():
        assert (difference["p_holm"] is not None) == (name in TESTED), name
        if name in TESTED:
            assert difference["p"] <= difference["p_holm"] <= 1
    assert results["dataset"] == "wiki"
    assert results["base"]["template"] == "verdict"


def test_answers_out_of_form_are_told_though_their_labels_count(write: Write) -> None:
    rows = answers(1)
    for number in range(3):
        rows[number] = replace(rows[number], validity=Validity.READABLE)
    results = plain(compare_files(write("b", answers(1)), write("t", rows), resamples=2_000))
    told = [warning for warning in results["warnings"] if "form that was asked for" in warning]
    assert told == [
        "trained: 3 of 120 answers hold a label but are not in the form that was asked for; they are taken as they can "
        "be read."
    ]
    assert results["metrics"]["trained"]["accuracy"] == results["metrics"]["base"]["accuracy"]


def test_values_are_fractions_of_all_rows(write: Write) -> None:
    rows = answers(1)
    rows[0] = replace(rows[0], label=None, confidence=None, validity=Validity.NONE)
    trained = answers(2, skill=0.9)
    results = plain(compare_files(write("b", rows), write("t", trained), resamples=2_000))
    right = sum(row.label == row.gold for row in rows) / 120
    base = results["metrics"]["base"]
    assert base["accuracy"]["value"] == pytest.approx(right)
    assert base["invalid_rate"]["value"] == pytest.approx(1 / 120)
    assert base["accuracy"]["n"] == 120
    assert base["brier"]["n"] == 119
    assert results["differences"]["brier"]["n"] == 119
    assert results["confusion"]["base"][0][3] == 1
    assert any("1 of 120 answers hold no label" in warning for warning in results["warnings"])


def test_same_input_same_results(write: Write) -> None:
    files = write("b", answers(1)), write("t", answers(2))
    assert compare_files(*files, resamples=2_000) == compare_files(*files, resamples=2_000)


def test_order_of_rows_in_the_other_file_does_not_matter(write: Write) -> None:
    base, trained = answers(1), answers(2)
    one = compare_files(write("b", base), write("t", trained), resamples=2_000)
    two = compare_files(write("b", base), write("u", trained[::-1]), resamples=2_000)
    assert one["differences"] == two["differences"]


def test_another_prompt_is_refused_unless_asked_for(write: Write) -> None:
    base = write("b", answers(1))
    trained = write("t", answers(2), replace(HEADER, template="other", template_sha256="cd" * 32))
    with pytest.raises(PredictionError, match=r"prompts differ: verdict \(abab.*other \(cdcd.*allow: prompt"):
        compare_files(base, trained, resamples=2_000)
    results = compare_files(base, trained, resamples=2_000, allow=["prompt"])
    assert results["allowed"] == ["prompt"]
    assert "prompts differ" in results["warnings"][0]


def test_other_evidence_is_another_prompt(write: Write) -> None:
    trained = answers(2)
    trained[5] = replace(trained[5], evidence=("something else",))
    with pytest.raises(PredictionError, match=r"1 examples show another claim or other evidence \(e5\)"):
        compare_files(write("b", answers(1)), write("t", trained), resamples=2_000)


def test_other_ids_are_refused_unless_asked_for(write: Write) -> None:
    base, trained = write("b", answers(1)), write("t", answers(2)[10:])
    with pytest.raises(PredictionError, match=r"10 ids are in the base file alone .*\(e0, e1, e2, \.\.\.\)"):
        compare_files(base, trained, resamples=2_000)
    results = compare_files(base, trained, resamples=2_000, allow=["ids"])
    assert results["rows"]["used"] == results["metrics"]["base"]["accuracy"]["n"] == 110
    assert results["rows"]["dropped"] == [{"side": "base", "reason": "id is not in the other file", "n": 10}]


def test_other_gold_labels_are_refused_unless_asked_for(write: Write) -> None:
    trained = answers(2)
    trained[4] = replace(trained[4], gold=Label.PASS)
    files = write("b", answers(1)), write("t", trained)
    with pytest.raises(PredictionError, match=r"1 examples have different gold labels \(e4\)"):
        compare_files(*files, resamples=2_000)
    results = compare_files(*files, resamples=2_000, allow=["gold"])
    assert results["rows"]["used"] == 119
    assert results["allowed"] == ["gold"]


def test_everything_that_differs_is_said_at_once(write: Write) -> None:
    trained = answers(2)[1:]
    trained[4] = replace(trained[4], gold=Label.PASS)
    header = replace(HEADER, template_sha256="cd" * 32)
    with pytest.raises(PredictionError, match="allow: prompt, ids, gold"):
        compare_files(write("b", answers(1)), write("t", trained, header), resamples=2_000)


def test_nothing_in_common_and_unknown_allowances(write: Write) -> None:
    base = write("b", answers(1))
    with pytest.raises(PredictionError, match="no example in common"):
        compare_files(base, write("t", answers(2, first=500)), resamples=2_000, allow=["ids"])
    with pytest.raises(PredictionError, match="cannot allow 'everything'"):
        compare_files(base, base, resamples=2_000, allow=["everything"])
    with pytest.raises(PredictionError, match="holds no answers"):
        compare_files(base, write("e", []), resamples=2_000)
    with pytest.raises(PredictionError, match="at least 1 resample"):
        compare_files(base, base, resamples=0)


def test_too_few_resamples_for_any_p_to_be_significant_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match=r"resamples is 1199: .* needs at least 1700"):
        compare_files(tmp_path / "none", tmp_path / "none", resamples=1_199)


def test_validation_adds_recalibration_and_threshold(write: Write) -> None:
    files = write("b", answers(1)), write("t", answers(2, skill=0.9))
    validation = (
        write("vb", answers(3, rows=200, first=1_000)),
        write("vt", answers(4, rows=200, skill=1.0, first=1_000)),
    )
    results = plain(compare_files(*files, validation=validation, risk=0.2, resamples=2_000))
    assert [row["method"] for row in results["recalibration"]] == list(METHODS)
    assert results["recalibration"][0]["metrics"]["brier"] == results["metrics"]["base"]["brier"]
    threshold = results["threshold"]["trained"]
    assert threshold["bound"] <= 0.2
    assert 0 < threshold["coverage"]["value"] <= 1
    assert results["threshold"]["base"]["reason"]


def test_validation_must_be_other_examples(write: Write) -> None:
    files = write("b", answers(1)), write("t", answers(2))
    with pytest.raises(PredictionError, match="must be judged on other examples"):
        compare_files(*files, validation=files, resamples=2_000)
    with pytest.raises(PredictionError, match="use no validation answers"):
        compare_files(*files, validation=files, paper_conventions=True, resamples=2_000)


def study_file(path: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    text = json.dumps({"model": "m", "source": "s", "results": rows, **more})
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def study_row(number: int, gold: str, predicted: str | None, raw: str, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "claim": f"claim {number}",
        "evidence_texts": ["some"],
        "golden_label": gold,
        "predicted_label": predicted,
        "raw_response": raw,
        **more,
    }


def test_the_studys_format_is_read_from_the_answers(tmp_path: Path) -> None:
    rows = [
        study_row(1, "NA", "NA", "no end in sight"),  # the study's NA for an answer without a label
        study_row(2, "REFUTES", "FAIL", "LABEL=PASS? no: LABEL=FAIL\nCONF=0.9. So\nCONF=0.80"),
        study_row(3, "PASS", None, "", predicted_conf=0.5, format_valid=False),
        study_row(4, "PASS", "SUPPORTS", "", predicted_conf=0.7, format_valid=True),
        study_row(5, "PASS", "PASS", "LABEL=SUPPORTS", predicted_conf=0.5, format_valid=False),
    ]
    path = study_file(tmp_path / "x.json", rows)
    results = plain(compare_files(path, study_file(tmp_path / "y.json.gz", rows), resamples=2_000))
    base = results["metrics"]["base"]
    assert base["accuracy"]["value"] == pytest.approx(3 / 5)
    assert base["na_recall"]["value"] == 0
    assert base["invalid_rate"]["value"] == pytest.approx(2 / 5)
    assert base["brier"]["n"] == 2  # rows 2 and 4; 0.5 of row 5 is the study's stand-in
    assert base["confidence_mean"]["value"] == pytest.approx(0.8)
    assert any("the file gives a label to 1 answers that hold none" in text for text in results["warnings"])
    assert any("Neither file says which prompt" in text for text in results["warnings"])
    assert (results["base"]["format"], results["base"]["model"], results["dataset"]) == ("study", "m", "y")


def test_study_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = study_file(tmp_path / "x.json", [study_row(1, "NA", "NA", ""), {"id": 2}])
    with pytest.raises(PredictionError, match=r"x\.json: results\[1\]: the key 'golden_label' is missing"):
        compare_files(path, path)
    path = study_file(tmp_path / "x.json", [study_row(1, "NA", "NA", ""), study_row(1, "NA", "NA", "")])
    with pytest.raises(PredictionError, match=r"results\[1\]: id '1' occurs twice"):
        compare_files(path, path)
    path.write_text("[1, 2]")
    with pytest.raises(PredictionError, match="neither candor's predictions nor the study's format"):
        compare_files(path, path)
    path.write_text("LABEL")
    with pytest.raises(PredictionError, match="not JSON"):
        compare_files(path, path)


def test_the_studys_row_rules(tmp_path: Path) -> None:
    base = [
        study_row(1, "PASS", "PASS", "LABEL=PASS\nCONF=0.9"),
        study_row(2, "PASS", "NA", "LABEL=<NA>\nCONF=<0.4>"),  # brackets: paired, but no confidence
        study_row(3, "NA", "NA", "CONF=0.5"),  # a confidence, no label in the text: not paired
        study_row(4, "NA", "FAIL", "LABEL=FAIL CONF =0.7."),  # not a number: in neither table
        study_row(5, "FAIL", "FAIL", "LABEL=FAIL CONF=7"),  # clamped
        study_row(6, "NA", "other", "LABEL=NA CONF=0.5"),  # no label
    ]
    trained = [
        study_row(1, "PASS", "FAIL", "", predicted_conf=0.5, format_valid=True),
        study_row(2, "PASS", "PASS", "", predicted_conf=None, format_valid=True),  # paired, but no confidence
        *(study_row(n, g, "NA", "", predicted_conf=0.5, format_valid=True) for n, g in ((3, "NA"), (4, "NA"))),
        study_row(5, "FAIL", "FAIL", "", predicted_conf=0.5, format_valid=False),  # not paired
        study_row(6, "NA", "NA", "", predicted_conf=0.5, format_valid=True),
    ]
    results = plain(
        compare_files(
            study_file(tmp_path / "b.json", base),
            study_file(tmp_path / "t.json", trained),
            paper_conventions=True,
            resamples=2_000,
        )
    )
    assert results["conventions"] == "paper"
    assert results["metrics"]["base"]["accuracy"]["n"] == 3  # 1, 3, 5
    assert results["metrics"]["base"]["confidence_std"]["value"] == pytest.approx(np.std([0.9, 0.5, 1.0]))
    assert results["metrics"]["trained"]["accuracy"]["n"] == 5  # all but 2
    assert results["rows"]["used"] == results["differences"]["accuracy"]["n"] == 2  # 1 and 2
    assert results["differences"]["accuracy"]["value"] == 0
    assert results["differences"]["accuracy"]["p"] == 1


def test_confidence_as_the_study_read_it() -> None:
    assert text_confidence("CONF = 0.7 ... CONF=0.9") == 0.7
    assert text_confidence("CONF=<0.7>") is None
    assert text_confidence("CONF=.") is None
    assert text_confidence("conf=0.7") is None


def rounded(figure: dict[str, Any], digits: int) -> float:
    return round(figure["value"], digits)


def test_published_digits(shared_data: Path) -> None:
    """FEVER-only on FEVER, as printed: both tables."""
    files = [shared_data / "published" / f"{name}_results.json.gz" for name in ("fever_base", "fever_only_on_fever")]
    results = plain(compare_files(files[0], files[1], paper_conventions=True))
    base, trained, differences = (
        results["metrics"]["base"],
        results["metrics"]["trained"],
        results["differences"],
    )
    assert (rounded(base["accuracy"], 3), rounded(trained["accuracy"], 3)) == (0.660, 0.724)
    assert (rounded(base["brier"], 3), rounded(trained["brier"], 3)) == (0.301, 0.293)
    assert (rounded(base["confidence_std"], 3), rounded(trained["confidence_std"], 3)) == (0.166, 0.219)
    assert rounded(differences["macro_f1"], 3) == 0.068
    assert rounded(differences["accuracy"], 3) == 0.063
    assert rounded(differences["na_recall"], 3) == 0.149
    assert differences["macro_f1"]["p"] < 0.0001
    # Ties: the printed .430 -> .478 depend on the sort; the midrank values do not.
    assert (rounded(base["auroc"], 3), rounded(trained["auroc"], 3)) == (0.436, 0.484)


def test_published_files_in_the_honest_view(shared_data: Path) -> None:
    """Every row stays; answers without a label are wrong, and the confidence ranks nothing before and after."""
    files = [shared_data / "published" / f"{name}_results.json.gz" for name in ("fever_base", "fever_only_on_fever")]
    results = plain(compare_files(files[0], files[1], resamples=2_000))
    base, trained = results["metrics"]["base"], results["metrics"]["trained"]
    assert base["accuracy"]["n"] == trained["accuracy"]["n"] == 1_000
    assert (rounded(base["accuracy"], 3), rounded(trained["accuracy"], 3)) == (0.618, 0.700)
    assert (rounded(base["na_recall"], 3), rounded(trained["na_recall"], 3)) == (0.320, 0.488)
    # One of the base model's answers ends with the form's own line, LABEL=PASS/FAIL/NA and CONF=0.xx.
    assert (rounded(base["invalid_rate"], 3), rounded(trained["invalid_rate"], 3)) == (0.046, 0.033)
    assert trained["auroc"]["interval"][1] < 0.5
    errors = base["rms_calibration_error"], trained["rms_calibration_error"]
    assert errors[1]["interval"][0] > errors[0]["value"] > 0.3
    assert results["differences"]["ece"]["value"] > 0
    assert results["differences"]["log_score"]["interval"][1] < 0
    assert any("500 of 500 NA examples show no evidence" in text for text in results["warnings"])
    assert math.isclose(results["tests"]["mcnemar"]["detail"]["only_trained"], 115)
