"""Several models' prediction files on the same claims: every figure of each, and every pair against each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from candor.comparison.models import ModelPair, compare_models, resamples_for
from candor.comparison.pairing import ALLOWANCES, Side, load_side
from candor.errors import PredictionError
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL, RESAMPLES
from candor.metrics.paired import Metric, view_metrics
from candor.metrics.views import stated_view
from candor.types import Prediction


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """One model on one dataset.

    Attributes:
        file: where its answers come from.
        predictions: its answers to the claims that all models answered, in the order of the first file.
        figures: every figure of them, by the names in :mod:`candor.metrics.names`.
        notes: what to know about how the file was read.
    """

    file: schema.FileHeader
    predictions: tuple[Prediction, ...]
    figures: Mapping[str, Metric]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetBoard:
    """All models on one dataset.

    Attributes:
        dataset: its name.
        models: by name, in the order given.
        pairs: every model against every other.
        n: claims that all of them answered.
        resamples: of the bootstrap behind intervals and p-values.
        warnings: in what the files differ although it was allowed.
    """

    dataset: str
    models: Mapping[str, ModelAnswers]
    pairs: Sequence[ModelPair]
    n: int
    resamples: int
    warnings: tuple[str, ...]


def compare_model_files(
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    datasets: Sequence[str] = (),
    allow: Collection[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[DatasetBoard]:
    """Compare models by their prediction files alone; none of them is the base of another.

    Args:
        paths: model after model, each with one file for every dataset, in the same order.
        names: of the models, at least two.
        datasets: names of the datasets; as recorded in the first model's files, or the file's name, if not given.
        allow: in what the files of a dataset may differ all the same: ``prompt``, ``ids``, ``gold``, ``dataset``,
            ``split``. Claims that not all have, or whose gold labels differ, are then left out.
        resamples: bootstrap resamples; more are taken where the correction over all pairs needs them.
        seed: the same seed and files give the same results.

    Raises:
        PredictionError: the files cannot be told apart so, cannot be read, or differ in what is not allowed.
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise PredictionError(f"names {', '.join(names)}: needs at least two models, each with a name of its own")
    if not paths or len(paths) % len(names):
        raise PredictionError(
            f"{len(paths)} files for {len(names)} models: give each model's files in turn, as many for each"
        )
    unknown = [name for name in allow if name not in ALLOWANCES]
    if unknown:
        raise PredictionError(f"cannot allow {unknown[0]!r}: files may differ in {', '.join(ALLOWANCES)}")
    resamples = resamples_for(len(names), resamples)
    count = len(paths) // len(names)
    if datasets and len(datasets) != count:
        raise PredictionError(f"{len(datasets)} names of datasets for {count} files of each model")
    boards = []
    for place in range(count):
        sides = {name: load_side(paths[number * count + place], name) for number, name in enumerate(names)}
        first = next(iter(sides.values())).header
        dataset = datasets[place] if datasets else first["dataset"] or Path(first["path"]).name.split(".")[0]
        boards.append(_board(dataset, sides, allow, resamples=resamples, seed=seed))
    if len({board.dataset for board in boards}) < count:
        raise PredictionError("the datasets are not told apart by name; name them (--datasets)")
    return boards


def as_results(boards: Sequence[DatasetBoard], *, seed: int) -> dict[str, Any]:
    """What is written of them as JSON."""
    return {
        "schema": schema.SCHEMA,
        "kind": "models",
        "settings": {"level": LEVEL, "resamples": boards[0].resamples, "seed": seed},
        "datasets": [
            {
                "dataset": board.dataset,
                "n": board.n,
                "models": {
                    name: {
                        "file": model.file,
                        "metrics": {metric: one.as_json() for metric, one in model.figures.items()},
                        "notes": list(model.notes),
                    }
                    for name, model in board.models.items()
                },
                "pairs": [_pair(pair) for pair in board.pairs],
                "warnings": list(board.warnings),
            }
            for board in boards
        ],
    }


def _pair(pair: ModelPair) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "n": pair.n,
        "differences": {
            name: {
                "value": one.value,
                "interval": one.interval,
                "p": None if one.p_holm is None else one.p,
                "p_holm": one.p_holm,
                "reason": one.reason,
            }
            for name, one in pair.differences.items()
        },
    }


def _board(
    dataset: str, sides: Mapping[str, Side], allow: Collection[str], *, resamples: int, seed: int
) -> DatasetBoard:
    rows = {name: {row.id: row for row in side.predictions} for name, side in sides.items()}
    found = _differences(sides, rows)
    refused = [name for name in ALLOWANCES if name in found and name not in allow]
    if refused:
        raise PredictionError(
            f"{dataset}: the models cannot be compared: {'; '.join(found[name] for name in refused)}. "
            f"To compare what is left all the same, allow: {', '.join(refused)}"
        )
    ids = _shared(rows)
    if not ids:
        raise PredictionError(f"{dataset}: the models have no claim in common")
    first = next(iter(rows.values()))
    answers = {
        # One grouping for all, or pairs would be drawn with different neighbourhoods.
        name: tuple(replace(own[one], group=first[one].group) for one in ids)
        for name, own in rows.items()
    }
    models = {
        name: ModelAnswers(
            sides[name].header,
            own,
            view_metrics(stated_view(own), resamples=resamples, seed=seed),
            sides[name].notes,
        )
        for name, own in answers.items()
    }
    pairs = compare_models({name: [own] for name, own in answers.items()}, resamples=resamples, seed=seed)
    warnings = tuple(f"Compared although {found[name]}." for name in ALLOWANCES if name in found)
    return DatasetBoard(dataset, models, pairs, len(ids), resamples, warnings)


def _shared(rows: Mapping[str, Mapping[str, Prediction]]) -> list[str]:
    """Ids that every file has with the same gold label, in the order of the first file."""
    first, *others = rows.values()
    return [one for one in first if all(one in own and own[one].gold == first[one].gold for own in others)]


def _differences(sides: Mapping[str, Side], rows: Mapping[str, Mapping[str, Prediction]]) -> dict[str, str]:
    """In what some model's file differs from the first one's; the first such file is named."""
    (name, side), *others = sides.items()
    own = rows[name]
    found: dict[str, str] = {}
    for other, its in others:
        theirs = rows[other]
        both = [one for one in own if one in theirs]
        if len(both) < max(len(own), len(theirs)):
            found.setdefault(
                "ids", f"{len(both)} of {len(own)} claims of {name} are also among the {len(theirs)} of {other}"
            )
        gold = [one for one in both if own[one].gold != theirs[one].gold]
        if gold:
            found.setdefault("gold", f"{len(gold)} claims have different gold labels in {name} and {other}")
        changed = [
            one for one in both if (own[one].claim, own[one].evidence) != (theirs[one].claim, theirs[one].evidence)
        ]
        if changed:
            found.setdefault(
                "prompt", f"{len(changed)} claims of {name} read otherwise, or with other evidence, in {other}"
            )
        if side.header["template_sha256"] != its.header["template_sha256"]:
            found.setdefault("prompt", f"{name} and {other} were asked with different prompts")
        for key in ("dataset", "split"):
            here, there = side.header[key], its.header[key]
            if here and there and here != there:
                found.setdefault(key, f"the {key}s differ: {here} in {name} and {there} in {other}")
    return found
