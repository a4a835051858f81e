"""What results say of three hypotheses: by rule, in words with the numbers, and with what speaks against.

1. In domain, NA recall rises by more than ten points, and accuracy and the recall of PASS and FAIL are kept.
2. Out of domain, NA recall rises too, and the same is kept.
3. The stated confidence is worth something: more than the base rate, more than chance at ranking, and more than the
   base model's confidence after a fit on validation answers.

A hypothesis holds where every condition is met on every dataset (an intersection of tests, each at its full level, so
nothing is corrected for their number), and does not where one is refuted. See :mod:`candor.comparison.conditions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from candor.comparison.conditions import (
    OUT_OF_FORM,
    confidence_conditions,
    find_test,
    is_out_of_form,
    is_recalibrated,
    levels,
    loss_conditions,
    rise_condition,
    started_from,
)
from candor.comparison.pairing import shortcut_warning, unrecorded_prompts
from candor.comparison.share_tests import RISE
from candor.metrics import schema

MOST: Final = 0.5
"""Share of answers without a label from which on the base model cannot be compared with."""

AUDIT_SENTENCES: Final = 2
"""Of the audit, listed against a finding for each dataset; the audit itself has them all."""

_TITLES: Final = (
    f"In domain, NA recall rises by more than {100 * RISE:.0f} points, and nothing else is lost",
    "Out of domain, NA recall rises too, and nothing else is lost",
    "The stated confidence beats the base rate and tells right answers from wrong ones",
)

_HEADS: Final[dict[schema.Outcome, str]] = {
    "holds": "Holds",
    "does_not_hold": "Does not hold",
    "undecided": "Undecided",
    "not_comparable": "Not comparable",
    "holds_by_shortcut": "Holds, but a shortcut explains it",
}

_WORST_FIRST: Final[tuple[schema.Outcome, ...]] = (
    "does_not_hold",
    "not_comparable",
    "undecided",
    "holds_by_shortcut",
    "holds",
)
"""A hypothesis on several datasets is what it is on the worst of them."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One hypothesis on one dataset."""

    dataset: str
    outcome: schema.Outcome
    numbers: Sequence[schema.Number]
    text: str
    against: Sequence[str]


def findings_on(
    comparisons: Sequence[schema.Comparison], audit: Mapping[str, Sequence[str]] | None = None
) -> list[schema.Finding]:
    """Say of each hypothesis whether it holds.

    Hypothesis 1 is judged where the role is ``in_domain``, or nobody told it; hypothesis 2 where it is
    ``out_of_domain``; hypothesis 3 everywhere.

    Args:
        comparisons: one per dataset.
        audit: for each dataset, sentences about shortcuts in its examples; the first are listed against the findings.
    """
    told = any(one["role"] is not None for one in comparisons)
    inside = [one for one in comparisons if one["role"] != "out_of_domain"]
    outside = [one for one in comparisons if one["role"] == "out_of_domain"]

    def rise(one: schema.Comparison, margin: float) -> _Judged:
        return _judge_rise(one, margin, (audit or {}).get(one["dataset"], ()))

    # A lone comparison of which nobody said where it stands is judged by the stricter of the two.
    first = _TITLES[0] if told or not comparisons else _TITLES[0].removeprefix("In domain, ")
    fitted = bool(comparisons) and all(map(is_recalibrated, comparisons))
    # Where every dataset has validation answers to recalibrate with.
    third = _TITLES[2] + (f", and beats the {started_from(comparisons[0])} recalibrated" if fitted else "")
    return [
        _finding(1, first, [rise(one, RISE) for one in inside], nothing="nothing was evaluated in domain"),
        _finding(2, _TITLES[1], [rise(one, 0.0) for one in outside], nothing="nothing was evaluated out of domain"),
        _finding(3, third, [_judge_confidence(one) for one in comparisons], nothing="nothing was evaluated"),
    ]


