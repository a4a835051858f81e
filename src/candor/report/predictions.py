"""Individual predictions for the page: compact, capped, and safe to stand in a script element."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from candor.report.arms import arms_of
from candor.report.runs import SavedRun
from candor.types import Label, Prediction, Validity

CONFIDENT = 0.8
"""Stated confidence from which a wrong answer counts as confidently wrong."""
MAX_BYTES = 1_800_000
"""Of the embedded predictions, where there is room for as many."""
MAX_TEXT = 1_200
"""Characters kept of a claim or a sentence of evidence."""
MAX_OUTPUT = 500
"""Characters kept of an output that is not in the asked form: the last ones, where a verdict would stand."""


_Pair = tuple[str, int, Prediction | None, Prediction]
"""Dataset, number of the run, and both models' answers to one example."""


def browsable(runs: Sequence[SavedRun], *, max_bytes: int = MAX_BYTES, alone: bool = False) -> dict[str, Any]:
    """The predictions of both models on each example, in the form that ``page.js`` reads.

    When they do not fit, those where training changed the answer or left it confidently wrong, or where trained
    models differ, are kept first, then the others, each in file order and evenly over runs and datasets.

    Args:
        runs: whose base and trained predictions are paired by dataset and id.
        max_bytes: of the JSON text; never more than ``MAX_BYTES``.
        alone: whether each run is a model of its own, without a base model to pair it with (``base`` is then null).

    Returns:
        ``examples`` (id, dataset, claim, evidence, gold), ``runs`` (name, arm, rows of ``[example, base, trained]``
        with answers ``[label, confidence, raw or null]``), ``confident``, ``total`` and ``kept``.
    """
    max_bytes = min(max_bytes, MAX_BYTES)
    queues = [(_alone if alone else _pairs)(run, number) for number, run in enumerate(runs)]
    total = sum(len(queue) for queue in queues)
    # An example is kept for all runs or none, as far as there is room: it is shown with every model's answer.
    telling = _telling(queues)
    ordered = sorted(
        (
            (0 if (dataset, trained.id) in telling else 1, place, number, dataset, base, trained)
            for queue in queues
            for place, (dataset, number, base, trained) in enumerate(queue)
        ),
        key=lambda item: item[:3],
    )
    arm_of = {run.name: run.name if alone else arm.name for arm in arms_of(runs) for run in arm.runs}
    examples: list[dict[str, Any]] = []
    places: dict[tuple[str, ...], int] = {}
    rows: list[list[tuple[int, list[Any]]]] = [[] for _ in runs]
    size = 200 + sum(len(script_json([run.name, arm_of[run.name]])) + 30 for run in runs)
    kept = 0
    for _, place, number, dataset, base, trained in ordered:
        example = _example(dataset, base or trained)
        key = (example["dataset"], example["id"], example["claim"], example["gold"], *example["evidence"])
        row = [places.get(key, len(examples)), None if base is None else _answer(base), _answer(trained)]
        size += _bytes(row) + (0 if key in places else _bytes(example))
        if size > max_bytes:
            break
        if key not in places:
            places[key] = len(examples)
            examples.append(example)
        rows[number].append((place, row))
        kept += 1
    return {
        "confident": CONFIDENT,
        "total": total,
        "kept": kept,
        "examples": examples,
        "runs": [
            {
                "name": run.name,
                "arm": arm_of[run.name],
                "rows": [row for _, row in sorted(mine, key=lambda item: item[0])],
            }
            for run, mine in zip(runs, rows, strict=True)
        ],
    }


def predictions_note(predictions: Mapping[str, Any], first: str) -> str:
    """How many of how many predictions a page shows, and how their texts are cut.

    Args:
        predictions: what :func:`browsable` returned.
        first: which are kept first when not all fit.
    """
    total, kept = predictions["total"], predictions["kept"]
    size = (
        f"All {total:,} predictions."
        if kept == total
        else f"{kept:,} of {total:,} predictions, as many as fit into this file: first {first}."
    )
    return (
        f"{size} Confidently wrong means wrong with a stated confidence of {CONFIDENT:g} or more. "
        f"Texts longer than {MAX_TEXT:,} characters are cut; of outputs the last {MAX_OUTPUT} are kept."
    )


def script_json(value: Any) -> str:
    r"""JSON that cannot end or open anything inside an HTML script element.

    >>> script_json("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _alone(run: SavedRun, number: int) -> list[_Pair]:
    """A model's own predictions, datasets taking turns."""
    return _in_turns([[(name, number, None, row) for row in rows] for name, rows in run.predictions["trained"].items()])


def _pairs(run: SavedRun, number: int) -> list[_Pair]:
    """Predictions of both stages on the same example, datasets taking turns."""
    by_dataset: list[list[_Pair]] = []
    trained_by_dataset = run.predictions.get("trained", {})
    for dataset, base_rows in run.predictions.get("base", {}).items():
        trained = {row.id: row for row in trained_by_dataset.get(dataset, ())}
        by_dataset.append([(dataset, number, row, trained[row.id]) for row in base_rows if row.id in trained])
    return _in_turns(by_dataset)


def _in_turns(by_dataset: Sequence[Sequence[_Pair]]) -> list[_Pair]:
    longest = max(map(len, by_dataset), default=0)
    return [rows[place] for place in range(longest) for rows in by_dataset if place < len(rows)]


def _telling(queues: Sequence[Sequence[_Pair]]) -> set[tuple[str, str]]:
    """Dataset and id of the examples that are worth a look."""
    found = set()
    labels: dict[tuple[str, str], Label | None] = {}
    for queue in queues:
        for dataset, _, base, trained in queue:
            key = dataset, trained.id
            differs = labels.setdefault(key, trained.label) != trained.label
            changed = base is not None and base.label != trained.label
            if differs or changed or _confidently_wrong(trained):
                found.add(key)
    return found


def _confidently_wrong(row: Prediction) -> bool:
    return row.label != row.gold and row.confidence is not None and row.confidence >= CONFIDENT


def _example(dataset: str, row: Prediction) -> dict[str, Any]:
    return {
        "id": row.id,
        "dataset": dataset,
        "claim": _cut(row.claim),
        "evidence": [_cut(sentence) for sentence in row.evidence],
        "gold": row.gold,
    }


def _answer(row: Prediction) -> list[Any]:
    confidence = None if row.confidence is None else round(row.confidence, 3)
    return [row.label, confidence, None if row.validity is Validity.CLEAN else _end(row.raw)]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} … ({len(text) - MAX_TEXT} more characters)"


def _end(text: str) -> str:
    return text if len(text) <= MAX_OUTPUT else f"({len(text) - MAX_OUTPUT} characters before) … {text[-MAX_OUTPUT:]}"


def _bytes(value: Any) -> int:
    return len(script_json(value).encode()) + 1
