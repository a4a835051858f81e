"""Text as it is compared: claims across splits, page titles across datasets."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_BRACKETS = {
    "-LRB-": "(",
    "-RRB-": ")",
    "-LSB-": "[",
    "-RSB-": "]",
    "-LCB-": "{",
    "-RCB-": "}",
    "-COLON-": ":",
}
_ESCAPED = re.compile("|".join(_BRACKETS))
_TOKENS = {bracket: token for token, bracket in _BRACKETS.items()}
_UNESCAPED = re.compile("|".join(map(re.escape, _TOKENS)))
_NOT_WORD = re.compile(r"[\W_]+")
_NOT_EQUAL = re.compile(r"!=|=/=|<>")
_MINUS = re.compile(r"(?<!\w)[-\u2010-\u2013\u2212](?=[^\w\s]?\d)")
"""A dash before a number and not behind a word: ``-2``, ``-$5``, but not ``1990-2000`` or ``COVID-19``."""
_MINUS_BEHIND = re.compile(r"(\b(?:[^\W\d_]\d*|[Aa][Bb]|[A-Z][a-z]\d*))[-\u2212](?!\w)")
"""A dash behind a letter, ``AB`` or what may be an element: of a mark, a blood group or an ion."""
_MINUS_IN_TERM = re.compile(r"([=<>\u2260\u2264\u2265+*/\u00d7\u00f7]\s*)[-\u2010-\u2013\u2212](?=\w)")
"""A dash behind a sign of mathematics: ``a = -b``."""
_POWER = re.compile("(?<=\\d)[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
"""Raised digits behind a digit, which NFKC would put beside it: ``10⁵`` is not 105."""
_RAISED = re.compile(r"(?<=\w)\^(?=\d)")
"""The same as it is typed: ``10^5``."""
_POINT = re.compile(r"(?<![\w.])\.(?=\d)")
"""A decimal point before the first digit: ``.5``."""
_SIGNS = frozenset("%‰‱#&@*/§†°′″")
_NO_SIGNS = frozenset("`´¨^©®℗|")
"""Of the symbols, those that are marks of print and change no meaning."""


def normalise_claim(claim: str) -> str:
    """The form in which two claims count as the same.

    Letters, digits, and signs that change a meaning (of mathematics, currencies, per cent, ``#``, a minus), case
    folded, single spaces. Punctuation, quotation marks and dashes between words do not count.

    >>> normalise_claim("Ed Decter  is a (film) director.")
    'ed decter is a film director'
    >>> normalise_claim("It rose by -2 %.")
    'it rose by - 2 %'
    """
    marked = _MINUS_BEHIND.sub("\\1\N{MINUS SIGN}", claim)
    folded = _folded(_POWER.sub(lambda power: f"\N{UPWARDS ARROW}{power[0]}", marked))
    signed = _NOT_EQUAL.sub("\N{NOT EQUAL TO}", folded)
    signed = _MINUS_IN_TERM.sub("\\1\N{MINUS SIGN}", _MINUS.sub("\N{MINUS SIGN}", signed))
    signed = _POINT.sub(" 0 ", _RAISED.sub("\N{UPWARDS ARROW}", signed))
    kept = "".join(_in_claim(character) for character in signed)
    return " ".join(kept.split()) or " ".join(folded.split())


def words_of(text: str) -> str:
    """Letters and digits of a text, case folded, single spaces: what two texts have in common, signs apart.

    >>> words_of("C++ is > 5,000 lines.")
    'c is 5 000 lines'
    """
    folded = _folded(text)
    return _NOT_WORD.sub(" ", folded).strip() or " ".join(folded.split())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _in_claim(character: str) -> str:
    """What stands in a claim's compared form for one of its characters."""
    if character.isalnum():
        return character
    if character == "\N{MINUS SIGN}":
        return " - "
    category = unicodedata.category(character)
    if category[0] == "M":
        return character
    is_sign = character in _SIGNS or (category[0] == "S" and character not in _NO_SIGNS)
    return f" {character} " if is_sign else " "


def claim_group(claim: str) -> str:
    """Group of an example that shares nothing but its claim with others."""
    return f"claim:{normalise_claim(claim)}"


def page_group(title: str) -> str:
    """Group of the examples about a Wikipedia page, the same for every dataset that cites it.

    >>> page_group("Ed_Decter_-LRB-writer-RRB-") == page_group("Ed Decter (writer)")
    True
    """
    return f"page:{display_title(title).casefold()}"


def main_page(claim: str, titles: Sequence[str]) -> str:
    """Title of the page that a claim is about: of those cited the one it names first, else the one cited most.

    >>> main_page("Ed Decter was born in China.", ["China", "Ed_Decter", "China"])
    'Ed_Decter'
    """
    padded = f" {words_of(claim)} "
    times = Counter(titles)

    def rank(title: str) -> tuple[int, int, str]:
        name = words_of(display_title(title).partition(" (")[0])
        place = padded.find(f" {name} ")
        return (place if place >= 0 else len(padded), -times[title], title)

    return min(times, key=rank)


def display_title(title: str) -> str:
    """A FEVER page title as people write it.

    >>> display_title("Savages_-LRB-2012_film-RRB-")
    'Savages (2012 film)'
    """
    return " ".join(unescape(unicodedata.normalize("NFC", title)).replace("_", " ").split())


def canonical_title(title: str) -> str:
    """A page title as FEVER's dump writes it, in one Unicode form.

    >>> canonical_title("Savages (2012 film)")
    'Savages_-LRB-2012_film-RRB-'
    """
    composed = unicodedata.normalize("NFC", title).replace(" ", "_")
    return _UNESCAPED.sub(lambda match: _TOKENS[match[0]], composed)


def unescape(text: str) -> str:
    """Text with FEVER's bracket tokens as brackets.

    >>> unescape("Decter -LRB- born 1959 -RRB-")
    'Decter ( born 1959 )'
    """
    return _ESCAPED.sub(lambda match: _BRACKETS[match[0]], text)


def digest(*parts: object) -> str:
    """Hex digest of some values; what every seeded choice is made from, since it depends on no file order."""
    joined = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(joined.encode("utf-8", errors="surrogatepass")).hexdigest()
