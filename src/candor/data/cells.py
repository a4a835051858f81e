"""Evidence in one value: a sentence, a list of them, or a list as programs write it into a cell."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from candor.data.rows import RowError, clean, kind_of
from candor.files import RepeatedKeyError, parse_json

TEXT_KEYS: Final = ("text", "sentence", "evidence", "content", "passage", "snippet")
"""Keys under which an object of evidence has its text."""

_NOTHING: Final = frozenset({"", "nan", "none", "null", "n/a", "#n/a", "<na>"})
"""What programs write for a cell that is empty, case folded."""

_MISSING: Final = frozenset({"", "nan", "NaN", "None", "null", "NULL", "n/a", "N/A", "#N/A", "<NA>"})
"""The same as they spell it; a person's own "none" is a name like any other."""

_MAX_DEPTH: Final = 4

_KINDS: Final = (
    r"(?:np\.|numpy\.|pd\.|torch\.|collections\.)?"
    r"(?:array|list|tuple|set|frozenset|deque|dict_values|dict_keys|Index|tensor)\("
)
_LIST: Final = re.compile(rf"(?:{_KINDS})?\(?\s*[\[({{]")
_STRING: Final = re.compile(
    r"""(?:np\.str_\(|numpy\.str_\()?([uU]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))\)?""", re.DOTALL
)
_EMPTY_ITEM: Final = re.compile(r"(?:None|null|nan|NaN|<NA>|NaT)\b|<NA>")
_JOINT: Final = re.compile(r"\s*,\s*|\s+")
_OPENINGS: Final = {"[": "]", "(": ")", "{": "}"}
_LOOKS_LIKE_A_LIST: Final = re.compile(rf"""\[[\s\[]*(?:[uUbB]?['"]|\{{|{_KINDS})|{_KINDS}\s*[\[({{]""")
_LOOKS_CUT: Final = re.compile(
    r"""[\[{]\s*[uU]?['"](?!.*['"]\s{0,8}[\]}])(?:.*['"]\s{0,4}[,:]\s{0,4}[uU]?['"]|.{32000})""", re.DOTALL
)
"""The beginning of a list or object of strings, and no end of it: a second string, or more than a cell holds."""
_SERIES: Final = re.compile(r"\n(?:Name: .{0,200}, )?(?:Length: \d+, )?dtype: \w+\Z")


