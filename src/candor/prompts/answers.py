"""What an answer can say, and how one is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from candor.prompts.templates import Template
from candor.types import LABELS, Label, Validity

LABEL_ANCHOR: Final = "LABEL="
"""Text after which a label stands, in every answer form."""

CONFIDENCES: Final[tuple[float, ...]] = tuple(i / 100 for i in range(101))
"""Confidences that an answer can state: 0.00, 0.01, ..., 1.00."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read from an answer's text.

    Attributes:
        label: the stated label, or ``None``.
        confidence: the stated confidence in [0, 1], or ``None``.
        validity: ``clean`` if the text has exactly the asked form, ``readable`` if a label can be read all the
            same, ``none`` if not.
    """

    label: Label | None
    confidence: float | None
    validity: Validity


_LABEL_WORDS: Final = "|".join(label.value for label in LABELS)
_CLEAN_CONFIDENCE: Final = r"(?P<confidence>0\.\d\d|1\.00)"
_CLEAN: Final[dict[str, re.Pattern[str]]] = {}

# Runs are bounded: an answer is read in time linear in its length, whatever it says.
_GAP: Final = r"[^\S\r\n]{0,8}"
_CLOSING: Final = r"[>\"'`*_)\]}]{0,6}"
_OPENING: Final = r"[<\"'`*_(\[{]{0,6}"

_LABEL_ANYWHERE: Final = re.compile(rf"LABEL[ \t]*[=:][ \t]*<?(?P<label>{_LABEL_WORDS})(?!\w)")
_OTHER: Final = (
    rf"{_OPENING}(?:LABEL[ \t]{{0,8}}[=:][ \t]{{0,8}})?{_OPENING}"
    rf"(?:{_LABEL_WORDS}|N/A|SUPPORTS|REFUTES|NOT[ _]ENOUGH[ _]INFO|DISPUTED)(?!\w)"
)
_OR: Final = (
    r"(?:[/|\\∕⁄／｜＼¦~→⇒↔∨]|[=-]{1,2}>|或者?|または|又は|또는"
    r"|\b(?:and/)?(?:n?or|xor|vs|versus|oder|bzw|ou|o|of|eller|veya|lub|ili|или|maybe|perhaps|possibly|probably|"
    r"alternatively)\b\.?(?:[ \t]{1,8}[a-z]{1,12}){0,2})"
)
_OFFERED: Final = re.compile(
    # PASS or FAIL, PASS/FAIL, "PASS" | "FAIL", PASS, or perhaps NA
    rf"{_CLOSING}[\s,;.?!(]{{0,8}}{_OR}[\s,]{{0,8}}{_OTHER}"
    # PASS, FAIL, NA. Prose may name another label behind a comma, so the list has to end with it.
    rf"|(?:{_CLOSING}{_GAP}[,;&+•·、，；?–—-]?{_GAP}(?:and[ \t]{{1,8}})?{_OTHER}){{1,2}}"
    rf"(?={_CLOSING}\s{{0,8}}(?:\Z|\n|CONF|[.,;?/|]|or\b))"
    # one below the other
    rf"|(?:{_CLOSING}[ \t]{{0,8}}\n[ \t]{{0,8}}[-*+•–][ \t]{{1,8}}{_OTHER}){{1,2}}(?={_CLOSING}[ \t]{{0,8}}(?:\Z|\n))",
    re.IGNORECASE,
)
"""What follows a label that is one of several on offer, as in the prompt's own line."""

_THOUGHT_NAME: Final = (
    r"[ \t]{0,4}[\w:.-]{0,24}?(?:think|thought|reason|reflect|analys[ie]s|scratch_?pad|monologue|rationale|\bcot\b)"
    r"[\w:.-]{0,24}"
)
_THOUGHT_TAG: Final = rf"{_THOUGHT_NAME}(?:\s[^<>]{{0,40}})?(?:>|&gt;)"
_THOUGHT: Final = re.compile(
    rf"(?P<opens>(?:<|&lt;){_THOUGHT_TAG}|\[THINK\]|◁think▷|<unused94>thought\b|<\|inner_prefix\|>"
    rf"|<\|(?!/|end|stop|close){_THOUGHT_NAME}(?<!end)(?<!stop)\|>"
    r"|<\|channel\|>(?:analysis|commentary)\b|<\|channel>thought\b"
    r"|\A\s{0,8}(?-i:analysis(?=[A-Z\"'(<])))"  # channels whose control tokens were left out
    rf"|(?:<|&lt;)/{_THOUGHT_TAG}|\[/THINK\]|◁/think▷|<unused95>|<\|inner_suffix\|>"
    rf"|<\|(?:/|end|stop|close){_THOUGHT_NAME}\|>|<\|{_THOUGHT_NAME}\|>"
    r"|<\|channel\|>final\b|<channel\|>|(?-i:assistantfinal)",
    re.IGNORECASE,
)
"""Where a thought begins or ends, as the families of models mark it."""

