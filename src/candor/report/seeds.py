"""Several seeds of each arm: what holds for new seeds and new examples, corrected over the arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from candor.comparison.seeds import crossed_differences, crossed_over_arms
from candor.comparison.stages import Both
from candor.metrics.power import SIGNIFICANCE
from candor.metrics.seeds import Crossed
from candor.metrics.seeds_schema import CrossedFigure
from candor.report import wording
from candor.report.arms import Arm, datasets_of
from candor.report.tables import Cell, Group, Row, Table
from candor.run_folder import SIDES
from candor.types import Prediction


def seeds_table(arms: Sequence[Arm]) -> Table | None:
    """Each arm's difference to its base model over its seeds, with an interval and a p for seeds and examples at once.

    The p-values of one figure share a Holm correction over the arms.

    Args:
        arms: those with several seeds whose predictions are there are shown.

    Returns:
        ``None`` where there is no such arm.
    """
    shown = [arm for arm in arms if len(arm.runs) > 1]
    groups = []
    for dataset in datasets_of(shown):
        found = crossed_over_arms({arm.name: _answers(arm, dataset) for arm in shown})
        names = dict.fromkeys(name for figures in found.values() for name in figures)
        if names:
            rows = tuple(
                Row(wording.title(name), tuple(_cell(name, found[arm.name].get(name)) for arm in shown))
                for name in names
            )
            groups.append(Group(dataset, rows))
    if not groups:
        return None
    caption = (
        "Trained minus base, mean over the seeds. The interval and the p-value below it hold for new seeds and new "
        f"examples at once; p is corrected over the arms (Holm), those below {SIGNIFICANCE:g} are bold."
    )
    return Table("seeds", caption, ("Metric", *(arm.name for arm in shown)), tuple(groups))


def crossed(arm: Arm, dataset: str) -> Mapping[str, Crossed]:
    """Trained minus base over an arm's seeds; empty where fewer than two of them have their predictions."""
    complete = _answers(arm, dataset)
    return crossed_differences(complete) if len(complete) > 1 else {}


def _answers(arm: Arm, dataset: str) -> list[Both[Sequence[Prediction]]]:
    """Both models' answers of each seed that has them."""
    sides = [Both(*(run.predictions.get(side, {}).get(dataset, ()) for side in SIDES)) for run in arm.runs]
    return [both for both in sides if both.base and both.trained]


def _cell(metric: str, found: CrossedFigure | None) -> Cell:
    if found is None:
        return Cell(wording.NOTHING)
    p = found["p_holm"]
    significant = p is not None and p < SIGNIFICANCE
    notes = [wording.interval(metric, found["interval"], sign=True) or found["reason"] or ""]
    if p is not None:
        notes.append(f"p {wording.p_value(p)}")
    return Cell(
        wording.signed(metric, found["value"]),
        "\n".join(filter(None, notes)),
        tone=wording.tone(metric, found["value"]) if significant else "",
        strong=significant,
        value=found["value"],
    )
