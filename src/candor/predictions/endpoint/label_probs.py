"""The probability of each label, read from the log-probabilities that a chat server gives beside its answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from candor.prompts.answers import label_position
from candor.types import LABELS

UNKNOWN_SHARE: Final = 0.01
"""Where labels that the server does not list could hold more of the probability than that, none is given."""
ROUNDING: Final = 0.01
"""As far above what is possible may a sum of rounded numbers lie."""
VOCABULARY_MARKS: Final = "ĠĊĉ▁"
"""What byte-pair and SentencePiece vocabularies write for white space; some servers hand these on as they are."""
LARGEST_VOCABULARY: Final = 1_000_000
"""No model has more tokens."""
OPENING: Final = " \t<"
"""What may stand between the sign that announces a label and the label."""


def listed_label_probs(text: str, logprobs: Sequence[dict[str, Any]] | None) -> tuple[float, float, float] | None:
    r"""p(PASS), p(FAIL), p(NA) where an answer emits its label, or ``None`` where that cannot be told.

    The labels begin with different letters, so the token in which the label begins decides it: the probability of a
    label is that of all alternatives to this token that begin it, and the three are divided by their sum. Alternatives
    that end before the label begins could go on with any, and so count as unknown.

    Args:
        text: the answer.
        logprobs: its tokens in order, each with ``token`` and ``top_logprobs`` (alternatives with their natural
            logarithms), as the interface gives them.

    >>> tokens = [{"token": "LABEL="}, {"token": "NA", "top_logprobs": [
    ...     {"token": "NA", "logprob": math.log(0.6)}, {"token": "P", "logprob": math.log(0.3)},
    ...     {"token": "FAIL", "logprob": math.log(0.1)}]}]
    >>> [round(p, 3) for p in listed_label_probs("LABEL=NA", tokens)]
    [0.3, 0.1, 0.6]
    """
    return _read(text, logprobs)[0]


def contradiction(text: str, logprobs: Sequence[dict[str, Any]] | None) -> str | None:
    """How log-probabilities contradict the answer that they came with; ``None`` where they do not, or there are none.

    Such numbers are those of another answer, another place or another scale, and give no probability of a label.

    >>> tokens = [{"token": "LABEL="}, {"token": "NA", "top_logprobs": [{"token": "NA", "logprob": 0.9}]}]
    >>> contradiction("LABEL=NA", tokens)
    'a log-probability is above 0'
    """
    return _read(text, logprobs)[1]


class _ContradictionError(Exception):
    """Log-probabilities that cannot be those of the answer; says how."""


def _read(text: str, logprobs: Sequence[dict[str, Any]] | None) -> tuple[tuple[float, float, float] | None, str | None]:
    place = label_position(text)
    if place is None or not logprobs:
        return None, None
    try:
        return _probs(text, place[0], logprobs), None
    except _ContradictionError as error:
        return None, str(error)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return None, None  # not of the interface's form, which gives no probability and leaves the answer as it is


def _check(entry: dict[str, Any], text: str) -> None:
    """Refuse alternatives that cannot be those of the token that was chosen.

    Raises:
        _ContradictionError: says why.
    """
    listed = entry["top_logprobs"]
    if any(sign in alternative["token"] for alternative in listed for sign in VOCABULARY_MARKS if sign not in text):
        raise _ContradictionError("tokens are written with the marks of their vocabulary")
    values = [float(alternative["logprob"]) for alternative in listed]
    if any(math.isnan(value) for value in values):
        raise _ContradictionError("a log-probability is no number")
    if max(values, default=0.0) > ROUNDING:
        raise _ContradictionError("a log-probability is above 0")
    if sum(map(math.exp, values)) > 1.0 + ROUNDING:
        raise _ContradictionError("the probabilities of the alternatives sum to more than 1")
    # What is not listed is no likelier than the last that is; a value of 0 stands for what the server does not tell.
    others = [
        value for alternative, value in zip(listed, values, strict=True) if alternative["token"] != entry["token"]
    ]
    least = math.exp(min(others, default=-math.inf))
    if least > 0 and 1.0 - sum(map(math.exp, values)) > ROUNDING + LARGEST_VOCABULARY * least:
        raise _ContradictionError("the alternatives are not the likeliest ones")
    chosen = [
        value for alternative, value in zip(listed, values, strict=True) if alternative["token"] == entry["token"]
    ]
    if listed and not chosen:
        raise _ContradictionError("the chosen token is not among its alternatives")
    own = entry.get("logprob")
    if chosen and own is not None and all(abs(math.exp(float(own)) - math.exp(value)) > ROUNDING for value in chosen):
        raise _ContradictionError("the chosen token has another probability than the same token among its alternatives")


def _probs(text: str, start: int, logprobs: Sequence[dict[str, Any]]) -> tuple[float, float, float] | None:
    # Tokens may stand before the text (a thought, special tokens): their end is where both end.
    whole = "".join(entry["token"] for entry in logprobs)
    shift = whole.rfind(text)
    if shift < 0:
        raise _ContradictionError("the tokens are not those of the answer")
    end = 0
    for entry in logprobs:
        begin, end = end, end + len(entry["token"])
        if end > shift + start:
            break
    if len(logprobs) > 1 and all(_stands_for_nothing(one) for one in logprobs):
        raise _ContradictionError("every token has a probability of exactly 1 and no alternative")
    lead = whole[begin : shift + start].rstrip(OPENING)
    _check(entry, text)
    listed = entry["top_logprobs"]
    sums = dict.fromkeys(LABELS, 0.0)
    unknown = 0.0
    for alternative in listed:
        token, p = alternative["token"], math.exp(alternative["logprob"])
        label = _begun(token, lead)
        if label is not None:
            sums[label] += p
        elif lead.startswith(token) or token.removeprefix(lead).strip(OPENING) == "":
            unknown += p
    total = sum(sums.values())
    if not math.isfinite(total) or total <= 0:
        return None
    missing = sum(1 for p in sums.values() if p == 0)
    if missing:
        values = [math.exp(alternative["logprob"]) for alternative in listed]
        if min(values) == 0:
            return None  # -9999 or the like stands for what the server does not tell
        # What is not listed is no likelier than the last that is, and has no more than what the listed leave.
        unknown += min(missing * min(values), max(0.0, 1.0 - sum(values)))
    if unknown / (total + unknown) > UNKNOWN_SHARE:
        return None
    p_pass, p_fail, p_na = (sums[label] / total for label in LABELS)
    return p_pass, p_fail, p_na


def _stands_for_nothing(entry: dict[str, Any]) -> bool:
    """Whether a token's numbers are what servers write that compute none."""
    listed = entry.get("top_logprobs") or []
    return entry.get("logprob") == 0 and len(listed) <= 1 and all(one["logprob"] == 0 for one in listed)


def _begun(token: str, lead: str) -> Any:
    """The label that a token begins after ``lead``; ``None`` for none."""
    if not token.startswith(lead):
        return None
    rest = token[len(lead) :].lstrip(OPENING)
    if not rest:
        return None
    return next((label for label in LABELS if label.value.startswith(rest) or _holds(rest, label.value)), None)


def _holds(rest: str, label: str) -> bool:
    """Whether a token goes on behind the whole label with something that is no part of a longer word."""
    return rest.startswith(label) and not (rest[len(label)].isalnum() or rest[len(label)] == "_")
