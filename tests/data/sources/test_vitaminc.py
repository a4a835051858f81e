from __future__ import annotations

import zipfile
from pathlib import Path

from claim_files import jsonl, vitaminc_row

from candor.data.inputs import load_named
from candor.data.sources.load import load_source
from candor.recipe.data import VitamincSource


def test_official_vitaminc(shared_data: Path) -> None:
    loaded = load_named("vitaminc", data_dir=shared_data)
    assert loaded.notes()["labels"] == {"PASS": 17306, "FAIL": 9907, "NA": 7268}
    assert len({example.id for example in loaded.examples}) == 34481
    assert len({example.group for example in loaded.examples}) == 2836
    assert loaded.examples[0].evidence[0].startswith("According to the British Phonographic Industry")
    assert loaded.examples[0].group == "page:westlife"


def test_vitaminc_groups_by_page_as_fever_does(tmp_path: Path) -> None:
    (tmp_path / "vitaminc").mkdir()
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        for number, part in enumerate(("train", "dev", "test")):
            row = vitaminc_row(number, page="Savages (2012 film)", revision_type="synthetic" if number else "real")
            archive.writestr(f"vitaminc/{part}.jsonl", jsonl(row))
    loaded = load_source("v", VitamincSource(kind="vitaminc"), data_dir=tmp_path)
    assert [file.path.rpartition("!")[2] for file in loaded.files] == [
        f"vitaminc/{part}.jsonl" for part in ("train", "dev", "test")
    ]
    assert {example.group for example in loaded.examples} == {"page:savages (2012 film)"}
    real = load_source("v", VitamincSource(kind="vitaminc", revisions="real"), data_dir=tmp_path)
    assert [example.id for example in real.examples] == ["u0"]
    one = load_source("v", VitamincSource.model_validate({"kind": "vitaminc", "parts": ["dev"]}), data_dir=tmp_path)
    assert [example.id for example in one.examples] == ["u1"]
