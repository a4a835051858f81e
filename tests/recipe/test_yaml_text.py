from __future__ import annotations

import pytest
import yaml

from candor.recipe.yaml_text import load_yaml


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{a: 1, a: 2}", "? [1, 2]\n: 3", "[" * 5000])
def test_what_is_no_plain_mapping_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)


def test_numbers_as_people_write_them() -> None:
    assert load_yaml("[1e-3, 2E5, .6, 0.1]") == [0.001, 200000.0, 0.6, 0.1]
