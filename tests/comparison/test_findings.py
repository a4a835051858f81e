"""Findings from prediction files: each is what a referee would let stand."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from answer_files import FAIL, HEADER, NA, PASS, Same, kept, write_pair
from fake_run import results

from candor.comparison.compare import compare_files
from candor.comparison.findings import findings_on
from candor.metrics import schema
from candor.predictions.file import read_predictions, write_predictions

RESAMPLES = 2_000


def compared(folder: Path, answers: list[Same], role: schema.Role | None = "in_domain", **more: Any) -> Any:
    base, trained = write_pair(folder, answers, more.pop("header", HEADER))
    return compare_files(base, trained, role=role, resamples=RESAMPLES, **more)


def first(*comparisons: Any) -> schema.Finding:
    return findings_on(comparisons)[0]


@pytest.mark.parametrize(
    ("rises", "of", "role"),
    [(2, 2, "in_domain"), (2, 2, "out_of_domain"), (3, 29, "in_domain"), (4, 60, "out_of_domain")],
)
def test_of_a_handful_of_examples_nothing_is_said_to_hold(tmp_path: Path, rises: int, of: int, role: Any) -> None:
    answers = [*kept(), Same(rises, NA, PASS, NA), *([Same(of - rises, NA, NA, NA)] if of > rises else [])]
    findings = findings_on([compared(tmp_path, answers, role)])
    finding = findings[0 if role == "in_domain" else 1]
    assert finding["outcome"] == "undecided"
    rise = finding["numbers"][0]
    assert rise["needed"] is not None
    assert rise["needed"] > of
    assert "examples would decide whether NA recall rises" in finding["text"]
    assert f"differ in {rises} of {of} groups only" in finding["text"]


def test_a_rise_must_be_above_the_margin_with_all_its_interval(tmp_path: Path) -> None:
    def outcome(rises: int) -> schema.Outcome:
        answers = [*kept(), Same(rises, NA, PASS, NA), Same(500 - rises, NA, NA, NA)]
        return first(compared(tmp_path, answers))["outcome"]

    # Of 500 examples: 10 points are the margin itself, 12 reach down to 9.4, 15 to 12.1; 5 reach up to 7.3.
    assert [outcome(rises) for rises in (50, 60, 75, 25)] == ["undecided", "undecided", "holds", "does_not_hold"]


def test_a_model_that_always_says_na_does_not_meet_a_hypothesis(tmp_path: Path) -> None:
    answers = [
        *(Same(220, label, label, NA) for label in (PASS, FAIL)),
        *(Same(30, label, NA, NA) for label in (PASS, FAIL)),
        Same(300, NA, PASS, NA),
        Same(200, NA, NA, NA),
    ]
    for role, place in (("in_domain", 0), ("out_of_domain", 1)):
        finding = findings_on([compared(tmp_path, answers, role)])[place]
        assert finding["outcome"] == "does_not_hold"
        outcomes = {number["condition"]: number["outcome"] for number in finding["numbers"]}
        assert outcomes["PASS recall falls by no more than 5 points"] == "does_not_hold"
        assert "PASS recall 88.0 -> 0.0 %" in finding["text"]


@pytest.mark.parametrize(
    ("lost", "of", "accuracy", "recall"),
    [
        (2, 100, "undecided", "undecided"),
        (4, 1_000, "holds", "holds"),
        (20, 1_000, "undecided", "holds"),
        (60, 1_000, "does_not_hold", "undecided"),
        (90, 1_000, "does_not_hold", "does_not_hold"),
    ],
)
def test_no_loss_is_a_claim_that_must_be_shown(tmp_path: Path, lost: int, of: int, accuracy: str, recall: str) -> None:
    answers = [Same(lost, PASS, PASS, FAIL), Same(of - lost, PASS, PASS, PASS)]
    outcomes = {number["condition"]: number["outcome"] for number in first(compared(tmp_path, answers))["numbers"]}
    assert outcomes["accuracy falls by no more than 2 points"] == accuracy
    assert outcomes["PASS recall falls by no more than 5 points"] == recall


def test_a_base_model_that_never_answers_in_the_form_cannot_be_compared_with(tmp_path: Path) -> None:
    answers = [Same(200, PASS, None, PASS), Same(200, FAIL, None, FAIL), Same(200, NA, None, NA)]
    for role, place in (("in_domain", 0), ("out_of_domain", 1)):
        finding = findings_on([compared(tmp_path, answers, role)])[place]
        assert finding["outcome"] == "not_comparable"
        assert "The base model gave no label in 600 of 600 answers" in finding["text"]
        (sentence,) = finding["against"]
        assert sentence.startswith("wiki: 200 NA examples became NA out of an answer without a label, and 0 the other")
        assert "+100.0 points of the change" in sentence


def test_where_the_base_model_is_out_of_form_a_rise_must_show_on_the_answers_that_both_gave(tmp_path: Path) -> None:
    form_alone = [*kept(), Same(150, NA, None, NA), Same(250, NA, NA, NA), Same(100, NA, PASS, PASS)]
    finding = first(compared(tmp_path, form_alone))
    assert finding["outcome"] == "does_not_hold"
    assert "NA recall on the answers that both models gave 71.4 -> 71.4 %" in finding["text"]
    more = [*kept(), Same(50, NA, None, NA), Same(150, NA, PASS, NA), Same(250, NA, NA, NA)]
    finding = first(compared(tmp_path, more))
    assert finding["outcome"] == "holds"
    assert "on the answers that both models gave 62.5 -> 100.0 %" in finding["text"]


def test_the_label_probe_is_told_where_the_base_model_is_out_of_form(tmp_path: Path) -> None:
    base, trained = write_pair(tmp_path, [*kept(), Same(20, NA, None, NA), Same(180, NA, PASS, NA)])
    for path in (base, trained):
        rows = [replace(row, label_probs=(0.1, 0.1, 0.8)) for row in read_predictions(path).predictions]
        write_predictions(path, HEADER, rows)
    finding = first(compare_files(base, trained, role="in_domain", resamples=RESAMPLES))
    assert "NA recall by the label probe 100.0 -> 100.0 %, +0.0 points" in finding["text"]


def test_what_is_a_matter_of_form_is_counted_both_ways(tmp_path: Path) -> None:
    answers = [
        *kept(),
        Same(16, NA, None, NA),
        Same(27, NA, None, PASS),
        Same(4, NA, NA, None),
        Same(29, NA, PASS, None),
        Same(424, NA, PASS, NA),
    ]
    (sentence,) = first(compared(tmp_path, answers))["against"]
    # The difference of the answers without a label, 43 - 33, would say two points.
    assert sentence.startswith(
        "wiki: 16 NA examples became NA out of an answer without a label, and 4 the other way: +2.4"
    )


def test_a_shortcut_that_explains_a_rise_is_in_the_outcome(tmp_path: Path) -> None:
    bare = [*kept(), Same(300, NA, PASS, NA, evidence=False), Same(200, NA, NA, NA, evidence=False)]
    finding = first(compared(tmp_path, bare))
    assert finding["outcome"] == "holds_by_shortcut"
    assert finding["text"].startswith("Holds, but a shortcut explains it. ")
    assert '"no evidence, so NA" alone finds NA with 100.0 % balanced accuracy; no NA example shows' in finding["text"]
    # A rise that shows where the rule is silent is none of its doing.
    shown = [*kept(), Same(900, NA, PASS, NA, evidence=False), Same(100, NA, PASS, NA)]
    finding = first(compared(tmp_path, shown))
    assert finding["outcome"] == "holds"
    assert any("no evidence, so NA" in sentence for sentence in finding["against"])
    alone = [*kept(), Same(900, NA, PASS, NA, evidence=False), Same(100, NA, PASS, PASS)]
    finding = first(compared(tmp_path, alone))
    assert finding["outcome"] == "holds_by_shortcut"
    assert "NA recall on the examples that show evidence 0.0 -> 0.0 %" in finding["text"]


def test_models_with_different_prompts_are_not_compared(tmp_path: Path) -> None:
    base, trained = write_pair(tmp_path, [*kept(), Same(300, NA, PASS, NA)])
    write_predictions(trained, replace(HEADER, template_sha256="cd" * 32), read_predictions(trained).predictions)
    found = compare_files(base, trained, role="in_domain", resamples=RESAMPLES, allow=["prompt"])
    finding = first(found)
    assert finding["outcome"] == "not_comparable"
    assert "read different prompts" in finding["text"]


def test_over_abstention_stands_in_the_finding(tmp_path: Path) -> None:
    answers = [
        *kept(1_000),
        Same(30, PASS, PASS, NA),
        Same(300, NA, PASS, NA),
    ]
    finding = first(compared(tmp_path, answers))
    assert finding["outcome"] == "holds"
    assert "NA is said to 0.0 % -> 1.5 % of the PASS and FAIL examples" in finding["text"]
    assert any(
        "NA is said to more PASS and FAIL examples than before: +1.5 points" in one for one in finding["against"]
    )


def test_a_hypothesis_on_several_datasets_is_what_it_is_on_the_worst(tmp_path: Path) -> None:
    rise = compared(tmp_path, [*kept(), Same(300, NA, PASS, NA)], "out_of_domain", dataset="wiki")
    few = compared(tmp_path, [*kept(), Same(2, NA, PASS, NA)], "out_of_domain", dataset="news")
    none = compared(tmp_path, [*kept(), Same(300, NA, PASS, PASS)], "out_of_domain", dataset="law")
    assert [findings_on(items)[1]["outcome"] for items in ([rise], [rise, few], [rise, few, none])] == [
        "holds",
        "undecided",
        "does_not_hold",
    ]
    text = findings_on([rise, few, none])[1]["text"]
    assert text.startswith("Does not hold (met on wiki of 3 datasets).\nwiki: holds. NA recall 0.0 -> 100.0 %")
    assert "\nnews: undecided. NA recall" in text
    assert "\nlaw: does not hold. NA recall" in text


def test_what_a_shortcut_explains_is_not_said_to_be_met(tmp_path: Path) -> None:
    rise = compared(tmp_path, [*kept(), Same(300, NA, PASS, NA, evidence=False)], dataset="wiki")
    none = compared(tmp_path, [*kept(), Same(300, NA, PASS, PASS)], dataset="law")
    text = first(rise, none)["text"]
    assert text.startswith("Does not hold (met on none of 2 datasets, by a shortcut on wiki).\n")
    assert "\nwiki: holds, but a shortcut explains it. NA recall" in text


def test_without_a_dataset_for_it_a_hypothesis_is_undecided(tmp_path: Path) -> None:
    assert [finding["outcome"] for finding in findings_on([])] == ["undecided"] * 3
    found = compared(tmp_path, [*kept(), Same(300, NA, PASS, NA)], None)
    told, other, _ = findings_on([found])
    assert told["title"] == "NA recall rises by more than 10 points, and nothing else is lost"
    assert told["outcome"] == "holds"
    assert other["text"] == "Undecided: nothing was evaluated out of domain."
    assert findings_on([{**found, "role": "in_domain"}])[0]["title"].startswith("In domain, ")


def test_an_audits_sentences_are_few_and_about_this_dataset(tmp_path: Path) -> None:
    found = compared(tmp_path, [*kept(), Same(300, NA, PASS, NA, evidence=False)])
    told = ['wiki: the rule "no evidence shown -> NA" tells', "wiki: claims alone tell", "lengths tell", "counts tell"]
    against = findings_on([found], {"wiki": told})[0]["against"]
    assert against == ["wiki: claims alone tell", "wiki: lengths tell"]


def test_confidence_must_beat_the_base_rate_and_rank() -> None:
    item: Any = results()["comparisons"][0]
    trained = item["metrics"]["trained"]
    skill = {"value": 0.2, "interval": [0.1, 0.3], "n": 900, "reason": None}
    item["skill"] = {"base": {}, "trained": {"brier": skill, "log": dict(skill)}}
    trained["auroc"] |= {"value": 0.7, "interval": [0.65, 0.75]}
    for fit in item["recalibration"]:
        fit["trained_minus"]["brier"] |= {"value": -0.05, "interval": [-0.07, -0.03]}
    finding = findings_on([item])[2]
    assert finding["outcome"] == "holds"
    assert finding["title"].endswith(", and beats the base model recalibrated")
    warmed = copy.deepcopy(item)
    warmed["metrics"]["untaught"] = {}
    assert findings_on([warmed])[2]["title"].endswith(", and beats the warm start recalibrated")

    def outcome(**changes: Any) -> schema.Outcome:
        changed = copy.deepcopy(item)
        for name, interval in changes.items():
            figures = changed["skill"]["trained"] if name in ("brier", "log") else changed["metrics"]["trained"]
            figures[name] |= {"interval": interval, "value": sum(interval) / 2}
        return findings_on([changed])[2]["outcome"]

    assert outcome(auroc=[0.46, 0.53]) == "does_not_hold"
    assert outcome(auroc=[0.48, 0.62]) == "undecided"
    assert outcome(log=[-0.3, -0.1]) == "does_not_hold"
    item["recalibration"][2]["trained_minus"]["brier"] |= {"value": 0.0, "interval": [-0.005, 0.005]}
    finding = findings_on([item])[2]
    assert finding["outcome"] == "does_not_hold"
    assert "recalibrated (platt)" in finding["text"]
    for fit in item["recalibration"][1:]:
        fit |= {"trained_minus": {}, "reason": "needs 20 right"}
    finding = findings_on([item])[2]
    assert finding["outcome"] == "holds"
    assert any(sentence.startswith("wiki: Too few validation answers") for sentence in finding["against"])
    item["recalibration"] = []
    finding = findings_on([item])[2]
    assert finding["outcome"] == "holds"
    assert any(sentence.startswith("wiki: There are no validation answers") for sentence in finding["against"])


PUBLISHED = {
    ("fever_only", "in_domain", "fever"): "holds_by_shortcut",
    ("fever_only", "out_of_domain", "vitaminc"): "undecided",
    ("fever_only", "out_of_domain", "climatefever"): "undecided",
    ("mixed", "in_domain", "fever"): "holds_by_shortcut",
    ("mixed", "in_domain", "vitaminc"): "does_not_hold",
    ("mixed", "in_domain", "climatefever"): "does_not_hold",
}


@pytest.mark.parametrize(("arm", "role", "dataset"), PUBLISHED)
def test_the_studys_six_comparisons(shared_data: Path, arm: str, role: Any, dataset: str) -> None:
    files = [
        shared_data / "published" / f"{name}_results.json.gz" for name in (f"{dataset}_base", f"{arm}_on_{dataset}")
    ]
    found = compare_files(files[0], files[1], role=role, dataset=dataset, resamples=RESAMPLES)
    rise, other, confidence = findings_on([found])
    judged = rise if role == "in_domain" else other
    assert judged["outcome"] == PUBLISHED[arm, role, dataset]
    assert ("no evidence, so NA" in judged["text"]) is (dataset == "fever")
    assert confidence["outcome"] == "does_not_hold"
    assert len(judged["against"]) <= 3
    json.dumps([rise, other, confidence], allow_nan=False)


def test_form_in_the_studys_file_is_counted_both_ways(shared_data: Path) -> None:
    files = [shared_data / "published" / f"{name}_results.json.gz" for name in ("fever_base", "fever_only_on_fever")]
    found = compare_files(files[0], files[1], role="in_domain", dataset="fever", resamples=RESAMPLES)
    # One of the seventeen ends with the form's own line, LABEL=PASS/FAIL/NA: no label either.
    assert found["form_changes"] == {"na": 500, "na_from_no_label": 17, "na_to_no_label": 4}
    assert any("17 NA examples became NA" in sentence for sentence in findings_on([found])[0]["against"])