_CONFIDENCE_ANYWHERE: Final = re.compile(
    r"CONF(?:IDENCE)?[ \t]*[=:][ \t]*<?(?P<confidence>[0-9]{1,9}(?P<decimals>\.[0-9]{1,9})?)"
)
_INVISIBLE: Final = re.compile("[\u00ad\u180e\u200b-\u200f\u2060\ufeff]")
_DIGIT: Final = r"[\d\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u215e]"
_NUMBER_WORD: Final = (
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|twenty|fifty|hundred|thousand"
    r"|zwei|drei|vier|zehn|hundert|deux|trois|cinq|dix|cent|dos|tres|cinco|diez|cien|dieci|tien|tio)\b"
)
_CONTINUED: Final = re.compile(
    # 0.95x, 1e-3, 1/10, 1&nbsp;%, 1=100; the form's own words may follow at once, or a line break in escapes
    r"(?!RATIONALE|LABEL|CONF|\\[nrt])[\w%/\\&~^=+×÷±°′″$€#@∕⁄／\u0300-\u036f\u20d0-\u20ff]"
    # 0.9 5, 0.9,5, 0.9-1, 0.9 ± 0.1, 0.9 or 0.95, 1 e-3
    rf"|{_GAP}[^\w\s]{{0,3}}{_DIGIT}|{_GAP}[/:x×·*^±~–—+-]{{1,3}}{_GAP}{_DIGIT}|{_GAP}e[−+-]?{_DIGIT}"
    rf"|{_GAP}(?:or|and|to|through|till|oder|und|bis|ou)[ \t]{{1,8}}{_DIGIT}"
    # 1 %, 1 percent, (1) pour cent, 1 \%
    r"|[\s>\"'`*_)\]}(\[{\\]{0,12}"
    r"(?:[%％﹪٪‰‱⁒]|&percnt|per[ -]?(?:cent|mil)|p(?:ro|ou?r|or)[ -]?[csz]i?ent|p(?:erc|ct|[pc]|p[mb]|roc)\b|p\.\s?c"
    r"|процент|パーセント|ﾊﾟｰｾﾝﾄ|퍼센트|百分|yüzde|százalék|प्रतिशत)"
    # 1 out of ten, 1 in 10, 1 tenth, 0 point nine
    rf"|(?:{_GAP}|{_CLOSING}{_GAP}{_OPENING})"
    r"(?:(?:per|bps|basis|points?|comma|komma|dot|stars?|half|halves)\b|out[ -]of\b"
    r"|(?:third|quarter|fif|six|seven|eigh|nin|ten|hundred|thousand)(?:th)?s?\b"
    rf"|(?:in|of|over|to|von|sur|de|su|av|van)[ \t]{{1,8}}(?:an?\b|every\b|each\b|{_DIGIT}|{_NUMBER_WORD}))",
    re.IGNORECASE,
)
"""What follows a number that is only the beginning of one, or that counts something else than ones."""

_WHOLE_CONTINUED: Final = re.compile(
    # 0. 95, 0, 95, 1 (of 10), 1 chance in 10, and the 0. at which an answer was cut off
    rf"{_GAP}[^\w\s]{{0,3}}{_GAP}{_DIGIT}|\s{{0,8}}[.,·٫‚]\s{{0,8}}{_DIGIT}|…|\.[\w.]|\.\Z"
    # anything else on its line that counts, or that no Latin letter says: 1 (on a scale of 1 to 5), 0<b>.95</b>
    r"|(?:(?!(?:RATIONALE|LABEL|CONF(?:IDENCE)?)[ \t]{0,8}[=:])[^\n]){0,80}?"
    rf"(?:{_DIGIT}|{_NUMBER_WORD}|[^\W\d_a-z])",
    re.IGNORECASE,
)
"""The same behind a number without decimals, more warily: 0 and 1 are the first signs of most others."""


