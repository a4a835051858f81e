"""A server's address: where it is asked, and what of it is secret."""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from candor.errors import EndpointError
from candor.progress import visible

SHOWN_OF_MESSAGE: Final = 300
SHORTEST_SECRET: Final = 4
"""Shorter parts of an address (a version, a flag) keep nobody out, and hiding them would garble messages."""


def public_url(url: str) -> str:
    """The address without user, password and query, which may be secrets.

    >>> public_url("https://me:secret@models.example/v1?key=secret")
    'https://models.example/v1'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def chat_url(url: str) -> str:
    """Where chat completions are asked for, given the address as people write it.

    Raises:
        EndpointError: it is no address of a web server.

    >>> chat_url("http://127.0.0.1:8000"), chat_url("https://models.example/api/v1/")
    ('http://127.0.0.1:8000/v1/chat/completions', 'https://models.example/api/v1/chat/completions')
    """
    expected = "expected an address such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is none
    except ValueError:
        # Not shown: what cannot be taken apart may hold a password anywhere.
        raise EndpointError(f"--endpoint: its host or port cannot be read; {expected}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError(f"--endpoint {public_url(url)}: {expected}")
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


class Discretion:
    """Keeps key, user, password and query, which some servers repeat, out of messages."""

    def __init__(self, url: str, key: str | None) -> None:
        """Take the address as it was given, and the key, if one is sent."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        values = [value for pair in parts.query.split("&") for value in (pair, pair.partition("=")[2])]
        secrets = {key or "", parts.query, user, user.partition(":")[2], *values}
        secrets |= {unquote(secret) for secret in secrets}
        secrets.add(base64.b64encode(unquote(user).encode()).decode())
        # The longest first: a part of a secret would leave the rest of it readable.
        self._secrets = sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True)

    def clean(self, words: str) -> str:
        """Words without secrets."""
        for secret in self._secrets:
            words = words.replace(secret, "[key]")
        return words

    def shown(self, words: str) -> str:
        """The beginning of a message, in one line, without secrets and without what a terminal would obey."""
        # Cleaned first: a secret across the cut would show in part.
        return visible(writable(self.clean(" ".join(words.split()))[:SHOWN_OF_MESSAGE]))


def writable(text: str) -> str:
    r"""Text without halves of surrogate pairs, which JSON can carry and no file can.

    >>> writable("a\ud83d") == "a\ufffd"
    True
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
