"""The errors candor raises on purpose: one tree, every message names the value, the place and the fix."""

from __future__ import annotations

from pathlib import Path


class CandorError(Exception):
    """Base of every error a user of candor is expected to see.

    The command line prints the message of these in one line; anything else is a bug and keeps its traceback.
    """


class RecipeError(CandorError):
    """A recipe cannot be read or holds a value that is not allowed; names the key."""


class DataError(CandorError):
    """A data file is missing, empty or holds a row that cannot be used."""

    def __init__(self, message: str, *, file: Path | str | None = None, line: int | None = None) -> None:
        """Put the place in front: ``file:line: message``."""
        place = "" if file is None else f"{file}: " if line is None else f"{file}:{line}: "
        super().__init__(place + message)
        self.file = None if file is None else str(file)
        self.line = line


class SplitError(DataError):
    """A split would leak (shared claim or group), or asks for more examples than there are."""


class MissingFileError(DataError):
    """An official file is not in the data folder, or there is no such folder."""


class FetchError(DataError):
    """An official file could not be fetched or is not what its checksum says."""


class PromptError(CandorError):
    """A prompt template is unknown or cannot be rendered."""


class ModelError(CandorError):
    """A model, tokenizer or adapter cannot be loaded, or does not support what is asked of it."""


class EngineError(CandorError):
    """An engine was asked for something that its contract does not allow."""


class NumericsError(EngineError):
    """A loss, gradient or log-probability is not finite."""


class PredictionError(CandorError):
    """Prediction files cannot be read, or cannot be compared with each other."""


class EndpointError(CandorError):
    """A server that is asked for answers cannot be used at all, or did not answer however often it was asked."""


class RefusedError(CandorError):
    """A server refuses one question, whatever else it would answer."""


class QueueFullError(CandorError):
    """As many claims wait to be verified as may wait."""


class PushError(CandorError):
    """The hub did not take a folder."""


class RunError(CandorError):
    """A run folder is missing something, or belongs to another recipe."""


class DamagedError(CandorError):
    """A file that later work rests on is gone, or is not what was written."""


class Stopped(CandorError):  # noqa: N818 - nothing went wrong
    """A run was asked to stop and did so at a place where it can go on."""


def install_line(extra: str) -> str:
    """How an extra of candor is installed; it is on no package index yet, so from a clone.

    >>> install_line("serve")
    "pip install -e '.[serve]' in a clone of candor"
    """
    return f"pip install -e '.[{extra}]' in a clone of candor"
