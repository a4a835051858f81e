"""What the page says in words, sentence by sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_run import results

from candor.report import sections
from candor.report.arms import Arm, arms_of
from candor.report.runs import SavedRun
from candor.report.tables import Cell


def run(name: str = "r", values: dict[str, Any] | None = None, **parts: Any) -> SavedRun:
    return SavedRun(name=name, folder=Path(), results=results() if values is None else values, **parts)


def finding(outcome: str, **values: Any) -> dict[str, Any]:
    numbers = [{"dataset": "wiki", "text": "n = 3", "outcome": "holds"}]
    found = {"hypothesis": 1, "title": "Hypothesis 1", "text": "It rose by 3.", "numbers": numbers, "against": []}
    return found | {"outcome": outcome} | values


def decided(*outcomes: str) -> list[SavedRun]:
    return [run(f"a/{seed}", {"findings": [finding(outcome)]}) for seed, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("outcomes", "badge", "tone"),
    [
        (("holds",), "Holds", "good"),
        (("does_not_hold",), "Does not hold", "bad"),
        (("undecided",), "Undecided", ""),
        (("not_comparable",), "Not comparable", ""),
        (("holds_by_shortcut",), "Holds by a shortcut", ""),
        (("undecided", "undecided"), "Undecided", ""),
        (("holds_by_shortcut", "holds_by_shortcut"), "Holds by a shortcut", ""),
        (("holds", "holds"), "Holds in 2 of 2 seeds", "good"),
        (("holds", "does_not_hold"), "Holds in 1 of 2 seeds", ""),
        (("does_not_hold", "undecided"), "Holds in 0 of 2 seeds", "bad"),
        (("undecided", "not_comparable"), "Holds in 0 of 2 seeds", ""),
        (("holds", "undecided"), "Holds in 1 of 2 seeds", ""),
    ],
)
def test_a_hypothesis_holds_in_so_many_seeds(outcomes: tuple[str, ...], badge: str, tone: str) -> None:
    (found,) = sections.hypotheses([Arm("a", tuple(decided(*outcomes)))])
    (card,) = found.cards
    assert (card.title, card.badge, card.tone) == ("Hypothesis 1", badge, tone)
    assert card.evidence[0].startswith("wiki: n = 3: met")


def test_numbers_of_an_older_schema_stand_as_they_are() -> None:
    old = [{"dataset": "", "text": "wiki: +3 points", "outcome": "holds"}]
    (found,) = sections.hypotheses([Arm("a", (run("a", {"findings": [finding("holds", numbers=old)]}),))])
    (card,) = found.cards
    assert card.evidence == ("wiki: +3 points",)


def test_every_hypothesis_has_the_findings_of_all_arms_side_by_side() -> None:
    values = {"findings": [finding("holds"), finding("does_not_hold", hypothesis=2, title="Hypothesis 2")]}
    (first, second) = sections.hypotheses([Arm("a", (run("a", values),))])
    assert [(card.title, card.arm) for card in (*first.cards, *second.cards)] == [
        ("Hypothesis 1", ""),
        ("Hypothesis 2", ""),
    ]
    both = [Arm("a", (run("a", values),)), Arm("b", (run("b", {"findings": [finding("undecided")]}),))]
    found = sections.hypotheses(both)
    assert [one.title for one in found] == ["Hypothesis 1", "Hypothesis 2"]
    assert [[(card.title, card.arm) for card in one.cards] for one in found] == [
        [("Hypothesis 1: a", "a"), ("Hypothesis 1: b", "b")],
        [("Hypothesis 2: a", "a")],
    ]
    assert sections.hypotheses([Arm("a", (run("a", {}),))]) == []


def test_a_warning_that_a_finding_lists_is_not_said_twice() -> None:
    values = {
        "comparisons": [],
        "warnings": ["listed", "new"],
        "findings": [finding("holds", against=["listed"])],
    }
    assert sections.warnings([run("r", values)]) == ["new"]
    audited = run("s", values, audit={"warnings": ["new", "of the data"]})
    assert sections.warnings([run("r", values), audited]) == ["new (all 2 runs)", "of the data (s)"]


def test_a_warning_that_a_findings_text_or_a_sentence_against_it_begins_with_is_not_said_twice() -> None:
    values = {
        "comparisons": [],
        "warnings": [
            "wiki: 5 of 5 show no evidence.",
            "wiki: No prompt is known. Programs differ.",
            "wiki: 6 of 6 show.",
        ],
        "findings": [
            finding(
                "holds", text="Holds by it. 5 of 5 show no evidence; so.", against=["wiki, news: No prompt is known."]
            )
        ],
    }
    assert sections.warnings([run("r", values)]) == ["wiki: 6 of 6 show."]


def test_warnings_tell_what_was_allowed_and_by_whose_rules() -> None:
    values = results()
    values["warnings"] = []
    values["findings"] = []
    values["comparisons"] = [values["comparisons"][0] | {"warnings": ["few rows"], "allowed": ["prompt", "seed"]}]
    values["comparisons"][0]["conventions"] = "paper"
    assert sections.warnings([run("r", values)]) == [
        "wiki: few rows",
        "wiki: the two files differ in their prompt and seed; this was allowed on request.",
        "wiki: rows were dropped and paired by the study's rules.",
    ]


def test_facts_leave_out_what_is_not_known() -> None:
    assert sections.facts([run("r", {})], [Arm("r", (run("r", {}),))]) == []
    runs = [run("a/0", steps=[{}] * 1200), run("a/1", steps=[{}] * 1200)]
    found = dict(sections.facts(runs, arms_of(runs)))
    assert found["Training steps"] == "1,200"
    assert found["Trained on"] == "wiki"
    assert found["Runs"] == "2"
    assert "Read without labels" not in found


def test_seconds_are_summed_over_steps_with_their_share() -> None:
    log = [{"seconds_rollout": 3.0, "seconds_update": 1.0}, {"seconds_rollout": 3.0, "seconds_update": None}]
    table = sections.durations([run("a", steps=log), run("b", steps=[{"seconds_update": 2.0}])])
    assert table is not None
    assert table.columns == ("Run", "rollout", "update")
    assert [row.cells for row in table.groups[0].rows] == [
        (Cell("6.0", "86%"), Cell("1.0", "14%")),
        (Cell("0.0", "0%"), Cell("2.0", "100%")),
    ]
    assert sections.durations([run("a", steps=[{"step": 1}])]) is None


AUDIT = {
    "datasets": {
        "wiki": {
            "shortcuts": {
                "claim_only": {
                    "accuracy": {"value": 0.5, "interval": [0.4, 0.6], "n": 1200},
                    "na_accuracy": None,
                }
            },
            "prompt_tokens": {"median": 29.5, "p95": 47.05, "max": 49, "max_length": 47, "too_long": 2},
            "n": 1200,
        }
    },
    "warnings": [],
    "repeats": {"train/test": 1},
}


def test_an_audit_of_several_runs_is_shown_once() -> None:
    (table,) = sections.audit_tables([run("a", audit=AUDIT), run("b", audit=dict(AUDIT)), run("c")])
    assert table.caption == "Accuracy of each shortcut"
    (row,) = table.groups[0].rows
    assert row.header == "claim only"
    assert row.cells == (Cell("50.0", "[40.0, 60.0]"), Cell("–", ""), Cell("1,200"))
    two = sections.audit_tables([run("a", audit=AUDIT), run("b", audit=AUDIT | {"warnings": ["other"]})])
    assert [one.caption for one in two] == ["Accuracy of each shortcut (a)", "Accuracy of each shortcut (b)"]


def test_lengths_of_prompts_are_whole_tokens_and_the_unknown_has_a_dash() -> None:
    table = sections.prompt_lengths([run("a", audit=AUDIT)])
    assert table is not None
    (row,) = table.groups[0].rows
    assert [cell.text for cell in row.cells] == ["30", "47", "49", "47", "2", "–"]
    assert sections.prompt_lengths([run("a")]) is None


def test_the_rest_of_an_audit_is_what_no_table_shows() -> None:
    assert sections.audit_rest([run("a", audit=AUDIT)]) == {
        "wiki": {"prompt_tokens": AUDIT["datasets"]["wiki"]["prompt_tokens"], "n": 1200},  # type: ignore[index]
        "Over all datasets": {"repeats": {"train/test": 1}},
    }


def test_sentences_alike_but_for_their_numbers_stand_once() -> None:
    said = [("a", "It fell by 3."), ("b", "It fell by 4."), ("c", "It fell by 3."), ("c", "It rose.")]
    assert sections.said_alike(said, of=3) == ["It fell by 3. (a and c; with other numbers b)", "It rose. (c)"]
    assert sections.said_by(said, of=3)[0] == "It fell by 3. (a and c)"
    assert sections.said_by([("a", "x"), ("a", "x")], of=1) == ["x"]
