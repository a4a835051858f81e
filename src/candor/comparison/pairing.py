"""The two sides of a comparison: reading either format, and making sure that both answer the same questions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from candor import files
from candor.errors import PredictionError
from candor.metrics import schema
from candor.predictions import study_file
from candor.predictions.file import is_prediction_file, read_predictions, read_text
from candor.predictions.study_file import StudyRow
from candor.types import Label, Prediction

Allowance = Literal["prompt", "dataset", "split", "ids", "gold"]

ALLOWANCES: Final[tuple[Allowance, ...]] = get_args(Allowance)
"""In what two files may differ if that is asked for."""

_SHOWN_IDS: Final = 3

_NO_GOLD: Final = "gold label is none of the three"

SHORTCUT: Final = 0.9
"""Balanced accuracy from which on "no evidence, so NA" is reported as a shortcut."""


@dataclass(frozen=True, slots=True)
class Side:
    """One prediction file.

    Attributes:
        header: where it comes from, as in results.
        predictions: its answers as candor reads them; only those with a gold label can be judged.
        rows: every answer as the study would have written it.
        notes: what a reader of results should know about how it was read.
    """

    header: schema.FileHeader
    predictions: tuple[Prediction, ...]
    rows: tuple[StudyRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """Both sides' answers to the same examples, in the base file's order.

    Attributes:
        base: answers of the base model.
        trained: answers of the trained model; same ids and gold labels.
        dropped: rows that stand in a file and not here.
        allowed: differences that were found and allowed.
        warnings: what to tell the reader about them.
    """

    base: tuple[Prediction, ...]
    trained: tuple[Prediction, ...]
    dropped: tuple[schema.Dropped, ...]
    allowed: tuple[Allowance, ...]
    warnings: tuple[str, ...]


def load_side(path: Path | str, which: str) -> Side:
    """Read a prediction file of candor's or of the study's format, plain or gzipped.

    Args:
        path: the file.
        which: how notes call it: ``base`` or ``trained``.

    Raises:
        PredictionError: it cannot be read, or holds no answer.
    """
    path = Path(path)
    text = read_text(path)
    if is_prediction_file(text):
        file = read_predictions(path)
        rows = tuple(study_file.from_prediction(row) for row in file.predictions)
        head = file.header
        side = Side(
            {
                "path": str(path),
                "sha256": files.sha256(path),
                "format": "candor",
                "model": head.model,
                "template": head.template,
                "template_sha256": head.template_sha256,
                "dataset": head.dataset,
                "split": head.split,
                "seed": head.seed,
                "created_by": head.created_by,
                "source": None,
            },
            file.predictions,
            rows,
            (),
        )
    else:
        side = _study_side(study_file.parse_study(text, path), path, which)
    if not side.rows:
        raise PredictionError(f"{path}: holds no answers")
    return side


def _study_side(file: study_file.StudyFile, path: Path, which: str) -> Side:
    dataset = file.dataset or path.name.split(".")[0]
    pairs = [(row, study_file.to_prediction(row, dataset)) for row in file.rows if row.gold is not None]
    unlabelled = sum(row.label is None and told.predicted is not None for told, row in pairs)
    others = sum(row.label is not None and row.label != told.predicted for told, row in pairs)
    notes = []
    if unlabelled:
        notes.append(
            f"{which}: the file gives a label to {unlabelled} answers that hold none ({path.name}); it is not taken."
        )
    if others:
        notes.append(
            f"{which}: {others} answers state another label than the file says ({path.name}); the answer's text counts."
        )
    header: schema.FileHeader = {
        "path": str(path),
        "sha256": files.sha256(path),
        "format": "study",
        "model": file.model,
        "template": None,
        "template_sha256": None,
        "dataset": file.dataset,
        "split": None,
        "seed": None,
        "created_by": None,
        "source": file.source,
    }
    return Side(header, tuple(row for _, row in pairs), file.rows, tuple(notes))


def match_sides(base: Side, trained: Side, allow: Collection[str] = ()) -> Matched:
    """Pair both sides' answers by id.

    Rows whose id only one file has, and rows on whose gold label the files disagree, are left out and counted; that
    happens only if it is allowed.

    Args:
        base: the base model's side.
        trained: the trained model's side.
        allow: names in ``ALLOWANCES``: differences that do not refuse the comparison.

    Raises:
        PredictionError: the files differ in what is not allowed, or nothing is left.
    """
    unknown = [name for name in allow if name not in ALLOWANCES]
    if unknown:
        raise PredictionError(f"cannot allow {unknown[0]!r}: files may differ in {', '.join(ALLOWANCES)}")
    found: dict[Allowance, str] = {}
    first = {row.id: row for row in base.predictions}
    second = {row.id: row for row in trained.predictions}
    ids = [number for number in first if number in second]
    dropped: list[schema.Dropped] = []

    def drop(side: Literal["base", "trained", "both"], reason: str, n: int) -> None:
        if n:
            dropped.append({"side": side, "reason": reason, "n": n})

    drop("base", _NO_GOLD, len(base.rows) - len(first))
    drop("trained", _NO_GOLD, len(trained.rows) - len(second))
    only_base = [number for number in first if number not in second]
    only_trained = [number for number in second if number not in first]
    if only_base or only_trained:
        found["ids"] = (
            f"{len(only_base)} ids are in the base file alone and {len(only_trained)} in the trained file alone"
            f"{_some(only_base or only_trained)}"
        )
        drop("base", "id is not in the other file", len(only_base))
        drop("trained", "id is not in the other file", len(only_trained))
    differing = [number for number in ids if first[number].gold != second[number].gold]
    if differing:
        found["gold"] = f"{len(differing)} examples have different gold labels{_some(differing)}"
        drop("both", "gold labels differ", len(differing))
        ids = [number for number in ids if first[number].gold == second[number].gold]
    prompt = _prompt_difference(base.header, trained.header, [(first[number], second[number]) for number in ids])
    if prompt is not None:
        found["prompt"] = prompt
    found |= _header_differences(base.header, trained.header)
    refused = [name for name in ALLOWANCES if name in found and name not in allow]
    if refused:
        raise PredictionError(
            f"{base.header['path']} and {trained.header['path']} cannot be compared: "
            + "; ".join(found[name] for name in refused)
            + f". To compare what is left all the same, allow: {', '.join(refused)}"
        )
    if not ids:
        raise PredictionError(f"{base.header['path']} and {trained.header['path']} have no example in common")
    return Matched(
        tuple(first[number] for number in ids),
        # One grouping for both, or a pair would be drawn with two different neighbourhoods.
        tuple(replace(second[number], group=first[number].group) for number in ids),
        tuple(dropped),
        tuple(name for name in ALLOWANCES if name in found),
        tuple(f"Compared although {found[name]}." for name in ALLOWANCES if name in found),
    )


def _header_differences(base: schema.FileHeader, trained: schema.FileHeader) -> dict[Allowance, str]:
    """Where both files say which dataset and split they answer, and do not say the same."""
    found: dict[Allowance, str] = {}
    if base["dataset"] and trained["dataset"] and base["dataset"] != trained["dataset"]:
        found["dataset"] = f"the datasets differ: {base['dataset']} against {trained['dataset']}"
    if base["split"] and trained["split"] and base["split"] != trained["split"]:
        found["split"] = f"the splits differ: {base['split']} against {trained['split']}"
    return found


def _some(ids: Sequence[str]) -> str:
    more = ", ..." if len(ids) > _SHOWN_IDS else ""
    return f" ({', '.join(ids[:_SHOWN_IDS])}{more})"


def _prompt_difference(
    base: schema.FileHeader, trained: schema.FileHeader, pairs: Sequence[tuple[Prediction, Prediction]]
) -> str | None:
    if base["template_sha256"] != trained["template_sha256"]:
        return (
            f"the prompts differ: {_template(base)} against {_template(trained)}; "
            "a prompt can move figures more than training does"
        )
    changed = [before.id for before, after in pairs if (before.claim, before.evidence) != (after.claim, after.evidence)]
    if changed:
        return f"{len(changed)} examples show another claim or other evidence{_some(changed)}"
    return None


def _template(header: schema.FileHeader) -> str:
    if header["template_sha256"] is None:
        return "a prompt that is not recorded"
    return f"{header['template']} ({header['template_sha256'][:12]})"


def unrecorded_prompts(base: schema.FileHeader, trained: schema.FileHeader) -> list[str]:
    """Say so if neither file tells its prompt."""
    if base["template_sha256"] is not None or trained["template_sha256"] is not None:
        return []
    return ["Neither file says which prompt it was made with; a prompt can move figures more than training does."]


def provenance_warnings(base: schema.FileHeader, trained: schema.FileHeader) -> list[str]:
    """Say what the files do not tell of themselves."""
    texts = unrecorded_prompts(base, trained)
    if not texts:
        return []
    text = texts[0]
    if base["source"] != trained["source"]:
        text += f" They come from different programs: {base['source']} and {trained['source']}."
    return [text]


def no_evidence(rows: Sequence[Prediction]) -> schema.NoEvidence | None:
    """Count the examples that show no evidence among NA and the others; ``None`` without both kinds."""
    bare = [(row.gold is Label.NA, not row.evidence) for row in rows]
    na = sum(is_na for is_na, _ in bare)
    if not na or na == len(bare):
        return None
    bare_na = sum(is_na and is_bare for is_na, is_bare in bare)
    bare_others = sum(is_bare for _, is_bare in bare) - bare_na
    balanced = (bare_na / na + 1 - bare_others / (len(bare) - na)) / 2
    return {
        "na": na,
        "bare_na": bare_na,
        "others": len(bare) - na,
        "bare_others": bare_others,
        "balanced_accuracy": balanced,
        "shortcut": balanced >= SHORTCUT,
    }


def shortcut_warning(found: schema.NoEvidence | None) -> list[str]:
    """Say so if showing no evidence gives NA away: then NA recall can rise without any judgement."""
    if found is None or not found["shortcut"]:
        return []
    return [
        f"{found['bare_na']} of {found['na']} NA examples show no evidence, against {found['bare_others']} of "
        f'{found["others"]} others: the rule "no evidence, so NA" alone finds NA with '
        f"{100 * found['balanced_accuracy']:.1f} % balanced accuracy."
    ]
