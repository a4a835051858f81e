"""The abstention threshold of both models: which answers it is chosen on, and what it does on others.

One threshold is chosen, on the answers of all its sources together; the verifier deploys it, and every dataset is
judged with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from candor.comparison.pairing import Side, load_side
from candor.comparison.stages import Both, Views
from candor.errors import PredictionError, RunError
from candor.metrics import schema
from candor.metrics.shares import clustered_share
from candor.metrics.threshold import Choice, accepts, choose_threshold
from candor.metrics.views import View, stated_view
from candor.recipe.recipe import Recipe
from candor.run_folder import RunFolder
from candor.types import LABELS, Prediction

ThresholdSplit: TypeAlias = Literal["calibration", "validation"]

CHECKPOINT_CHOSEN: Final = (
    "the checkpoint was chosen on these validation answers (train.validate_every), so they flatter it; "
    "give counts under data.calibration"
)
"""Why a trained model's threshold is refused."""


LABEL_SHIFT: Final = 0.1
"""A label's share may differ by so much between the answers that are chosen on and those that are judged, untold."""


@dataclass(frozen=True, slots=True)
class ThresholdSources:
    """Which answers of a run its threshold is chosen on.

    Attributes:
        split: where they are from.
        names: the sources, all taken together; the guarantee is for claims like theirs.
        refused: why the trained model's threshold cannot be chosen on them; the base model's always can.
    """

    split: ThresholdSplit
    names: tuple[str, ...]
    refused: str | None


def threshold_sources(run: RunFolder, recipe: Recipe, sources: Sequence[str] | None = None) -> ThresholdSources | None:
    """Say which answers of a run its threshold is chosen on.

    Those of every source under ``data.calibration``; in a recipe without any, the validation answers of the sources
    that the run was trained on, unless its checkpoint was chosen on them.

    Args:
        run: the run folder.
        recipe: its recipe.
        sources: to choose on others, by name.

    Returns:
        The sources whose trained answers are there, or ``None`` where there are none.

    Raises:
        RunError: a named source has no such answers.
    """
    split: ThresholdSplit = "calibration" if recipe.data.asks("calibration") else "validation"
    counts = recipe.data.counts(split)
    there = tuple(name for name in counts if run.predictions("trained", split, name).is_file())
    missing = [name for name in sources or () if name not in there]
    if missing:
        raise RunError(f"{run}: no {split} answers of {missing[0]!r}; there are: {', '.join(there) or 'none at all'}")
    trained_on = recipe.trained_on()
    if sources:
        names = tuple(name for name in there if name in sources)
    else:
        names = tuple(name for name in there if split == "calibration" or name in trained_on)
    if not names:
        return None
    # Checkpoints are scored on the validation examples of what is trained on, and on no others.
    chosen = split == "validation" and recipe.train.validate_every and any(name in trained_on for name in names)
    return ThresholdSources(split, names, CHECKPOINT_CHOSEN if chosen else None)


@dataclass(frozen=True, slots=True)
class ThresholdAnswers:
    """Both models' answers that their thresholds are chosen on.

    Attributes:
        sides: one pair of files for each source.
        split: where they are from; ``None`` where the files do not say.
        refused: why the trained model's threshold cannot be chosen on them.
    """

    sides: tuple[Both[Side], ...]
    split: str | None
    refused: str | None = None

    @property
    def sources(self) -> list[str]:
        """Names of the datasets."""
        return [_dataset(pair.trained) for pair in self.sides]

    def pooled(self) -> Both[View]:
        """The answers of all sources together; groups of the same name are one, whatever the source."""
        base: list[Prediction] = [row for pair in self.sides for row in pair.base.predictions]
        trained: list[Prediction] = [row for pair in self.sides for row in pair.trained.predictions]
        return Both(stated_view(base), stated_view(trained))


def load_threshold_answers(
    files: Sequence[tuple[Path | str, Path | str]], *, split: str | None = None, refused: str | None = None
) -> ThresholdAnswers:
    """Read the answers that thresholds are chosen on.

    Args:
        files: for each source both models' prediction files, base first; at least one pair.
        split: where they are from; as the first file says if not given.
        refused: why the trained model's threshold cannot be chosen on them.

    Raises:
        PredictionError: a file cannot be read.
    """
    sides = tuple(Both(load_side(base, "base"), load_side(trained, "trained")) for base, trained in files)
    return ThresholdAnswers(sides, split or sides[0].trained.header["split"], refused)


def choose_on(answers: View, *, risk: float, confidence: float, refused: str | None = None) -> Choice:
    """Choose a threshold on answers with gold labels, or say why it is refused."""
    if refused is not None:
        return Choice(None, answers.gold_N.size, 0, 0, None, refused)
    return choose_threshold(answers, risk=risk, confidence=confidence)


