"""What the findings rest on: differences of shares against margins, on all answers and on those that can be compared.

A rise of NA recall is asked for above a margin, and accuracy and the recall of PASS and FAIL may not fall by more than
one. Each is tested on all answers, on those to which both models gave a label, on the examples that show evidence, and
on the label probe: a rise that is a matter of form or of a shortcut is not there on all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candor.comparison.stages import Both, Views
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL
from candor.metrics.paired_share import FEWEST_DISCORDANT, PairedShare, paired_share_difference
from candor.metrics.views import View
from candor.types import LABELS, NO_LABEL, Label

RISE: Final = 0.10
"""In domain, NA recall is to rise by more than this (the study's words)."""

ACCURACY_LOSS: Final = 0.02
"""Accuracy may fall by at most this and count as kept."""

RECALL_LOSS: Final = 0.05
"""The same of the recall of PASS and of FAIL, which have a quarter of the study's examples each."""

_NA: Final = LABELS.index(Label.NA)


def share_tests(views: Views) -> list[schema.ShareTest]:
    """Return every test of a share's difference against its margin, on each set of answers that there is.

    Args:
        views: both sides' answers to the same examples.
    """
    base, trained = views.paired
    labelled_N = (base.label_N != NO_LABEL) & (trained.label_N != NO_LABEL)
    found = list(_rises(views.paired, "all")) + list(_losses(views.paired, "all"))
    if not labelled_N.all():
        both = Both(base.take(labelled_N), trained.take(labelled_N))
        found += [*_rises(both, "answered_by_both"), *_losses(both, "answered_by_both")]
    if views.bare_N.any():
        shown_N = ~views.bare_N
        found += _rises(Both(base.take(shown_N), trained.take(shown_N)), "with_evidence")
    if views.probes.base is not None and views.probes.trained is not None:
        found += _rises(Both(views.probes.base, views.probes.trained), "probe")
    return found


def form_changes(views: Views) -> schema.FormChanges:
    """Count the NA examples on which a label appeared or went away: what of a rise is a matter of form."""
    base, trained = (view.label_N[view.gold_N == _NA] for view in views.paired)
    return {
        "na": base.size,
        "na_from_no_label": int(((base == NO_LABEL) & (trained == _NA)).sum()),
        "na_to_no_label": int(((base == _NA) & (trained == NO_LABEL)).sum()),
    }


def _rises(sides: Both[View], on: schema.ShareRows) -> Iterator[schema.ShareTest]:
    for margin in (0.0, RISE):
        yield _test("na_recall", sides, on, margin)


def _losses(sides: Both[View], on: schema.ShareRows) -> Iterator[schema.ShareTest]:
    yield _test("accuracy", sides, on, -ACCURACY_LOSS)
    for figure in ("pass_recall", "fail_recall"):
        yield _test(figure, sides, on, -RECALL_LOSS)


def _test(figure: str, sides: Both[View], on: schema.ShareRows, margin: float) -> schema.ShareTest:
    base, trained = sides
    rows_N = _rows(figure, base)
    hits = Both(base.correct[rows_N], trained.correct[rows_N])
    found = paired_share_difference(hits.base, hits.trained, base.group_N[rows_N], margin=margin, level=LEVEL)
    known = found.examples > 0
    return {
        "figure": figure,
        "on": on,
        "margin": margin,
        "base": float(hits.base.mean()) if known else None,
        "trained": float(hits.trained.mean()) if known else None,
        "difference": found.difference if known else None,
        "interval": found.interval,
        "p": found.p if math.isfinite(found.p) else None,
        "n": found.examples,
        "groups": found.groups,
        "discordant": found.discordant,
        "enough": found.enough,
        "needed": _needed(found),
        "reason": found.reason,
    }


def _rows(figure: str, view: View) -> NDArray[np.bool_]:
    """The examples that a figure is a share of."""
    if figure == "accuracy":
        return np.ones(view.gold_N.size, dtype=np.bool_)
    return np.equal(view.gold_N, LABELS.index(Label(figure.removesuffix("_recall").upper())))


def _needed(found: PairedShare) -> int | None:
    """How many examples would decide: enough for the difference, and enough that so many of them differ."""
    if found.needed is None or found.enough:
        return found.needed
    differing = max(found.discordant, 1)
    return max(found.needed, math.ceil(found.examples * FEWEST_DISCORDANT / differing))
