"""What results say of the study's two hypotheses: by rule, in words with the numbers, and with what speaks against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from candor.metrics import schema
from candor.run_folder import SIDES
from candor.types import LABELS, Label

RISE: Final = 0.10
"""Hypothesis 1: NA recall rises by more than this in domain (the study's words)."""

MARGIN: Final = 0.02
"""Hypothesis 2: accuracy does not fall if its difference is at least 0, or its whole interval lies above minus this."""

_TITLES: Final = {
    1: f"In domain, NA recall rises by more than {100 * RISE:.0f} points",
    2: "Out of domain, NA recall rises too, and accuracy does not fall",
}


def findings_on(
    comparisons: Sequence[schema.Comparison], audit: Mapping[str, Sequence[str]] | None = None
) -> list[schema.Finding]:
    """Say of both hypotheses whether they hold.

    Hypothesis 1 holds if on every dataset with role ``in_domain`` NA recall rises by more than ``RISE`` with a
    corrected p below the level in the settings. Hypothesis 2 holds if on every dataset with role ``out_of_domain`` NA
    recall rises with such a p, and accuracy does not fall. One without such a dataset, or without the figures, is left
    open.

    Args:
        comparisons: one per dataset.
        audit: for each dataset, sentences about shortcuts in its examples; they are listed against the findings.
    """
    parts: dict[int, list[schema.Comparison]] = {
        1: [one for one in comparisons if one["role"] == "in_domain"],
        2: [one for one in comparisons if one["role"] == "out_of_domain"],
    }
    return [_finding(hypothesis, chosen, audit or {}) for hypothesis, chosen in parts.items()]


def _finding(
    hypothesis: int, comparisons: Sequence[schema.Comparison], audit: Mapping[str, Sequence[str]]
) -> schema.Finding:
    outcomes = [_holds(hypothesis, one) for one in comparisons]
    against = [sentence for one in comparisons for sentence in _against(hypothesis, one, audit.get(one["dataset"], ()))]
    holds = False if False in outcomes else None if None in outcomes or not outcomes else True
    if not outcomes:
        where = "in domain" if hypothesis == 1 else "out of domain"
        text = f"Left open: nothing was evaluated {where}."
    else:
        met = [one["dataset"] for one, outcome in zip(comparisons, outcomes, strict=True) if outcome]
        count = f"{len(met)} of {len(outcomes)} datasets" if len(outcomes) > 1 else comparisons[0]["dataset"]
        head = {True: "Holds", False: "Does not hold", None: "Left open"}[holds]
        text = f"{head}: " + (f"met on {count}" if met or len(outcomes) > 1 else f"not met on {count}") + ". "
        text += " ".join(_numbers(hypothesis, one) for one in comparisons)
    return {
        "hypothesis": hypothesis,
        "title": _TITLES[hypothesis],
        "holds": holds,
        "text": text,
        "evidence": [_numbers(hypothesis, one) for one in comparisons],
        "against": against,
    }


def _holds(hypothesis: int, results: schema.Comparison) -> bool | None:
    rise = results["differences"].get("na_recall")
    if rise is None or rise["value"] is None or rise["p_holm"] is None:
        return None
    significant = rise["p_holm"] < results["settings"]["significance"]
    if hypothesis == 1:
        return significant and rise["value"] > RISE
    accuracy = results["differences"].get("accuracy")
    if accuracy is None or accuracy["value"] is None:
        return None
    return significant and rise["value"] > 0 and not _falls(accuracy)


def _falls(accuracy: schema.Difference) -> bool:
    value, interval = accuracy["value"], accuracy["interval"]
    if value is not None and value >= 0:
        return False
    return interval is None or interval[0] <= -MARGIN


def _points(difference: schema.Difference) -> str:
    if difference["value"] is None:
        return f"unknown ({difference['reason']})"
    text = f"{100 * difference['value']:+.1f} points"
    if difference["interval"] is not None:
        low, high = difference["interval"]
        text += f" ({100 * low:+.1f} to {100 * high:+.1f}"
        text += f", p = {difference['p_holm']:.2g} after Holm)" if difference["p_holm"] is not None else ")"
    return text


def _numbers(hypothesis: int, results: schema.Comparison) -> str:
    text = results["dataset"]
    for name, title in (("na_recall", "NA recall"), ("accuracy", "accuracy"))[:hypothesis]:
        sides = [results["metrics"][side].get(name) for side in SIDES]
        levels = " -> ".join(
            "?" if figure is None or figure["value"] is None else f"{100 * figure['value']:.1f} %" for figure in sides
        )
        difference = results["differences"].get(name)
        change = "not compared" if difference is None else _points(difference)
        text += f"{':' if name == 'na_recall' else ';'} {title} {levels}, {change}"
    return text + "."


def _against(hypothesis: int, results: schema.Comparison, audit: Sequence[str]) -> list[str]:
    name = results["dataset"]
    found = [
        sentence if sentence.startswith(f"{name}:") else f"{name}: {sentence}"
        for sentence in [*audit, *results["warnings"]]
    ]
    rise = results["differences"].get("na_recall")
    if hypothesis == 1 and rise is not None and rise["interval"] is not None and rise["value"] is not None:
        low = rise["interval"][0]
        if rise["value"] > RISE >= low:
            found.append(f"{name}: the interval of the rise reaches down to {100 * low:+.1f} points.")
    na = LABELS.index(Label.NA)
    unread = [results["confusion"][side][na][-1] for side in SIDES if side in results["confusion"]]
    if len(unread) == 2 and unread[0] > unread[1]:
        found.append(
            f"{name}: {unread[0]} NA examples had no label from base and {unread[1]} from trained; "
            "up to that difference the rise is a matter of form."
        )
    for label in ("pass", "fail"):
        drop = results["differences"].get(f"{label}_recall")
        if drop is not None and drop["interval"] is not None and drop["interval"][1] < 0:
            found.append(f"{name}: {label.upper()} recall falls by {_points(drop).lstrip('-')}.")
    return found
