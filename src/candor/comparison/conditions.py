"""What a hypothesis asks for, condition by condition: each is met, refuted or undecided on one dataset.

A condition is met only where the whole interval lies beyond its margin, and refuted only where the whole interval lies
on the other side; everything between is undecided.
"""

from __future__ import annotations

import math
from typing import Any, Final

from scipy import special

from candor.comparison.share_tests import ACCURACY_LOSS, RECALL_LOSS
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.power import POWER
from candor.run_folder import SIDES

NO_RISE: Final = 0.02
"""A rise whose whole interval lies below this is none: one around 0 would stay undecided however narrow it is."""

NO_SKILL: Final = 0.02
"""The same of a skill score."""

NO_RANKING: Final = 0.55
"""The same of an AUROC, whose half is chance."""

NO_GAIN: Final = 0.01
"""The same of a gain in Brier score."""

OUT_OF_FORM: Final = 0.01
"""Share of a model's answers without a label from which on a rise must show on the answers of both models, too."""

_ON: Final[dict[str, str]] = {
    "all": "",
    "answered_by_both": " on the answers that both models gave",
    "with_evidence": " on the examples that show evidence",
    "probe": " by the label probe",
}

_PLANNED: Final = 1 + float(special.ndtri(POWER) / special.ndtri((1 + LEVEL) / 2))
"""An end of an interval lies beyond a margin in half of the repetitions if it does so on average; this much further, in
four of five."""

_SKILLS: Final[dict[schema.SkillName, str]] = {"brier": "Brier skill", "log": "log skill"}


def is_out_of_form(results: schema.Comparison) -> bool:
    """Whether one of the models left so many answers without a label that the form must be looked at."""
    return max(results["rows"]["invalid"].values()) > OUT_OF_FORM * results["rows"]["used"]


def started_from(results: schema.Comparison) -> str:
    """In words, what the trained model is compared with: the base model, or its warm start where there was one."""
    return "warm start" if "untaught" in results["metrics"] else "base model"


def is_recalibrated(results: schema.Comparison) -> bool:
    """Whether there were validation answers enough to recalibrate the base model's confidence."""
    return any(fit["method"] != "none" and fit["trained_minus"] for fit in results["recalibration"])


def find_test(results: schema.Comparison, figure: str, on: str, margin: float) -> schema.ShareTest | None:
    """One of the comparison's share tests; ``None`` where it was not taken."""
    for test in results["share_tests"]:
        if (test["figure"], test["on"]) == (figure, on) and math.isclose(test["margin"], margin):
            return test
    return None


def rise_condition(results: schema.Comparison, margin: float, on: str) -> schema.Number | None:
    """NA recall rises by more than ``margin`` on a set of answers; ``None`` where it was not tested on them."""
    test = find_test(results, "na_recall", on, margin)
    if test is None:
        return None
    above = f" by more than {100 * margin:.0f} points" if margin else ""
    return _share_number(results, test, f"NA recall rises{above}{_ON[on]}", refuted_below=margin or NO_RISE)


def loss_conditions(results: schema.Comparison, on: str) -> list[schema.Number]:
    """Accuracy and the recall of PASS and FAIL are kept; empty where these answers were not tested."""
    numbers = []
    for figure, title, loss in (
        ("accuracy", "accuracy", ACCURACY_LOSS),
        ("pass_recall", "PASS recall", RECALL_LOSS),
        ("fail_recall", "FAIL recall", RECALL_LOSS),
    ):
        test = find_test(results, figure, on, -loss)
        # Without an example of the label there is nothing to lose.
        if test is not None and test["n"]:
            condition = f"{title} falls by no more than {100 * loss:.0f} points{_ON[on]}"
            numbers.append(_share_number(results, test, condition, refuted_below=-loss))
    return numbers


def confidence_conditions(results: schema.Comparison) -> list[schema.Number]:
    """The trained model's confidence beats the base rate, ranks, and beats every recalibration of the base model."""
    trained, skill = results["metrics"]["trained"], results["skill"].get("trained", {})
    numbers = [
        _figure_number(results, figure, f"{_SKILLS[name]} over the base rate", 0.0, NO_SKILL)
        for name, figure in skill.items()
    ]
    if "auroc" in trained:
        numbers.append(_figure_number(results, trained["auroc"], "AUROC of the confidence", 0.5, NO_RANKING))
    for fit in results["recalibration"]:
        gain = fit["trained_minus"].get("brier")
        if fit["method"] != "none" and gain is not None:
            title = f"gain in Brier score over the {started_from(results)} recalibrated ({fit['method']})"
            numbers.append(_figure_number(results, _negated(gain), title, 0.0, NO_GAIN))
    return numbers


