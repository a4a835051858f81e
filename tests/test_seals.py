"""Files that were sealed are what was written, or are refused by name."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from candor.errors import DamagedError
from candor.files import read_json, sha256, write_json
from candor.seals import SEAL, Seal, seal_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a").write_text("first")
    (tmp_path / "deep" / "b").write_text("second")
    (tmp_path / "README.md").write_text("a card")
    return tmp_path


def test_a_sealed_folder_is_as_it_was_and_may_have_more_in_it(folder: Path) -> None:
    seal_folder(folder, {"step": 3}, but=["README.md"])
    (folder / "c").write_text("third")
    (folder / "README.md").write_text("another card")
    assert Seal(folder).check() == {"step": 3}
    assert set(read_json(folder / SEAL)["files"]) == {"a", "deep/b"}
    before = (folder / SEAL).read_bytes()
    (folder / "c").unlink()
    seal_folder(folder, {"step": 3}, but=["README.md"])
    assert (folder / SEAL).read_bytes() == before


def test_a_folder_that_was_never_sealed_says_nothing(folder: Path) -> None:
    seal = Seal(folder)
    assert not seal.is_there
    assert seal.check() == {}
    assert seal.missing() == []
    assert seal.expected(folder / "a") is None


@pytest.mark.parametrize("content", [b"", b"firsT", b"firs", b"firstt"])
def test_a_changed_file_is_refused_by_name(folder: Path, content: bytes) -> None:
    seal_folder(folder)
    (folder / "a").write_bytes(content)
    with pytest.raises(DamagedError, match=r"/a is not what was written .*restore it from a copy"):
        Seal(folder).check()
    with pytest.raises(DamagedError, match=r"/a is not what was written"):
        Seal(folder).check([folder / "a"])
    Seal(folder).check([folder / "deep" / "b"])


def test_a_file_that_is_gone_or_no_file_any_more_is_refused_by_name(folder: Path) -> None:
    seal_folder(folder)
    (folder / "deep" / "b").unlink()
    (folder / "deep" / "b").mkdir()
    with pytest.raises(DamagedError, match=r"deep/b is gone, and .*sha256\.json knows of it"):
        Seal(folder).check()
    assert Seal(folder).missing() == [folder / "deep" / "b"]
    Seal(folder).check([folder / "a", folder / "deep" / "b"])  # what may be made again


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_every_byte_of_the_seal_counts(folder: Path, place: int) -> None:
    seal_folder(folder, {"step": 3})
    data = bytearray((folder / SEAL).read_bytes())
    place %= len(data)
    before = bytes(data)
    data[place] ^= 1
    (folder / SEAL).write_bytes(data)
    # White space between the parts may change.
    harmless = before[place] in b" \n\t\r" and data[place] in b" \n\t\r"
    with contextlib.nullcontext() if harmless else pytest.raises(DamagedError, match=r"sha256\.json.*go on unchecked"):
        Seal(folder).check()


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"files": {}}', '{"files": {"a": 1}, "seal": "x"}'])
def test_what_is_no_seal_is_refused(folder: Path, text: str) -> None:
    (folder / SEAL).write_text(text)
    with pytest.raises(DamagedError, match=r"sha256\.json.*remove it to go on unchecked"):
        Seal(folder).check()


def test_files_are_added_one_by_one_and_again(folder: Path) -> None:
    seal = Seal(folder)
    seal.add([folder / "a"])
    seal.add([folder / "deep" / "b"], {"by": "hand"})
    assert seal.expected(folder / "a") == sha256(folder / "a")
    (folder / "a").write_text("made anew")
    seal.add([folder / "a"])
    assert seal.check() == {"by": "hand"}
    write_json(folder / "deep" / "c", {})
    assert seal.expected(folder / "deep" / "c") is None
