"""Prediction files: one header line, then one prediction per line, so that a file can be judged on its own.

The study's files (one JSON object with ``results``, plain or gzipped) are read by :mod:`candor.predictions.study_file`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import candor
from candor.errors import PredictionError
from candor.files import parse_json, write_jsonl
from candor.prompts.answers import parse
from candor.prompts.templates import Template
from candor.types import LABELS, Example, Label, Prediction, Validity

SCHEMA: Final = 1
"""Version of the file format, in the header."""

ROUNDING: Final = 1e-6
"""What a sum of probabilities may exceed 1 by."""

_MAGIC: Final = "predictions"


def read_prediction(
    example: Example,
    text: str,
    template: Template,
    *,
    stopped: bool,
    label_probs: tuple[float, float, float] | None,
) -> Prediction:
    """A model's answer to an example as a prediction.

    Args:
        example: what was asked.
        text: the answer.
        template: gives the form of the answer.
        stopped: whether the answer came to its own end.
        label_probs: p(PASS), p(FAIL), p(NA), if they are known.
    """
    answer = parse(text, template)
    validity = answer.validity
    if validity is Validity.CLEAN and not stopped:
        validity = Validity.READABLE  # it reads well so far, but it did not end
    return Prediction(
        id=example.id,
        dataset=example.dataset,
        group=example.group,
        claim=example.claim,
        evidence=example.evidence,
        gold=example.label,
        raw=text,
        label=answer.label,
        confidence=answer.confidence,
        validity=validity,
        label_probs=label_probs,
        posterior=example.posterior,
    )


@dataclass(frozen=True, slots=True)
class Header:
    """What all predictions of a file have in common.

    Attributes:
        model: who answered.
        template: name of the prompt template.
        template_sha256: hash over every word of the template; files that differ here are not compared unasked.
        dataset: name of the dataset.
        split: ``train``, ``validation``, ``test`` or ``calibration``.
        seed: of the run.
        created_by: candor's version.
        rendered_sha256: hash over the prompt in the form that the model was shown it, chat template, date and all;
            ``None`` where a server renders it.
        chat: how the chat template was rendered, where not as usual.
        shard: which part of a file of claims it is, where it is a part (:meth:`candor.shards.Shard.described`).
    """

    model: str
    template: str
    template_sha256: str
    dataset: str
    split: str
    seed: int
    created_by: str = f"candor {candor.__version__}"
    rendered_sha256: str | None = None
    chat: Mapping[str, Any] | None = None
    shard: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """What a file's first line says; the shard only where there is one."""
        fields = asdict(self)
        return fields if self.shard is not None else {name: fields[name] for name in fields if name != "shard"}


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """A prediction file's content."""

    header: Header
    predictions: tuple[Prediction, ...]


def write_predictions(path: Path | str, header: Header, predictions: Iterable[Prediction]) -> None:
    """Write a prediction file (JSONL), whole or not at all; one row after the other, as they come.

    Raises:
        PredictionError: an id occurs twice.
    """

    def rows() -> Iterator[dict[str, Any]]:
        yield {"candor": _MAGIC, "schema": SCHEMA, **header.as_json()}
        seen: set[str] = set()
        for row in predictions:
            if row.id in seen:
                raise PredictionError(f"{path}: id {row.id!r} occurs twice; ids must be unique within a file")
            seen.add(row.id)
            yield asdict(row)

    write_jsonl(path, rows())


def read_predictions(path: Path | str) -> PredictionFile:
    """Read what :func:`write_predictions` wrote, plain or gzipped.

    Raises:
        PredictionError: the file is missing, has another format, is a shard of one or holds a row that cannot be used;
            names the line.
    """
    lines = read_text(path).split("\n")
    first = _object(lines[0], path, 1)
    if first.get("candor") != _MAGIC:
        raise PredictionError(f"{path}: not a prediction file (its first line is not candor's header)")
    if first.get("schema") != SCHEMA or first["schema"] is True:
        raise PredictionError(
            f"{path}: prediction format {first.get('schema')!r}, but this version of candor reads {SCHEMA}"
        )
    header = _header(first, path)
    if header.shard is not None:
        raise PredictionError(f"{path}: is a shard of a file; put all of them together with candor join")
    rows: dict[str, Prediction] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        row = _prediction(_object(line, path, number), path, number)
        if row.id in rows:
            raise PredictionError(f"{path}:{number}: id {row.id!r} occurs twice; ids must be unique within a file")
        rows[row.id] = row
    return PredictionFile(header, tuple(rows.values()))


def read_text(path: Path | str) -> str:
    """Return a file's text, unpacked if it is gzipped, whatever its name; a byte order mark at its start is none of it.

    Raises:
        PredictionError: it is missing, or is neither text nor gzipped text.
    """
    path = Path(path)
    if not path.is_file():
        raise PredictionError(f"{path}: no such file")
    data = path.read_bytes()
    try:
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise PredictionError(f"{path}: neither text nor gzipped text ({error})") from error


