"""Every kind of source is loaded by one function, and a sandbox makes its examples there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from claim_files import ROW, climate_row, jsonl, vitaminc_row
from fever_files import write_fever
from pydantic import TypeAdapter

from candor.data.sources.load import load_source
from candor.errors import DataError
from candor.recipe.data import FeverSource, SandboxSource, SourceConfig
from candor.sandbox import world

SANDBOX = SandboxSource(kind="sandbox")
FEVER = FeverSource(kind="fever", parts=("train",))


@pytest.mark.parametrize("kind", ["fever", "vitaminc", "climatefever", "table"])
def test_each_kind_is_read_from_its_own_files(tmp_path: Path, kind: str) -> None:
    write_fever(tmp_path)
    (tmp_path / "vitaminc").mkdir()
    (tmp_path / "vitaminc" / "dev.jsonl").write_bytes(jsonl(vitaminc_row(4)))
    (tmp_path / "climate-fever.jsonl").write_bytes(jsonl(climate_row(5)))
    (tmp_path / "mine.jsonl").write_bytes(jsonl(ROW))
    more = {"fever": {"parts": ["train"]}, "table": {"path": "mine.jsonl"}}
    values: dict[str, Any] = {"kind": kind, **more.get(kind, {})}
    loaded = load_source("named", TypeAdapter(SourceConfig).validate_python(values), data_dir=tmp_path)
    assert {example.dataset for example in loaded.examples} == {"named"}
    first = {
        "fever": "Ed Decter is a director.",
        "vitaminc": "Claim 4 .",
        "climatefever": "Claim 5.",
        "table": "A claim.",
    }
    assert loaded.examples[0].claim == first[kind]
    assert loaded.settings["kind"] == kind


def test_a_sandbox_makes_its_domains_examples_under_the_sources_name() -> None:
    loaded = load_source("mine", SandboxSource(kind="sandbox", domain="wiki"), count=5, seed=3)
    made = world.generate("wiki", 5, 3)
    assert [(example.id, example.claim, example.label) for example in loaded.examples] == [
        (example.id, example.claim, example.label) for example in made
    ]
    assert {example.dataset for example in loaded.examples} == {"mine"}
    assert [example.group for example in loaded.examples] == [f"sandbox/wiki:{example.group}" for example in made]
    assert loaded.settings == {"kind": "sandbox", "domain": "wiki", "seed": 3}
    assert loaded.files == ()


def test_a_sandbox_takes_its_domain_from_its_name_and_its_seed_from_the_run() -> None:
    one, again, other = (load_source("wiki", SANDBOX, count=20, seed=seed).examples for seed in (0, 0, 1))
    assert one == again
    assert [dataclasses.replace(example, id="") for example in one] != [
        dataclasses.replace(example, id="") for example in other
    ]


def test_a_sandbox_must_be_told_how_many() -> None:
    with pytest.raises(DataError, match="source 'wiki' is a sandbox: say how many"):
        load_source("wiki", SANDBOX)


def test_evidence_can_be_looked_up_later_and_is_the_same(tmp_path: Path) -> None:
    write_fever(tmp_path)
    at_once = load_source("fever", FEVER, data_dir=tmp_path)
    later = load_source("fever", FEVER, data_dir=tmp_path, complete=False)
    assert at_once.completer is None
    assert later.completer is not None
    assert not any(example.evidence for example in later.examples)
    completed, failed = later.completer.complete(later.examples)
    assert tuple(completed) == at_once.examples
    assert failed == []
    assert {**later.settings, **later.completer.notes()} == at_once.settings
