"""Files that other libraries read and write for us: whatever they raise, one line says which file it was and why."""

from __future__ import annotations

import contextlib
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError

from candor.errors import CandorError, EngineError, ModelError

LONGEST_REASON: Final = 300
"""Signs of a reason that are shown."""

FILES_ARE_WRONG: Final = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, ImportError, RuntimeError, AssertionError),
    *(EOFError, OverflowError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, SafetensorError),
)
"""What torch, transformers, PEFT, safetensors and the hub's client raise for files that are missing, damaged, of
another kind or made to do harm; they share no base of their errors."""


@contextlib.contextmanager
def read_plainly(error_for: Callable[[str], ModelError]) -> Iterator[None]:
    """Turn what is raised in the block for wrong, missing or hostile files into one error.

    Lack of memory is not the files' fault.

    Args:
        error_for: makes the error from the first line of the reason.

    Raises:
        ModelError: as ``error_for`` made it.
    """
    try:
        yield
    except (CandorError, torch.OutOfMemoryError):
        raise
    except FILES_ARE_WRONG as error:
        raise error_for(reason(error)) from error
    except Exception as error:
        # The tokenizers library raises nothing more specific for a file that it cannot read.
        if type(error) is not Exception:
            raise
        raise error_for(reason(error)) from error


@contextlib.contextmanager
def written_plainly(path: Path) -> Iterator[None]:
    """Say which file a library could not write; errors of the system that name it themselves are let through.

    Raises:
        EngineError: it could not be written.
    """
    try:
        yield
    except (RuntimeError, SafetensorError) as error:  # as torch and safetensors report a full disk
        raise EngineError(f"{path}: cannot be written ({reason(error)}); is the disk full?") from error


def reason(error: Exception) -> str:
    r"""The first line of what an error says, or its kind where it says nothing.

    >>> reason(ValueError(" not this\nnor that")), reason(KeyError())
    ('not this', 'KeyError')
    """
    words = str(error).strip()
    return words.split("\n", 1)[0].strip()[:LONGEST_REASON] or type(error).__name__
