"""Where a server is asked, and what of its address is shown to nobody."""

from __future__ import annotations

import base64

import pytest

from candor.errors import EndpointError
from candor.predictions.endpoint.address import SHOWN_OF_MESSAGE, Discretion, chat_url, public_url, writable


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://h:8000", "http://h:8000/v1/chat/completions"),
        ("http://h:8000/", "http://h:8000/v1/chat/completions"),
        ("https://h/api/v1/", "https://h/api/v1/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h/v1/chat/completions/", "https://h/v1/chat/completions"),
        ("https://me:pw@h/v1?version=2", "https://me:pw@h/v1/chat/completions?version=2"),
        ("http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_addresses_as_people_write_them(given: str, asked: str) -> None:
    assert chat_url(given) == asked


@pytest.mark.parametrize("given", ["h:8000", "ftp://h/v1", "http://", "", "file:///etc/passwd"])
def test_what_is_no_web_server_is_named(given: str) -> None:
    with pytest.raises(EndpointError, match=r"expected an address such as http://127\.0\.0\.1:8000/v1"):
        chat_url(given)


@pytest.mark.parametrize("given", ["http://me:secret@h:port/v1", "http://me:secret@[h/v1"])
def test_what_cannot_be_taken_apart_is_not_shown(given: str) -> None:
    with pytest.raises(EndpointError) as caught:
        chat_url(given)
    assert "secret" not in str(caught.value)


def test_user_password_and_query_are_not_public() -> None:
    assert public_url("https://me:secret@h:1/v1/?key=secret#part") == "https://h:1/v1"
    assert public_url("https://a@b:secret@h/v1") == "https://h/v1"


SECRET = "p%40ss word".replace(" ", "%20")
URL = f"https://user:{SECRET}@h/v1?token=abcdef&v=2"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-key-1234",
        SECRET,
        "p@ss word",
        f"user:{SECRET}",
        "token=abcdef",
        "abcdef",
        base64.b64encode(b"user:p@ss word").decode(),
    ],
)
def test_a_secret_is_hidden_in_whatever_form_a_server_repeats_it(secret: str) -> None:
    shown = Discretion(URL, "sk-key-1234").shown(f"wrong: {secret}!")
    assert shown == "wrong: [key]!"


def test_short_parts_are_words_like_others() -> None:
    assert Discretion(URL, None).clean("v=2 is version 2") == "v=2 is version 2"
    assert Discretion("https://h", None).clean("nothing to hide") == "nothing to hide"


def test_a_secret_across_the_cut_does_not_show_in_part() -> None:
    words = "x" * (SHOWN_OF_MESSAGE - 4) + "sk-key-1234"
    shown = Discretion("https://h", "sk-key-1234").shown(words)
    assert len(shown) == SHOWN_OF_MESSAGE
    assert shown.endswith("x[key")


def test_messages_are_one_line_that_can_be_written() -> None:
    assert Discretion("https://h", None).shown(" a\n\n b\t\ud83d ") == "a b \ufffd"
    assert writable("😀") == "😀"