def fit_threshold(
    views: Views, sides: Both[Side], answers: ThresholdAnswers, *, risk: float, confidence: float
) -> schema.Threshold:
    """Choose both models' thresholds on ``answers``, and say what they do on the answers that are compared.

    Args:
        views: the answers that are compared.
        sides: the files they are from.
        answers: other answers, to choose on.
        risk: highest error rate among accepted answers, in (0, 1).
        confidence: probability with which it holds, in (0, 1).

    Raises:
        PredictionError: ``answers`` holds examples that are compared, or was made with another prompt.
    """
    for pair in answers.sides:
        for chosen, judged in zip(pair, sides, strict=True):
            check_apart(chosen, judged)
    pooled = answers.pooled()
    base = choose_on(pooled.base, risk=risk, confidence=confidence)
    trained = choose_on(pooled.trained, risk=risk, confidence=confidence, refused=answers.refused)
    found = Both(threshold_side(views.paired.base, base), threshold_side(views.paired.trained, trained))
    dataset = _dataset(sides.trained)
    return {
        "risk": risk,
        "confidence": confidence,
        "base": found.base,
        "trained": found.trained,
        "sources": answers.sources,
        "split": answers.split,
        "notes": [*_notes(dataset, answers, found, risk), *_label_notes(dataset, answers, sides.trained)],
    }


def check_apart(chosen: Side, judged: Side) -> None:
    """Make sure that what is chosen on some answers is judged on others, made with the same prompt.

    Raises:
        PredictionError: it is not so.
    """
    # Ids are unique within a dataset alone; a file that names none may hold any.
    datasets = {chosen.header["dataset"], judged.header["dataset"]}
    if len(datasets) == 1 or None in datasets:
        overlap = {row.id for row in chosen.predictions} & {row.id for row in judged.predictions}
        if overlap:
            raise PredictionError(
                f"{chosen.header['path']}: {len(overlap)} of its ids are in {judged.header['path']} too "
                f"(such as {min(overlap)}); what is chosen on some examples must be judged on other examples"
            )
    if chosen.header["template_sha256"] != judged.header["template_sha256"]:
        raise PredictionError(f"{chosen.header['path']}: was made with another prompt than {judged.header['path']}")


def threshold_side(test: View, choice: Choice) -> schema.ThresholdSide:
    """Say what a threshold that was chosen elsewhere does on ``test``."""
    coverage = observed = _missing("no threshold was found")
    if choice.threshold is not None:
        accepted = accepts(choice.threshold, test.confidence_N, test.valid_mass_N)
        wrong = ~test.correct[accepted]
        coverage = _share(accepted, test.group_N) if accepted.size else _missing("there are no answers")
        observed = _share(wrong, test.group_N[accepted]) if wrong.size else _missing("no answer is accepted")
    return {
        "threshold": choice.threshold,
        "validation_n": choice.n,
        "validation_accepted": choice.accepted,
        "validation_errors": choice.errors,
        "bound": choice.bound,
        "coverage": coverage,
        "risk": observed,
        "reason": choice.reason,
    }


def _notes(dataset: str, answers: ThresholdAnswers, found: Both[schema.ThresholdSide], risk: float) -> list[str]:
    sources = ", ".join(answers.sources)
    notes = []
    if dataset not in answers.sources:
        notes.append(f"The threshold is for claims like those of {sources}; on {dataset} it promises nothing.")
    elif len(answers.sources) > 1:
        notes.append(f"The threshold's risk holds for {sources} taken together, not for each of them.")
    if answers.split != "calibration" and answers.refused is None:
        notes.append("The threshold holds only if no checkpoint or setting was chosen on the answers it was chosen on.")
    for name, side in zip(Both._fields, found, strict=True):
        if side["reason"] is not None:
            notes.append(f"{name}: no threshold, because {side['reason']}.")
        interval = side["risk"]["interval"]
        if interval is not None and interval[0] > risk and side["risk"]["value"] is not None:
            notes.append(
                f"{name}: {100 * side['risk']['value']:.1f} % of the accepted answers are wrong on {dataset} (95 % "
                f"interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f}); asked for: at most {100 * risk:g} %."
            )
    return notes


def _label_notes(dataset: str, answers: ThresholdAnswers, judged: Side) -> list[str]:
    """Say where the labels of a dataset are in other shares where the threshold was chosen than where it is judged."""
    sides = [pair.trained for pair in answers.sides if _dataset(pair.trained) == dataset]
    chosen = [row.gold for side in sides for row in side.predictions]
    gold = [row.gold for row in judged.predictions]
    if not chosen or not gold:
        return []
    shares = {label: (chosen.count(label) / len(chosen), gold.count(label) / len(gold)) for label in LABELS}
    label, (before, now) = max(shares.items(), key=lambda item: abs(item[1][0] - item[1][1]))
    if abs(before - now) <= LABEL_SHIFT:
        return []
    return [
        f"{100 * before:.0f} % of the {dataset} claims that the threshold was chosen on are {label}, and "
        f"{100 * now:.0f} % of these: its risk holds for the former."
    ]


def _dataset(side: Side) -> str:
    return side.header["dataset"] or Path(side.header["path"]).name.split(".")[0]


def _missing(reason: str) -> schema.Figure:
    return {"value": None, "interval": None, "n": 0, "reason": reason}


def _share(hits_N: NDArray[np.bool_], group_N: NDArray[np.int64]) -> schema.Figure:
    share = clustered_share(hits_N, group_N)
    return {"value": share.value, "interval": share.interval, "n": share.n, "reason": None}