def is_prediction_file(text: str) -> bool:
    """Whether a file's text starts with candor's header."""
    try:
        first = json.loads(text.split("\n", 1)[0])  # read_predictions is stricter, and says what is wrong
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.get("candor") == _MAGIC


def _object(line: str, path: Path | str, number: int) -> Mapping[str, Any]:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise PredictionError(f"{path}:{number}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise PredictionError(f"{path}:{number}: not a JSON object")
    return value


def _header(first: Mapping[str, Any], path: Path | str) -> Header:
    values = {key: value for key, value in first.items() if key not in ("candor", "schema")}
    try:
        _check_kinds(values, _HEADER_KINDS)
        return Header(**values)
    except (TypeError, ValueError) as error:
        raise PredictionError(f"{path}:1: header: {error}") from error


def _text(value: object) -> bool:
    """Text that can be written as UTF-8."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: object) -> bool:
    return isinstance(value, int) and _whole(value) and value >= 0


def _texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_text, value))


def _or_null(kind: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or kind(value)


Kinds: TypeAlias = Mapping[str, tuple[Callable[[object], bool], str, bool]]
"""For each key what its value must be, in code and in words, and whether it must be there."""

_HEADER_KINDS: Final[Kinds] = {
    **dict.fromkeys(("model", "template", "template_sha256", "dataset", "split"), (_text, "text", True)),
    "seed": (_whole, "a whole number", True),
    "created_by": (_text, "text", False),
    "rendered_sha256": (_or_null(_text), "text or null", False),
    "chat": (_or_null(lambda value: isinstance(value, Mapping)), "an object or null", False),
    "shard": (_or_null(lambda value: isinstance(value, Mapping)), "an object or null", False),
}
_ROW_KINDS: Final[Kinds] = {
    **dict.fromkeys(("id", "dataset", "group", "claim", "raw", "gold", "validity"), (_text, "text", True)),
    "evidence": (_texts, "a list of texts", True),
    "label": (_or_null(_text), "text or null", True),
    "confidence": (lambda _: True, "", True),
    **{name: (lambda _: True, "", False) for name in ("label_probs", "valid_mass", "label_confidences", "posterior")},
    **dict.fromkeys(("evidence_dropped", "evidence_cut"), (_count, "a whole number of at least 0", False)),
}


def _check_kinds(values: Mapping[str, Any], kinds: Kinds) -> None:
    """Refuse keys that are missing or unknown, and values of another kind.

    Raises:
        ValueError: says which.
    """
    for name, (is_one, called, needed) in kinds.items():
        if name not in values:
            if needed:
                raise ValueError(f"the key {name!r} is missing")
        elif not is_one(values[name]):
            raise ValueError(f"{name!r} must be {called}, not {values[name]!r:.80}")
    if unknown := sorted(map(str, values.keys() - kinds.keys())):
        raise ValueError(f"the key {unknown[0]!r} is unknown")


def _prediction(row: Mapping[str, Any], path: Path | str, number: int) -> Prediction:
    def refuse(message: str) -> PredictionError:
        return PredictionError(f"{path}:{number}: {message}")

    try:
        _check_kinds(row, _ROW_KINDS)
        label = None if row["label"] is None else Label(row["label"])
        prediction = Prediction(
            **{
                **row,
                "evidence": tuple(row["evidence"]),
                "gold": Label(row["gold"]),
                "label": label,
                "validity": Validity(row["validity"]),
                "label_probs": _three(row.get("label_probs")),
                "posterior": _three(row.get("posterior")),
                "label_confidences": _confidences(row.get("label_confidences")),
            }
        )
    except (TypeError, ValueError) as error:
        raise refuse(str(error)) from error
    if (label is None) != (prediction.validity is Validity.NONE):
        raise refuse(f"validity is {prediction.validity.value!r}, but label is {row['label']!r}")
    for name, value, slack in (
        ("confidence", prediction.confidence, 0.0),
        ("valid_mass", prediction.valid_mass, ROUNDING),
    ):
        if value is not None and not _is_share(value, slack):
            raise refuse(f"{name} is {value!r}, not a number from 0 to 1; 95 per cent are written as 0.95")
    return prediction


def _is_share(value: object, slack: float) -> bool:
    """Whether a value is a number from 0 to 1 (and ``slack``); JSON's ``true``, which Python counts as 1, is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0 + slack


def _three(values: Sequence[float] | None) -> tuple[float, float, float] | None:
    found = _shares(values, "probabilities", ROUNDING)
    if found is not None and abs(sum(found) - 1.0) > 1e-3:
        raise ValueError(f"{values!r} do not sum to 1")
    return found


def _confidences(values: Sequence[float] | None) -> tuple[float, float, float] | None:
    return _shares(values, "confidences from 0 to 1", 0.0)


def _shares(values: Sequence[float] | None, called: str, slack: float) -> tuple[float, float, float] | None:
    if values is None:
        return None
    if len(values) != len(LABELS) or not all(_is_share(value, slack) for value in values):
        raise ValueError(f"{values!r} are not {len(LABELS)} {called}")
    return (values[0], values[1], values[2])
