from __future__ import annotations

import hashlib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from candor import extensions
from candor.errors import RecipeError
from candor.extensions import load_extension


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module in it that no other test knows."""
    monkeypatch.chdir(tmp_path)
    load_extension.cache_clear()
    name = f"mine_{tmp_path.name}".replace("-", "_")
    path = tmp_path / f"{name}.py"
    path.write_text(
        "class Inner:\n    @staticmethod\n    def twice(label):\n        return 2 * label\n\n\nvalue = 3\n\n\n"
        "def plain(label, gold=None):\n    return label\n"
    )
    return path


def test_a_function_in_the_working_directory_is_found_and_hashed(here: Path) -> None:
    found = load_extension("reward", f"{here.stem}:plain")
    assert found.name == "plain"
    assert found.takes == ["label", "gold"]
    assert found.sha256 == hashlib.sha256(here.read_bytes()).hexdigest()
    assert found.as_json()["file"] == str(here)
    assert found.call(label=3, confidence=0.5) == 3


def test_functions_inside_of_others_are_found(here: Path) -> None:
    found = load_extension("metric", f"{here.stem}:Inner.twice")
    assert (found.name, found.call(label=2)) == ("twice", 4)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("no_such_module_at_all:f", "no module 'no_such_module_at_all' here"),
        ("{}:nothing", "has no function 'nothing'; it has: plain"),
        ("{}:value", "has no function 'value'"),
        ("nobody_offers_this", r"candor.rewards: none\); a function of one's own is written module:function"),
    ],
)
def test_what_cannot_be_found_is_named(here: Path, spec: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_extension("reward", spec.format(here.stem))


def test_a_module_that_fails_says_how(here: Path) -> None:
    (here.parent / "broken_for_candor.py").write_text("raise RuntimeError('not today')\n")
    with pytest.raises(RecipeError, match=r"RuntimeError.*not today"):
        load_extension("reward", "broken_for_candor:f")


def test_an_installed_package_offers_functions_by_name(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = [EntryPoint("quiet", f"{here.stem}:plain", "candor.rewards")]
    monkeypatch.setattr(extensions, "entry_points", lambda group: offered if group == "candor.rewards" else [])
    assert load_extension("reward", "quiet").name == "quiet"
    with pytest.raises(RecipeError, match="offers a metric"):
        load_extension("metric", "quiet")
