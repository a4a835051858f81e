"""Claims and page titles in the forms in which they are compared."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.data.text import (
    canonical_title,
    claim_group,
    digest,
    display_title,
    normalise_claim,
    page_group,
    unescape,
    words_of,
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The town has > 5,000 inhabitants.", "The town has < 5,000 inhabitants."),
        ("It rose by +2 degrees.", "It rose by -2 degrees."),
        ("It rose by 2 degrees.", "It rose by \u22122 degrees."),
        ("It fell to -$5.", "It fell to $5."),
        ("x = 5", "x != 5"),
        ("x ≠ 5", "x = 5"),
        ("x ≤ 5", "x ≥ 5"),
        ("It cost $5 million.", "It cost €5 million."),
        ("C is older than Java.", "C++ is older than Java."),
        ("C is older than Java.", "C# is older than Java."),
        ("The share is 5 %.", "The share is 5."),
        ("It is 5 ± 1.", "It is 5 + 1."),
        ("He scored 3/4.", "He scored 3, 4."),
        ("It is at 5°.", "It is at 5."),
        ("Liked: 👍", "Liked: 👎"),
        ("It has ~5,000 inhabitants.", "It has 5,000 inhabitants."),
        ("It is rated A-.", "It is rated A."),
        ("Blood of group AB- is rare.", "Blood of group AB is rare."),
        ("x = -5", "x = 5"),
        ("a = -b", "a = b"),
        ("About .5 percent.", "About 5 percent."),
        ("It is 10⁵.", "It is 105."),
        ("It is 5².", "It is 52."),
        ("It is 10^5.", "It is 10 5."),
        ("The share is 5‱.", "The share is 5."),
        ("Cl- is an ion.", "Cl is an ion."),
        ("O2- is an ion.", "O2 is an ion."),
    ],
)
def test_claims_that_differ_by_a_sign_are_two(one: str, other: str) -> None:
    assert normalise_claim(one) != normalise_claim(other)
    assert claim_group(one) != claim_group(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It cost $ 90 million .", "It cost $90 million."),
        ("x != 5", "x ≠ 5"),
        ("It rose by -2 %", "It rose by \u20132% ."),
        ("A well-known, so-called film (2012)", "a well known so called film 2012"),
        ("Coca-Cola® won", "Coca Cola won"),
        ("\u201cHello\u201d \u2014 he said\u2026", "Hello - he said..."),
        ("pre- and post-war", "pre and post war"),
        ("on- and offline", "on and offline"),
        ("From 1990-2000", "From 1990\u20132000"),
        ("It is 10⁵.", "It is 10^5"),
        ("An area of 5 m²", "An area of 5 m2"),
        ("About .5 percent", "About 0.5 percent"),
    ],
)
def test_punctuation_makes_no_claim_another(one: str, other: str) -> None:
    assert normalise_claim(one) == normalise_claim(other)


SIGNS = "~<>=≠≤≥+±×÷%‰#&@*/$€£¥°"


@given(st.sampled_from(SIGNS), st.sampled_from(SIGNS), st.text("abc 5", min_size=1).filter(str.strip))
def test_no_sign_is_taken_for_another(one: str, other: str, text: str) -> None:
    same = normalise_claim(f"{text} {one} {text}") == normalise_claim(f"{text} {other} {text}")
    assert same == (one == other)
    assert normalise_claim(f"{text} {one} {text}") != normalise_claim(f"{text} {text}")


@given(st.text())
def test_a_compared_form_is_its_own(text: str) -> None:
    assert words_of(words_of(text)) == words_of(text)
    assert normalise_claim(f" {text}\t") == normalise_claim(text)


def test_words_have_no_signs() -> None:
    assert words_of("  C++ costs >_$5, they say. ") == "c costs 5 they say"


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