def is_blank(value: Any) -> bool:
    """Whether a value is null, not a number, or text of white space alone."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def is_nothing(value: Any) -> bool:
    """Whether a value stands for none: blank, or what programs write for that."""
    return is_blank(value) or (isinstance(value, str) and value.strip().casefold() in _NOTHING)


def is_missing(value: Any) -> bool:
    """Whether an id or a group stands for none: blank, or as programs spell an empty cell."""
    return is_blank(value) or (isinstance(value, str) and value.strip() in _MISSING)


def sentences_of(value: Any, column: str) -> tuple[str, ...]:
    """Evidence sentences of one value of a table.

    Args:
        value: text; a list; an object with its text under ``text`` or the like, or numbered from 0; or text that
            holds a list as JSON, Python or numpy write it. Text that merely begins with a bracket is a sentence.
        column: named in errors.

    Raises:
        RowError: it is something else, a list that was cut short, or cannot be written as UTF-8.
    """
    return tuple(_sentences(value, column, 0))


def _sentences(value: Any, column: str, depth: int) -> Iterator[str]:
    if is_nothing(value):
        return
    if isinstance(value, str):
        listed = _listed(value.strip(), column)
        if listed is None:
            yield clean(value, column)
        elif depth < _MAX_DEPTH:
            yield from _sentences(listed, column, depth + 1)
        else:
            raise RowError(f"{column!r} holds lists inside of lists")
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, list | tuple):
                raise RowError(f"{column!r} must be text or a list of texts, not {kind_of(list(item))} inside of one")
            yield from _sentences(item, column, depth + 1) if isinstance(item, Mapping) else _item(item, column)
    elif isinstance(value, Mapping):
        yield from _of_object(value, column, depth)
    else:
        raise RowError(f"{column!r} must be text or a list of texts, not {kind_of(value)}")


def _item(item: Any, column: str) -> Iterator[str]:
    """A sentence of a list; a bracket at its beginning is text."""
    if is_nothing(item):
        return
    if not isinstance(item, str):
        raise RowError(f"{column!r} must be text or a list of texts, not {kind_of(item)}")
    yield clean(item, column)


def _of_object(value: Mapping[Any, Any], column: str, depth: int) -> Iterator[str]:
    """Sentences of an object: its text, or its values where they are numbered."""
    named = [key for key in TEXT_KEYS if key in value]
    if len(named) == 1 and depth < _MAX_DEPTH:
        yield from _sentences(value[named[0]], column, depth + 1)
    elif value and not named and all(str(key).isdecimal() for key in value):
        for key in sorted(value, key=int):
            yield from _item(value[key], column)
    else:
        keys = ", ".join(map(repr, value)) or "nothing"
        raise RowError(
            f"{column!r} must be text or a list of texts, not an object with {keys}; an object's text stands under one "
            f"of {', '.join(TEXT_KEYS)}"
        )


def _listed(text: str, column: str) -> Any:
    """What a text holds as a list, an object or a further text; ``None`` where it is a sentence."""
    if text[:1] == '"':
        inner = _json(text, column)
        return inner if isinstance(inner, str) and inner.lstrip()[:1] in ("[", "{") else None
    if _SERIES.search(text):
        raise RowError(
            f"{column!r} holds what pandas prints of a column, {text[-40:]!r}; save the list itself, as JSON"
        )
    if text[-1] not in "])}" and _LOOKS_CUT.match(text):
        raise RowError(
            f"{column!r} begins like a list, {text[:40]!r}, and has no end; spreadsheets cut cells of more than 32,767 "
            "characters. Save the whole list, as JSON"
        )
    if not _LIST.match(text) or text[-1] not in "])}":
        return None
    value = _json(text, column)
    if isinstance(value, list) and all(item is None or isinstance(item, str | Mapping) for item in value):
        return value
    if isinstance(value, Mapping):
        return value
    found = _flat(text, column)
    if found is None:
        found = _python(text, column)
    if found is None and text[-1] in "])" and _LOOKS_LIKE_A_LIST.match(text):
        raise RowError(
            f"{column!r} begins and ends like a list, {text[:40]!r} to {text[-20:]!r}, but is none that can be read; "
            "write it as JSON"
        )
    return found


def _json(text: str, column: str) -> Any:
    try:
        return parse_json(text)
    except RepeatedKeyError as error:
        raise RowError(f"{column!r}: {error}") from None
    except ValueError:
        return None


def _flat(text: str, column: str) -> list[str | None] | None:
    """Strings of a flat list as Python or numpy write it, numpy with white space alone between them."""
    body = text
    while prefix := re.match(rf"{_KINDS}\s*(?=[\[({{])", body):
        if not (end := re.search(r"(?:,\s*dtype=[\w<>'\"]+)?\s*\)\Z", body)):
            return None
        body = body[prefix.end() : end.start()]
    if not body or _OPENINGS.get(body[0]) != body[-1]:
        return None
    inner = body[1:-1].strip()
    items: list[str | None] = []
    commas = place = 0
    while place < len(inner):
        if inner.startswith("...", place):
            raise RowError(f"{column!r} holds a list that numpy cut short with '...'; save the whole list, as JSON")
        if string := _STRING.match(inner, place):
            item = _text_of(string[1])
            if item is None:
                return None
            items.append(item)
        elif string := _EMPTY_ITEM.match(inner, place):
            items.append(None)
        else:
            return None
        place = string.end()
        if joint := _JOINT.match(inner, place):
            commas += "," in joint[0]
            place = joint.end()
        elif place < len(inner):
            return None
    # ("He said.") is prose in brackets; a tuple of one has a comma.
    return None if body[0] == "(" and items and not commas else items


def _text_of(written: str) -> str | None:
    """What a string of Python's or JSON's stands for."""
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError, MemoryError):
        return None
    return value if isinstance(value, str) else None


def _python(text: str, column: str) -> Any:
    """A list or object with objects inside, as Python writes it."""
    if "{" not in text or len(text) > 2**20:
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval")
        value = ast.literal_eval(tree)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    for node in ast.walk(tree):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)] if isinstance(node, ast.Dict) else []
        if len(set(keys)) < len(keys):
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise RowError(f"{column!r}: an object repeats the key {repeated!r}")
    return list(value) if isinstance(value, list | tuple) else value if isinstance(value, Mapping) else None