def _finding(hypothesis: int, title: str, judged: Sequence[_Judged], *, nothing: str) -> schema.Finding:
    outcomes = [one.outcome for one in judged]
    outcome: schema.Outcome = min(outcomes, key=_WORST_FIRST.index, default="undecided")
    if not judged:
        text = f"Undecided: {nothing}."
    elif len(judged) == 1:
        text = f"{_HEADS[outcome]}. {judged[0].text}"
    else:
        head = _HEADS[outcome]
        if outcome != "holds":
            met, explained = (
                ", ".join(one.dataset for one in judged if one.outcome == name)
                for name in ("holds", "holds_by_shortcut")
            )
            head += f" (met on {met or 'none'} of {len(judged)} datasets"
            head += f", by a shortcut on {explained})" if explained else ")"
        lines = [f"{one.dataset}: {_HEADS[one.outcome].lower()}. {one.text}" for one in judged]
        text = "\n".join([f"{head}.", *lines])
    return {
        "hypothesis": hypothesis,
        "title": title,
        "outcome": outcome,
        "text": text,
        "numbers": [number for one in judged for number in one.numbers],
        "against": _merged([(one.dataset, sentence) for one in judged for sentence in one.against]),
    }


def _judge_rise(results: schema.Comparison, margin: float, audit: Sequence[str]) -> _Judged:
    everywhere = rise_condition(results, margin, "all")
    if everywhere is None:
        return _Judged(results["dataset"], "undecided", (), "NA recall was not tested.", ())
    sets = ["all", *(["answered_by_both"] if is_out_of_form(results) else [])]
    rises = [number for on in sets if (number := rise_condition(results, margin, on)) is not None]
    asked = [*rises, *(number for on in sets for number in loss_conditions(results, on))]
    outcome = min((number["outcome"] for number in asked), key=_WORST_FIRST.index)
    extra = [number for on in ("probe", "with_evidence") if (number := rise_condition(results, margin, on)) is not None]
    shortcut = _explained_by_shortcut(results, margin)
    blocked = _why_not_comparable(results)
    if blocked is not None:
        outcome = "not_comparable"
    elif outcome == "holds" and shortcut is not None:
        outcome = "holds_by_shortcut"
    deciding = [number for number in asked if number in rises or number["outcome"] == outcome != "holds"]
    sentences = [*([blocked] if blocked else []), *map(_sentence, deciding)]
    if is_out_of_form(results):
        sentences += [_sentence(number) for number in extra if number["condition"].endswith("by the label probe")]
    if shortcut is not None and outcome == "holds_by_shortcut":
        sentences.append(shortcut)
    sentences += _abstention(results)
    return _Judged(
        results["dataset"], outcome, [*asked, *extra], " ".join(sentences), _against(results, audit, outcome)
    )


def _judge_confidence(results: schema.Comparison) -> _Judged:
    numbers = confidence_conditions(results)
    if not numbers:
        return _Judged(results["dataset"], "undecided", (), "No answer has a confidence.", ())
    outcome = min((number["outcome"] for number in numbers), key=_WORST_FIRST.index)
    sentences = [_sentence(number) for number in numbers if number["outcome"] == outcome]
    against = []
    if not is_recalibrated(results):
        few = "Too few" if results["recalibration"] else "There are no"
        against.append(
            f"{few} validation answers to say whether recalibrating the {started_from(results)} does as well."
        )
    missing = results["rows"]["without_confidence"]["trained"]
    if missing > OUT_OF_FORM * results["rows"]["used"]:
        against.append(f"{missing} of {results['rows']['used']} answers of trained have no confidence.")
    return _Judged(results["dataset"], outcome, numbers, " ".join(sentences), against)


def _sentence(number: schema.Number) -> str:
    """The number as a sentence, with what would decide it where nothing does."""
    text = number["text"][:1].upper() + number["text"][1:]
    if number["outcome"] == "undecided" and number["needed"] is not None:
        text += f"; about {_rounded(number['needed'])} examples would decide whether {number['condition']}"
    return f"{text}."


