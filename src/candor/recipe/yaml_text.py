"""YAML as people write it in recipes."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, and a key given twice is a mistake."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._checked: dict[int, yaml.MappingNode] = {}

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse a key that stands twice in one mapping; what ``<<`` merges in may be said anew."""
        # Merging changes a node, which may be merged into another before it is constructed itself.
        if id(node) not in self._checked:
            self._checked[id(node)] = node
            self._check(node)
        super().flatten_mapping(node)

    def _check(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a mapping or a list; put text with braces in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def load_yaml(text: str) -> Any:
    """What a text of YAML says.

    Raises:
        yaml.YAMLError: it is none, or a key stands twice in one mapping.

    >>> load_yaml("learning_rate: 1e-3")
    {'learning_rate': 0.001}
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
    except (ValueError, KeyError, AttributeError, OverflowError) as error:
        # A date such as 2026-02-30, an integer of thousands of digits, or a tag that does not fit its value.
        raise yaml.YAMLError(f"holds a value that cannot be read ({error}); put text in quotes") from None
