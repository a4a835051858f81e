from __future__ import annotations

import gzip
import shutil
import zipfile
from pathlib import Path

import pytest
from claim_files import climate, climate_row, jsonl, vitaminc_row

from candor.data.inputs import load_named
from candor.errors import DataError


@pytest.mark.parametrize("layout", ["plain", "gz", "zip", "own folder", "zip in own folder"])
def test_files_are_found_packed_or_not(tmp_path: Path, layout: str) -> None:
    content = jsonl(climate_row())
    own = tmp_path / "climatefever"
    own.mkdir()
    if layout == "plain":
        (tmp_path / "climate-fever.jsonl").write_bytes(content)
    elif layout == "gz":
        (tmp_path / "climate-fever.jsonl.gz").write_bytes(gzip.compress(content))
    elif layout == "own folder":
        (own / "climate-fever.jsonl").write_bytes(content)
    else:
        place = own if layout == "zip in own folder" else tmp_path
        with zipfile.ZipFile(place / "climate-fever-master.zip", "w") as archive:
            archive.writestr("dataset/climate-fever.jsonl", content)
    assert len(load_named("climatefever", data_dir=tmp_path).examples) == 1


def test_archives_of_claims_cannot_point_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        archive.writestr("vitaminc/../../train.jsonl", jsonl(vitaminc_row()))
    with pytest.raises(DataError, match=r"vitaminc.zip: the archive holds .* which points outside of its folder"):
        load_named("vitaminc", data_dir=tmp_path)


def test_one_datasets_archive_is_not_taken_for_anothers(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "vitaminc.zip", "w") as archive:
        archive.writestr("vitaminc/train.jsonl", jsonl(vitaminc_row()))
    with pytest.raises(DataError, match="candor data fetch fever"):
        load_named("fever", data_dir=tmp_path)


def test_missing_files_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="candor data fetch vitaminc"):
        load_named("vitaminc", data_dir=tmp_path)
    with pytest.raises(DataError, match="no such data folder"):
        load_named("vitaminc", data_dir=tmp_path / "nowhere")
    with pytest.raises(DataError, match="datasets are fever, vitaminc, climatefever, check-covid, scitab"):
        load_named("vitamin", data_dir=tmp_path)


def test_usual_data_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"cache/candor/data: no such data folder; run `candor data fetch climatefever"):
        load_named("climatefever", data_dir=None)
    folder = tmp_path / "cache" / "candor" / "data"
    folder.mkdir(parents=True)
    (folder / "climate-fever.jsonl").write_bytes(jsonl(climate_row(0), climate_row(1)))
    assert len(load_named("climatefever", data_dir=None).examples) == 2
    climate(tmp_path / "data", jsonl(climate_row()))
    assert len(load_named("climatefever", data_dir=None).examples) == 1


def test_copies_of_official_files_are_used_as_they_are(tmp_path: Path, shared_data: Path) -> None:
    shutil.copy(shared_data / "climatefever" / "climate-fever.jsonl", tmp_path)
    assert len(load_named("climatefever", data_dir=tmp_path).examples) == 1535