def _clean_pattern(form: str) -> re.Pattern[str]:
    if form not in _CLEAN:
        pattern = re.escape(form)
        pattern = pattern.replace(re.escape("{label}"), f"(?P<label>{_LABEL_WORDS})")
        pattern = pattern.replace(re.escape("{confidence}"), _CLEAN_CONFIDENCE)
        pattern = pattern.replace(re.escape("{reasoning}"), "(?s:.*)")
        # Space around the answer is not the model's doing everywhere: chat templates add some.
        _CLEAN[form] = re.compile(rf"\s*{pattern}\s*", re.ASCII)
    return _CLEAN[form]


def parse(text: str, template: Template) -> Answer:
    r"""Read an answer; never raises, whatever the text.

    In an answer that is not clean the last ``LABEL=`` counts (a model that reasons first may mention others before
    its verdict), and the first ``CONF=`` with a number after it. A label is none if it is one of several on offer
    (``PASS or FAIL``) or stands in a thought, finished or not. A confidence is none if it is outside [0, 1], if what
    follows continues the number (``0,95``, ``1/10``, ``1e-3``), or if it is in per cent; a bare 0 or 1 also where
    its line holds another number.

    >>> from candor.prompts.templates import get
    >>> parse("LABEL=NA\nCONF=0.40", get("verdict"))
    Answer(label=<Label.NA: 'NA'>, confidence=0.4, validity=<Validity.CLEAN: 'clean'>)
    >>> parse("I think LABEL = PASS", get("verdict")).validity
    <Validity.READABLE: 'readable'>
    >>> parse("LABEL=PASS or FAIL or NA", get("verdict")).validity
    <Validity.NONE: 'none'>
    """
    clean = _clean_pattern(template.answer).fullmatch(text)
    if clean is not None and not (template.reasons and _in_thought(text, clean.start("label"))):
        return Answer(Label(clean["label"]), float(clean["confidence"]), Validity.CLEAN)
    label_match = _last_label(text)
    if label_match is None:
        return Answer(None, None, Validity.NONE)
    confidence = _confidence(_without_thoughts(text), label_match.end())
    return Answer(Label(label_match["label"]), confidence, Validity.READABLE)


def label_position(text: str) -> tuple[int, int] | None:
    r"""Where the label that :func:`parse` reads stands, as start and end in characters; ``None`` if there is none.

    >>> label_position("LABEL=NA\nCONF=0.40")
    (6, 8)
    """
    match = _last_label(text)
    return None if match is None else match.span("label")


def _last_label(text: str) -> re.Match[str] | None:
    """The last label outside of thoughts, unless it is one of several on offer."""
    stated = None
    offered_until = 0
    for found in _LABEL_ANYWHERE.finditer(_INVISIBLE.sub(" ", _without_thoughts(text))):
        offer = _OFFERED.match(found.string, found.end())
        stated = None if offer is not None or found.start() < offered_until else found
        offered_until = offered_until if offer is None else offer.end()
    return stated


def _confidence(text: str, start: int) -> float | None:
    """What the first ``CONF=`` with a number from ``start`` on states."""
    found = _CONFIDENCE_ANYWHERE.search(text, start)
    if found is None:
        return None
    # Nothing that decides lies further behind the number.
    rest = _INVISIBLE.sub("", text[found.end() : found.end() + 80])
    if _CONTINUED.match(rest) or (found["decimals"] is None and _WHOLE_CONTINUED.match(rest)):
        return None
    confidence = float(found["confidence"])
    return confidence if confidence <= 1.0 else None


def _thoughts(text: str) -> list[tuple[int, int]]:
    """Start and end of each thought. One that the prompt began starts at 0, and an unfinished one goes to the end."""
    spans: list[tuple[int, int]] = []
    begun: int | None = None
    for mark in _THOUGHT.finditer(text):
        if mark["opens"]:
            begun = mark.start() if begun is None else begun
        else:
            behind = spans[-1][1] if spans else 0
            spans.append((behind if begun is None else begun, mark.end()))
            begun = None
    return spans if begun is None else [*spans, (begun, len(text))]


def _in_thought(text: str, place: int) -> bool:
    return any(start <= place < end for start, end in _thoughts(text))


def _without_thoughts(text: str) -> str:
    """The text with blank lines in place of thoughts, so that all else keeps its place."""
    parts: list[str] = []
    place = 0
    for start, end in _thoughts(text):
        parts += [text[place:start], "\n" * (end - start)]
        place = end
    return "".join([*parts, text[place:]])
