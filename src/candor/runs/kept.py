"""What is finished in a run folder: later stages rest on it, so it is what was written, or is refused."""

from __future__ import annotations

from pathlib import Path

from candor.engines import parallel
from candor.errors import DamagedError
from candor.run_folder import RunFolder
from candor.seals import Seal


class Kept:
    """The finished files of a run, whose hashes its seal notes; what the main process alone looks after."""

    def __init__(self, folder: RunFolder) -> None:
        """Take the run's folder; nothing is read yet."""
        self._folder = folder

    def check(self) -> None:
        """Look whether all that was finished is as it was written.

        What a stage makes again where it is missing may be missing; data, logs and parts of an adapter may not.

        Raises:
            DamagedError: it is not; names the file.
        """
        if not parallel.is_main():
            return
        folder = self._folder
        folder.seal.check(path for path in folder.path.rglob("*") if path.is_file())
        for adapter in (folder.adapter, folder.warm_start.adapter):
            Seal(adapter).check()
        resting = [folder.data, folder.audit] if folder.manifest.is_file() else []
        resting += [folder.metrics, folder.rollouts] if folder.is_trained else []
        warmed = folder.warm_start.adapter.is_dir() or folder.metrics.is_file()
        resting += [folder.warm_start.path] if warmed else []
        resting += [path for path in (folder.adapter, folder.cross_fitting) if path.is_dir()]
        resting += [folder.hidden_probe] if folder.metrics.is_file() else []
        for path in folder.seal.missing():
            if not {path, *path.parents}.isdisjoint(resting):
                raise DamagedError(
                    f"{path} is gone, and the run went on from it; restore it from a copy, or choose another --out"
                )

    def check_again(self, *paths: Path) -> None:
        """Look whether files that were made again are what they were.

        Raises:
            DamagedError: one is not; names it.
        """
        if parallel.is_main():
            self._folder.seal.check(paths)

    def made(self, *paths: Path) -> None:
        """Note files that were just finished."""
        if parallel.is_main():
            self._folder.seal.add(path for path in paths if path.is_file())

    def found(self, *paths: Path) -> None:
        """Note files that were finished by one who was killed before it could note them."""
        if parallel.is_main():
            self.made(*(path for path in paths if self._folder.seal.expected(path) is None))
