"""Whatever a library raises on files becomes one line that names them; lack of memory does not."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from candor.engines.foreign import read_plainly, reason, written_plainly
from candor.errors import DataError, EngineError, ModelError


@pytest.mark.parametrize(
    "error",
    [
        OSError("why"),
        EOFError("why"),
        pickle.UnpicklingError("why\nand more"),
        zipfile.BadZipFile("why"),
        SafetensorError("why"),
        RecursionError("why"),
        AssertionError("why"),
        IndexError("why"),
        Exception("why"),
    ],
)
def test_one_line_says_which_file_and_why(error: Exception) -> None:
    with pytest.raises(ModelError, match=r"^x: why$"), read_plainly(lambda why: ModelError(f"x: {why}")):
        raise error


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError(), MemoryError(), ZeroDivisionError("a bug"), DataError("plain"), KeyboardInterrupt()],
)
def test_what_is_not_the_files_fault_or_plain_already_is_let_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as told, read_plainly(ModelError):
        raise error
    assert told.value is error


@pytest.mark.parametrize("error", [RuntimeError("no space\nat 0x1"), SafetensorError("no space")])
def test_a_file_that_a_library_could_not_write_is_named(error: Exception) -> None:
    said = r"^a/b: cannot be written \(no space\); is the disk full\?$"
    with pytest.raises(EngineError, match=said), written_plainly(Path("a/b")):
        raise error


def test_a_reason_is_short_and_never_empty() -> None:
    assert reason(ValueError("x" * 10_000)) == "x" * 300
    assert reason(ValueError("\n \n")) == "ValueError"
