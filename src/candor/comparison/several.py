"""Several datasets, and several trained models, compared from prediction files alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from candor.comparison.compare import RISK, compare_files
from candor.comparison.findings import findings_on
from candor.comparison.pairing import load_side
from candor.comparison.results import run_results
from candor.comparison.threshold import load_threshold_answers
from candor.errors import PredictionError
from candor.metrics import schema
from candor.metrics.bootstrap import LEVEL, RESAMPLES

Pair = tuple[Path, Path]
"""Both models' prediction files, base first."""


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """What is compared on one dataset.

    Attributes:
        dataset: its name.
        files: both models' answers.
        role: whether the trained model was trained on it.
        validation: both models' answers to other examples of it, to recalibrate and to choose the threshold on.
    """

    dataset: str
    files: Pair
    role: schema.Role | None
    validation: Pair | None


@dataclass(frozen=True, slots=True)
class ArmFiles:
    """One trained model on one or more datasets."""

    name: str
    datasets: tuple[DatasetFiles, ...]


def arrange_files(
    paths: Sequence[Path],
    *,
    arms: Sequence[str] = (),
    datasets: Sequence[str] = (),
    trained_on: Sequence[Sequence[str]] = (),
    role: schema.Role | None = None,
    validation: Sequence[Pair] = (),
) -> list[ArmFiles]:
    """Say which file answers what: pairs of base and trained, dataset after dataset, arm after arm.

    Args:
        paths: base and trained in turn, for each dataset of each arm.
        arms: names of the trained models, each with as many datasets; one model if not given.
        datasets: names of the datasets of every arm, in order; as recorded in the files, or the file's name, if not
            given.
        trained_on: for each arm, or once for all, the datasets it was trained on; all others are out of domain.
        role: of every dataset, where ``trained_on`` is not given.
        validation: pairs of files; several datasets find theirs by the dataset that the files record.

    Raises:
        PredictionError: the files cannot be told apart so.
    """
    pairs = list(zip(paths[::2], paths[1::2], strict=False))
    if len(paths) < 2 or len(paths) % 2:
        raise PredictionError(
            f"{len(paths)} files: give the base model's and the trained model's for each dataset in turn"
        )
    count = max(len(arms), 1)
    if len(pairs) % count:
        raise PredictionError(f"{len(pairs)} pairs of files cannot be shared evenly by {count} arms")
    size = len(pairs) // count
    if datasets and len(datasets) != size:
        raise PredictionError(f"{len(datasets)} names of datasets for {size} pairs of files in each arm")
    if trained_on and len(trained_on) not in (1, count):
        raise PredictionError(f"trained-on is given {len(trained_on)} times for {count} arms; give it once or for each")
    if validation and count > 1:
        raise PredictionError("validation files are of one trained model; compare the arms one by one to use them")
    made = []
    for place in range(count):
        own = pairs[place * size : (place + 1) * size]
        names = list(datasets) or [_recorded(trained, base) for base, trained in own]
        if len(set(names)) < size:
            raise PredictionError(f"the datasets {', '.join(names)} are not told apart by name; name them (--datasets)")
        roles = _roles(names, trained_on[min(place, len(trained_on) - 1)] if trained_on else None, role)
        chosen = _validation_of(names, validation)
        parts = [
            DatasetFiles(name, files, roles[name], chosen.get(name)) for name, files in zip(names, own, strict=True)
        ]
        made.append(ArmFiles(arms[place] if arms else "trained", tuple(parts)))
    return made


def compare_arms(
    arms: Sequence[ArmFiles],
    *,
    paper_conventions: bool = False,
    allow: Collection[str] = (),
    risk: float = RISK,
    risk_confidence: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
    class_shares: Mapping[str, float] | None = None,
) -> list[schema.RunResults]:
    """Compare each arm on each of its datasets, and say what it finds; arguments as in ``compare_files``.

    One threshold is chosen for an arm, on the validation answers of all datasets that it was trained on together, and
    judged on every dataset.

    Raises:
        PredictionError: as ``compare_files``.
    """
    results = []
    for arm in arms:
        chosen_on = [one.validation for one in arm.datasets if one.validation and one.role != "out_of_domain"]
        threshold = load_threshold_answers(chosen_on) if chosen_on else None
        comparisons = [
            compare_files(
                *one.files,
                paper_conventions=paper_conventions,
                validation=one.validation,
                threshold_answers=threshold,
                allow=allow,
                dataset=one.dataset,
                role=one.role,
                risk=risk,
                risk_confidence=risk_confidence,
                resamples=resamples,
                seed=seed,
                class_shares=class_shares,
            )
            for one in arm.datasets
        ]
        results.append(run_results({"name": arm.name}, comparisons))
    return results


def as_one(results: Sequence[schema.RunResults]) -> schema.Comparison | schema.RunResults | schema.ArmsResults:
    """What is written of the arms: a lone comparison with its findings, one arm's results, or all of them."""
    if len(results) > 1:
        findings = [
            {**finding, "title": f"{run['run']['name']}: {finding['title']}"}
            for run in results
            for finding in run["findings"]
        ]
        return {"schema": schema.SCHEMA, "kind": "arms", "arms": list(results), "findings": findings}  # type: ignore[typeddict-item]
    (run,) = results
    if len(run["comparisons"]) > 1:
        return run
    (comparison,) = run["comparisons"]
    return {**comparison, "findings": findings_on([comparison])}


def _recorded(*paths: Path) -> str:
    """The dataset that the first of some files records, in their order, else the name of the first."""
    found = (load_side(path, "trained").header["dataset"] for path in paths)
    return next(filter(None, found), paths[0].name.split(".")[0])


def _roles(
    names: Sequence[str], trained_on: Sequence[str] | None, role: schema.Role | None
) -> dict[str, schema.Role | None]:
    if trained_on is None:
        return dict.fromkeys(names, role)
    unknown = [name for name in trained_on if name not in names]
    if unknown:
        raise PredictionError(
            f"trained on {unknown[0]!r}, but the datasets are {', '.join(names)}, as the files or their names have it; "
            "give their own names in the order of the files (--datasets)"
        )
    return {name: "in_domain" if name in trained_on else "out_of_domain" for name in names}


def _validation_of(names: Sequence[str], validation: Sequence[Pair]) -> dict[str, Pair]:
    if len(names) == 1 and len(validation) == 1:
        return {names[0]: validation[0]}
    found: dict[str, Pair] = {}
    for pair in validation:
        name = _recorded(pair[1])
        if name not in names or name in found:
            raise PredictionError(
                f"{pair[1]}: validation answers of {name!r}, but the datasets without any yet are "
                f"{', '.join(one for one in names if one not in found)}"
            )
        found[name] = pair
    return found