def levels(results: schema.Comparison, name: str) -> str | None:
    """A share before and after, in per cent; ``None`` where neither side has it."""
    figures = [results["metrics"][side].get(name) for side in SIDES]
    values = [None if figure is None else figure["value"] for figure in figures]
    if all(value is None for value in values):
        return None
    return " -> ".join("?" if value is None else f"{100 * value:.1f} %" for value in values)


def _share_number(
    results: schema.Comparison, test: schema.ShareTest, condition: str, *, refuted_below: float
) -> schema.Number:
    outcome: schema.Outcome = "undecided"
    interval, p = test["interval"], test["p"]
    if interval is not None and p is not None:
        one_sided = (1 - results["settings"]["level"]) / 2
        if test["enough"] and interval[0] > test["margin"] and p < one_sided:
            outcome = "holds"
        elif interval[1] < refuted_below:
            outcome = "does_not_hold"
    return {
        "dataset": results["dataset"],
        "condition": condition,
        "outcome": outcome,
        "value": test["difference"],
        "interval": interval,
        "margin": test["margin"],
        "p": p,
        "n": test["n"],
        "needed": _examples_to_decide(test, refuted_below) if outcome == "undecided" else None,
        "text": _share_text(test),
    }


def _share_text(test: schema.ShareTest) -> str:
    label, _, part = test["figure"].partition("_")
    title = f"{label.upper()} {part}" if part else label
    if test["difference"] is None:
        return f"{title} is unknown{_ON[test['on']]}: {test['reason']}"
    text = f"{title}{_ON[test['on']]} {_percent(test['base'])} -> {_percent(test['trained'])} %, "
    text += f"{100 * test['difference']:+.1f} points"
    if test["interval"] is None:
        return f"{text} ({test['reason']})"
    low, high = test["interval"]
    kind = "" if part == "" else f"{label.upper()} "
    few = "" if test["enough"] else f"; the models differ in {test['discordant']} of {test['groups']} groups only"
    return f"{text} ({100 * low:+.1f} to {100 * high:+.1f}; {test['n']:,} {kind}examples{few})"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:.1f}"


def _figure_number(
    results: schema.Comparison, figure: Any, title: str, margin: float, refuted_below: float
) -> schema.Number:
    value, interval = figure["value"], figure["interval"]
    outcome: schema.Outcome = "undecided"
    if interval is not None and interval[0] > margin:
        outcome = "holds"
    elif interval is not None and interval[1] < refuted_below:
        outcome = "does_not_hold"
    if value is None:
        text = f"{title} is unknown ({figure['reason']})"
    else:
        reach = "no interval" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        text = f"{title} {value:.3f} ({reach})"
    return {
        "dataset": results["dataset"],
        "condition": f"{title} is above {margin:g}",
        "outcome": outcome,
        "value": value,
        "interval": interval,
        "margin": margin,
        "p": None,
        "n": figure["n"],
        "needed": _answers_to_decide(figure, margin, refuted_below) if outcome == "undecided" else None,
        "text": text,
    }


def _examples_to_decide(test: schema.ShareTest, refuted_below: float) -> int | None:
    """About how many examples would decide, to the one side or the other, if the difference stays as it is."""
    value, interval, margin = test["difference"], test["interval"], test["margin"]
    if value is None or interval is None or refuted_below <= margin:
        return test["needed"]
    ways = [
        *([test["needed"]] if value > margin and test["needed"] is not None else []),
        *([_rows(test["n"], interval[1] - value, refuted_below - value)] if value < refuted_below else []),
    ]
    return min(ways, default=None)


def _answers_to_decide(figure: Any, margin: float, refuted_below: float) -> int | None:
    """The same of a figure that is no share: about how many answers would decide."""
    value, interval = figure["value"], figure["interval"]
    if value is None or interval is None:
        return None
    ways = [
        *([_rows(figure["n"], value - interval[0], value - margin)] if value > margin else []),
        *([_rows(figure["n"], interval[1] - value, refuted_below - value)] if value < refuted_below else []),
    ]
    return min(ways, default=None)


def _rows(n: int, reach: float, distance: float) -> int:
    """Rows with which an interval reaches less far than ``distance``, in four repetitions of five."""
    return math.ceil(n * (_PLANNED * reach / distance) ** 2)


def _negated(difference: schema.Difference) -> dict[str, Any]:
    """A fall as a rise: how much lower the trained model's Brier score is."""
    value, interval = difference["value"], difference["interval"]
    return {
        "value": None if value is None else -value,
        "interval": None if interval is None else (-interval[1], -interval[0]),
        "n": difference["n"],
        "reason": difference["reason"],
    }
