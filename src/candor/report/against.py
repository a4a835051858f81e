"""Models against each other: a row for every pair, its differences with interval and corrected p."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from candor.comparison.models import (
    COMPARED,
    Answers,
    ModelDifference,
    ModelPair,
    compare_models,
    resamples_for,
)
from candor.errors import PredictionError
from candor.metrics.power import SIGNIFICANCE
from candor.report import wording
from candor.report.arms import Arm, datasets_of
from candor.report.tables import Cell, Group, Row, Table


def arms_against_each_other(arms: Sequence[Arm]) -> tuple[Table | None, list[str]]:
    """Every arm against every other on each dataset, from the predictions of their trained models.

    Returns:
        the table, ``None`` where no two arms answered the same examples; and what could not be compared, in sentences.
    """
    found: dict[str, list[ModelPair]] = {}
    notes = []
    for dataset in datasets_of(arms):
        try:
            answers = {arm.name: _answers(arm, dataset) for arm in arms}
            found[dataset] = compare_models(answers, resamples=resamples_for(len(arms)))
        except PredictionError as error:
            notes.append(f"{dataset}: the arms cannot be compared: {error}.")
    return pairs_table(found), notes


def pairs_table(pairs: Mapping[str, Sequence[ModelPair]]) -> Table | None:
    """A row for every pair of models, a group for every dataset; ``None`` without a pair."""
    groups = [
        Group(dataset, tuple(_row(pair, [one.n for one in found]) for pair in found))
        for dataset, found in pairs.items()
        if found
    ]
    if not groups:
        return None
    seeds = {pair.seeds for found in pairs.values() for pair in found}
    caption = (
        "Difference on the same claims, with its 95 % interval and its p, corrected over all tests of a dataset "
        f"(Holm); those below {SIGNIFICANCE:g} are bold."
    )
    if max(seeds) > 1:
        caption += " Runs are paired seed by seed; means over the seeds, for new seeds and new claims at once."
    return Table("against", caption, ("Models", *map(wording.title, COMPARED)), tuple(groups))


def _answers(arm: Arm, dataset: str) -> list[Answers]:
    return [answers for run in arm.runs if (answers := run.predictions.get("trained", {}).get(dataset))]


def _row(pair: ModelPair, sizes: Sequence[int]) -> Row:
    n = f" ({pair.n:,} claims)" if len(set(sizes)) > 1 else ""
    cells = tuple(
        _cell(name, pair.differences[name]) if name in pair.differences else Cell(wording.NOTHING) for name in COMPARED
    )
    return Row(f"{pair.second} minus {pair.first}{n}", cells)


def _cell(metric: str, one: ModelDifference) -> Cell:
    significant = one.p_holm is not None and one.p_holm < SIGNIFICANCE
    notes = [wording.interval(metric, one.interval, sign=True) or one.reason or ""]
    if one.p_holm is not None:
        notes.append(f"p {wording.p_value(one.p_holm)}")
    return Cell(
        wording.signed(metric, one.value),
        "\n".join(filter(None, notes)),
        tone=wording.tone(metric, one.value) if significant else "",
        strong=significant,
        value=one.value,
    )
