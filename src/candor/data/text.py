"""Text as it is compared: claims across splits, page titles across datasets."""

from __future__ import annotations

import hashlib
import re
import unicodedata

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


def normalise_claim(claim: str) -> str:
    """The form in which two claims count as the same: letters and digits, case folded, single spaces.

    >>> normalise_claim("Ed Decter  is a (film) director.")
    'ed decter is a film director'
    """
    folded = unicodedata.normalize("NFKC", claim).casefold()
    return _NOT_WORD.sub(" ", folded).strip() or " ".join(folded.split())


def claim_group(claim: str) -> str:
    """Group of an example that shares nothing but its claim with others."""
    return f"claim:{normalise_claim(claim)}"


def page_group(title: str) -> str:
    """Group of the examples about a Wikipedia page, the same for every dataset that cites it.

    >>> page_group("Ed_Decter_-LRB-writer-RRB-") == page_group("Ed Decter (writer)")
    True
    """
    return f"page:{display_title(title).casefold()}"


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
