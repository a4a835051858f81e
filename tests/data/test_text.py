"""Claims and page titles in the forms in which they are compared."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest

from candor.data.text import (
    canonical_title,
    claim_group,
    digest,
    display_title,
    normalise_claim,
    page_group,
    unescape,
)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("  Ed_Decter,  is\ta DIRECTOR. ", "ed decter is a director"),
        ("ﬁrst Straße", "first strasse"),
        ("٣ apples", "٣ apples"),
        ("", ""),
        # Nothing but signs: the signs stay, or all such claims would count as one.
        (" ?!  ... ", "?! ..."),
    ],
)
def test_claims_count_as_the_same_in_this_form(claim: str, expected: str) -> None:
    assert normalise_claim(claim) == expected


def test_claims_of_signs_alone_stay_apart() -> None:
    assert claim_group("?!") != claim_group("...")
    assert claim_group("The Claim!") == claim_group("the claim") == "claim:the claim"


def test_unicode_forms_of_a_claim_are_one() -> None:
    forms = {normalise_claim(unicodedata.normalize(form, "Beyoncé sings")) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    assert forms == {"beyoncé sings"}


@pytest.mark.parametrize(
    ("dumped", "shown"),
    [
        ("Savages_-LRB-2012_film-RRB-", "Savages (2012 film)"),
        ("Alien-COLON-_Covenant", "Alien: Covenant"),
        ("A_-LSB-b-RSB-_-LCB-c-RCB-", "A [b] {c}"),
        ("Plain", "Plain"),
    ],
)
def test_titles_go_there_and_back(dumped: str, shown: str) -> None:
    assert display_title(dumped) == shown
    assert canonical_title(shown) == dumped
    assert canonical_title(dumped) == dumped
    assert display_title(shown) == shown


def test_a_page_has_one_group_however_its_title_is_written() -> None:
    titles = ("Ed_Decter_-LRB-writer-RRB-", "Ed Decter (writer)", "ed  decter_(WRITER)")
    assert {page_group(title) for title in titles} == {"page:ed decter (writer)"}
    assert page_group("Ed Decter") != claim_group("Ed Decter")


def test_only_the_bracket_tokens_are_unescaped() -> None:
    assert unescape("a -LRB- b -rrb- LRB -COLON-") == "a ( b -rrb- LRB :"


def test_digests_depend_on_where_one_value_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")
    assert digest(0, "group") == digest("0", "group") == hashlib.sha256(b"0\x1fgroup").hexdigest()


def test_digests_of_text_that_cannot_be_written() -> None:
    assert digest("\ud800") != digest("\ud801")
