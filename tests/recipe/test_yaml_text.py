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


@pytest.mark.parametrize("text", ["day: 2026-02-30", "n: " + "1" * 5000, '!!int "x"', '!!bool "x"', '!!timestamp "x"'])
def test_values_that_cannot_be_read_are_errors_of_the_file(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="holds a value that cannot be read"):
        load_yaml(text)


def test_mappings_may_be_merged_and_said_anew() -> None:
    text = "base: &b {steps: 3, seed: 1}\nrun: {<<: *b, seed: 2}"
    assert load_yaml(text)["run"] == {"steps": 3, "seed": 2}
    nested = "base: &a {x: 1, y: 2}\ntop:\n  b: &b {<<: *a, x: 3}\nc: {<<: *b}\n"
    assert load_yaml(nested)["c"] == {"x": 3, "y": 2}
    with pytest.raises(yaml.YAMLError, match="'seed' is given twice"):
        load_yaml("base: &b {steps: 3}\nrun: {<<: *b, seed: 2, seed: 3}")
