"""Results of schemas before the current one, in today's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from candor.metrics.schema import SCHEMA, Outcome

_OUTCOMES: Final[dict[bool | None, Outcome]] = {True: "holds", False: "does_not_hold", None: "undecided"}


def in_current_words(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Results of schema 1 and 2 as they would be written now; those of any other schema as they are.

    Schema 1 called findings verdicts, and their hypothesis a claim. Up to schema 2 a finding held, held not or was left
    open, its numbers were sentences, and comparisons had no tests of shares.
    """
    if results.get("schema") not in (1, 2):
        return results
    current = {("findings" if key == "verdicts" else key): value for key, value in results.items()}
    current["schema"] = SCHEMA
    if results.get("kind") == "comparison":
        current |= {"calibration": {}, "skill": {}, "share_tests": [], "form_changes": None, "no_evidence": None}
    if results.get("kind") == "run":
        current["comparisons"] = [in_current_words(one) for one in results.get("comparisons", ())]
        current["findings"] = [_current_finding(one) for one in current.get("findings", ())]
    return current


def _current_finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    outcome = _OUTCOMES[finding["holds"]]
    numbers = [
        {
            "dataset": "",
            "condition": "",
            "outcome": outcome,
            "value": None,
            "interval": None,
            "margin": None,
            "p": None,
            "n": 0,
            "needed": None,
            "text": text,
        }
        for text in finding["evidence"]
    ]
    return {
        "hypothesis": finding.get("hypothesis", finding.get("claim")),
        "title": finding["title"],
        "outcome": outcome,
        "text": finding["text"],
        "numbers": numbers,
        "against": finding["against"],
    }
