"""Labels as files spell them: known names, and what is said of those that could mean two things."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from candor.data.cells import is_blank
from candor.data.rows import RowError, kind_of
from candor.errors import DataError
from candor.types import LABEL_NAMES, Label

_NAMES: Final = {
    Label.PASS: "pass passed supports support supported supporting entailment entail entails entailed",
    Label.FAIL: "fail failed refutes refute refuted refuting contradiction contradict contradicts contradicted "
    "contradicting",
    Label.NA: "na nei notenoughinfo notenoughinformation notenoughevidence insufficient insufficientevidence "
    "insufficientinfo insufficientinformation noinfo noinformation neutral notverifiable unverifiable",
}
KNOWN_LABELS: Final[Mapping[str, Label]] = {
    "".join(name.split("_")).replace(" ", ""): label for name, label in LABEL_NAMES.items()
} | {name: label for label, names in _NAMES.items() for name in names.split()}
"""Labels by their names in letters and digits alone, case folded."""

_EITHER_WAY: Final = {
    "whether a claim is true is not whether its evidence supports it, and no evidence may be among the false": (
        "true, false, yes, no, y, n, t, f, correct, incorrect, mostly true, mostly false, half true, pants on fire"
    ),
    "it may stand for a row without a label, or for one without enough evidence": (
        "n/a, n.a., n.a, n. a., n a, n\\a, <na>, #na, #n/a, #n a, na?, -, --, ?, unknown, none, nan, "
        "null, nil, other, unlabeled, unlabelled, not applicable, not available, missing"
    ),
    "evidence that speaks both ways is NA to some, and left out by others": (
        "disputed, mixed, mixture, conflicting, conflicting evidence, conflicting evidence/cherrypicking, "
        "cherrypicking, contradictory, contradictory evidence, partially supported, partially refuted"
    ),
    "what is not supported may be refuted, or lack evidence": (
        "unsupported, not supported, not_supported, not-supported, not entailment, not_entailment, non-entailment, "
        "unproven, not proven, unverified, no evidence"
    ),
}
_MEANINGS: Final = {name: why for why, names in _EITHER_WAY.items() for name in names.split(", ")}
"""Labels that could mean two things, in the form in which they are compared, and why they could."""

_NUMBER: Final = "which class has which number differs from file to file"
_JOINTS: Final = r"[\s_.\u2010-\u2015-]"
_PLAIN: Final = re.compile(rf"[^\W_]+(?:{_JOINTS}+[^\W_]+)*{_JOINTS}*")
"""A name of words; any other sign may turn it round, as in ``!supports`` and ``-pass``, or say that it is none."""
_QUOTES: Final = "'\"“”‘’„«»‹›「」`"
_MARKS: Final = f"{_QUOTES}[](){{}}<>*_ "
"""What may stand around a label and say nothing."""

_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\u0307]")


def label_key(value: Any) -> str:
    """The form in which a label is compared with those of ``labels:``.

    Case, kinds of white space and of Unicode's forms, and invisible characters do not matter; 0 is 0.0, true is True.

    >>> label_key(" Mostly  TRUE"), label_key(2.0), label_key("2.0"), label_key(False)
    ('mostly true', '2', '2', 'false')
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = unicodedata.normalize("NFKC", str(value)).casefold().replace("ı", "i")
    text = " ".join(_UNSEEN.sub("", unicodedata.normalize("NFD", text)).split())
    number = re.fullmatch(r"([+-]?\d+)\.0+", text)
    return unicodedata.normalize("NFC", number[1] if number else text)


def own_labels(labels: Mapping[str, Label | None]) -> dict[str, Label | None]:
    """Labels that a recipe or a command line maps, by the form in which they are compared.

    Raises:
        DataError: two of them are the same in that form, with different labels.
    """
    own: dict[str, Label | None] = {}
    for name, label in labels.items():
        key = label_key(name)
        if own.setdefault(key, label) is not label:
            raise DataError(
                f"labels: {name!r} stands for two labels in it, {own[key]} and {label}; case does not matter"
            )
    return own


def read_label(value: Any, column: str, own: Mapping[str, Label | None]) -> Label | None:
    """The label of a row.

    Args:
        value: what the file says.
        column: named in errors.
        own: what :func:`own_labels` gave; goes before the known names.

    Returns:
        ``None`` where ``own`` says that such rows are left out.

    Raises:
        RowError: as :func:`known_label`.
    """
    if isinstance(value, str | int | float) and not is_blank(value) and (key := label_key(value)) in own:
        return own[key]
    return known_label(value, column)


def known_label(value: Any, column: str) -> Label:
    """The label of a row by the known names alone, as in files whose authors say what their labels mean.

    Args:
        value: what the file says.
        column: named in errors.

    Raises:
        RowError: it says nothing, nothing known, or something that could mean two things; says how to go on.
    """
    if is_blank(value):
        raise RowError(
            f"{column!r} is {'null' if not isinstance(value, str) else 'empty'}; a claim without a label can be judged "
            "by `candor verify`, not trained or measured on"
        )
    if not isinstance(value, str | int | float):
        raise RowError(f"{column!r} must be a label, not {kind_of(value)}")
    key = label_key(value)
    bare = key.strip(_QUOTES).rstrip(",:;!").strip(_MARKS)
    words = re.sub(_JOINTS, "", bare) if _PLAIN.fullmatch(bare) else ""
    why = _NUMBER if re.fullmatch(r"[+-]?\d+(?:\.\d+)?", key) else _MEANINGS.get(key)
    if words == "na" and key.strip(_QUOTES).rstrip(".") != "na":
        why = _MEANINGS["n/a"]  # in brackets, or with a joint between its letters
    name = str(value).strip()[:80]
    if why is not None:
        raise RowError(f"{column!r} is {name!r}, which can mean two things: {why}. {_fix(key)}")
    known = KNOWN_LABELS.get(words)
    if known is None:
        raise RowError(f"{column!r} is {name!r}, no known label. {_fix(key)}")
    return known


def _fix(key: str) -> str:
    name = key if re.fullmatch(r"[\w./<>#? -]{1,50}", key) else "that"
    return (
        f'Say what it stands for: labels: {{"{name}": PASS}} in a recipe, --label "{name}=PASS" on the command line; '
        "FAIL and NA likewise, and null leaves such rows out. Labels of another column: columns: {label: NAME}, "
        "--column label=NAME"
    )