def _rounded(count: int) -> str:
    """Two digits: more are not known of a number that is planned from the observed difference."""
    return f"{round(count, -max(len(str(count)) - 2, 0)):,}"


def _abstention(results: schema.Comparison) -> list[str]:
    """What the rise costs: NA said where the evidence decides."""
    rate, precision = levels(results, "false_na_rate"), levels(results, "na_precision")
    parts = [
        *([f"NA is said to {rate} of the PASS and FAIL examples"] if rate else []),
        *([f"NA precision is {precision}"] if precision else []),
    ]
    text = ", ".join(parts)
    return [text[:1].upper() + text[1:] + "."] if text else []


def _why_not_comparable(results: schema.Comparison) -> str | None:
    if "prompt" in results["allowed"]:
        return "The two models read different prompts, which can move figures more than training does."
    unread, used = results["rows"]["invalid"]["base"], results["rows"]["used"]
    if unread > MOST * used:
        start = started_from(results)
        return f"The {start} gave no label in {unread:,} of {used:,} answers: a rise from there is a matter of form."
    return None


def _explained_by_shortcut(results: schema.Comparison, margin: float) -> str | None:
    """Why a rise may be no judgement: a shortcut tells NA from the rest, and it is not seen where that is silent."""
    found = results["no_evidence"]
    if found is None or not found["shortcut"]:
        return None
    beside = rise_condition(results, margin, "with_evidence")
    if beside is not None and beside["outcome"] == "holds":
        return None
    test = find_test(results, "na_recall", "with_evidence", margin)
    rest = "no NA example shows evidence" if test is None or not test["n"] else beside["text"] if beside else ""
    return f"{shortcut_warning(found)[0][:-1]}; {rest}."


def _against(results: schema.Comparison, audit: Sequence[str], outcome: schema.Outcome) -> list[str]:
    """What speaks against a rise on one dataset, each matter once."""
    found = [*unrecorded_prompts(results["base"], results["trained"])]
    evidence, changes = results["no_evidence"], results["form_changes"]
    shortcut = evidence is not None and evidence["shortcut"]
    if shortcut and outcome != "holds_by_shortcut":
        found += shortcut_warning(evidence)
    if changes is not None:
        gained, lost = changes["na_from_no_label"], changes["na_to_no_label"]
        if max(gained, lost) > OUT_OF_FORM * changes["na"]:
            found.append(
                f"{gained} NA examples became NA out of an answer without a label, and {lost} the other way: "
                f"{100 * (gained - lost) / changes['na']:+.1f} points of the change are a matter of form."
            )
    rate = results["differences"].get("false_na_rate")
    if rate is not None and rate["interval"] is not None and rate["interval"][0] > 0:
        low, high = rate["interval"]
        found.append(
            f"NA is said to more PASS and FAIL examples than before: {100 * (rate['value'] or 0.0):+.1f} points "
            f"({100 * low:+.1f} to {100 * high:+.1f})."
        )
    if len(results["allowed"]) > ("prompt" in results["allowed"]):
        others = [name for name in results["allowed"] if name != "prompt"]
        found.append(f"The files differ in their {' and '.join(others)}, which was allowed on request.")
    # The rule "no evidence, so NA" is counted on these very examples; the audit's own words of it add nothing.
    told = [words for words in audit if not (shortcut and "no evidence" in words)]
    return [*found, *(words.removeprefix(f"{results['dataset']}: ") for words in told[:AUDIT_SENTENCES])]


def _merged(sentences: Sequence[tuple[str, str]]) -> list[str]:
    """Each sentence once, with the datasets that it is about in front."""
    datasets_of: dict[str, list[str]] = {}
    for dataset, text in sentences:
        datasets_of.setdefault(text, []).append(dataset)
    return [f"{', '.join(dict.fromkeys(names))}: {text}" for text, names in datasets_of.items()]
