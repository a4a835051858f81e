"""An experiment from Python: run it, or open one that was run, and look at what is in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.api.plots import chosen
from candor.api.predictions import Predictions, read_predictions
from candor.api.recipe import load_recipe
from candor.api.results import Results
from candor.api.tables import to_frame
from candor.errors import RecipeError, RunError
from candor.progress import Reporter
from candor.recipe.recipe import Recipe, load_run_recipe, resolve_arms
from candor.report import figures, wording
from candor.report.arms import arms_of
from candor.report.page import report_run
from candor.report.runs import SavedRun, find_runs
from candor.run_folder import SIDES, RunFolder, SideName

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Training:
    """The steps of training of one run or several."""

    runs: tuple[SavedRun, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a run and step, with every key of ``train/metrics.jsonl``.

        Raises:
            CandorError: pandas is not installed.
        """
        rows = [{"run": run.name, **row} for run in self.runs for row in run.steps]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return to_frame(columns, [[row.get(key) for key in columns] for row in rows])

    def plot(self, panel: str = "Mean reward") -> Figure:
        """A quantity over the steps of training.

        Args:
            panel: title of a panel of the report's training section: ``Mean reward``, ``Entropy``, ``Gradient norm``.

        Raises:
            CandorError: no such panel was drawn; names those that were.
        """
        drawings = [one for group in figures.training_figures(arms_of(self.runs)) for one in group.drawings]
        return chosen(drawings, f"training-{wording.slug(panel)}")


@dataclass(frozen=True, slots=True)
class Run:
    """What lies in an experiment's folder: one run, or one for each arm and seed.

    Files are read when they are asked for, so a run that goes on elsewhere can be looked at meanwhile.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def members(self) -> Mapping[str, Run]:
        """The runs of an experiment with several arms or seeds, by the name of their folder; empty for a single run."""
        return {folder.path.name: Run(folder.path) for folder in self._folder.runs_below()}

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe of a single run.

        Raises:
            RunError: this is an experiment of several runs.
        """
        return load_run_recipe(self._single().recipe)

    @property
    def results(self) -> Results:
        """Base and trained model compared on every test set, for every run here.

        Raises:
            RunError: nothing was compared yet.
        """
        found = tuple(run for run in self._saved() if run.results)
        if not found:
            raise RunError(f"{self.path}: nothing compared yet; run the recipe to its end, its stage compare included")
        return Results(found)

    @property
    def training(self) -> Training:
        """The steps of training of every run here.

        Raises:
            RunError: there is no run.
        """
        return Training(tuple(self._saved()))

    def predictions(self, side: SideName, dataset: str) -> Predictions:
        """A model's answers to one test set of a single run.

        Args:
            side: ``base`` or ``trained``.
            dataset: name of the test set, as in the recipe under ``data.test``.

        Raises:
            RunError: this is an experiment of several runs, or there are no such answers; names those there are.
        """
        folder = self._single()
        if side not in SIDES:
            raise RunError(f"no side {side!r}; there are: {', '.join(SIDES)}")
        there = {path.stem: path for path in folder.test_predictions(side)}
        if dataset not in there:
            raise RunError(
                f"{self.path}: no {side} answers to {dataset!r}; there are: {', '.join(there) or 'none yet'}"
            )
        return read_predictions(there[dataset])

    def report(self) -> Path:
        """Write the report anew from the saved files, and return its page.

        Raises:
            RunError: there is nothing to report.
        """
        return report_run(self.path)

    def _saved(self) -> list[SavedRun]:
        return find_runs(self.path)

    @property
    def _folder(self) -> RunFolder:
        return RunFolder(self.path)

    def _single(self) -> RunFolder:
        if self._folder.is_run:
            return self._folder
        names = ", ".join(self.members)
        raise RunError(f"{self.path} holds several runs; choose one: run.members[NAME], NAME one of {names or 'none'}")

    def _repr_html_(self) -> str:
        saved = self._saved()
        lines = [f"<p><b>{escape(str(self.path))}</b></p>"]
        for run in saved:
            state = "compared" if run.results else f"{len(run.steps)} steps trained" if run.steps else "begun"
            lines.append(f"<li>{escape(run.name)}: {state}</li>")
        listed = f"{lines[0]}<ul>{''.join(lines[1:])}</ul>"
        done = tuple(run for run in saved if run.results)
        return listed + (Results(done)._repr_html_() if done else "")


def run(
    recipe: Recipe | str | Path,
    *,
    out: Path | str | None = None,
    data_dir: Path | str | None = None,
    jobs: int = 1,
    log_to: Sequence[str] = (),
    spend: bool = False,
    quiet: bool = False,
) -> Run:
    """Run an experiment: data, base model, training, trained model, comparison, report.

    Does only what is missing: called again after it was stopped or killed, it goes on where it was.

    Args:
        recipe: what to run; a file or a name as :func:`load_recipe` takes it, or what that returned.
        out: folder of the run; ``runs/NAME`` if not given.
        data_dir: where official data files lie; ``./data`` or the user's cache if not given.
        jobs: arms and seeds at once, each in a process of its own.
        log_to: trackers that are told, too: ``tensorboard``, ``wandb``, ``trackio``.
        spend: whether a hosted service may be paid for.
        quiet: whether to print no progress.

    Raises:
        RecipeError: the recipe is wrong, or spends money and ``spend`` is false.
        RunError: the folder holds runs of another recipe.
        CandorError: whatever else stands in the way; the message says what to do.
    """
    # Here, so that a run can be looked at without a model's libraries.
    from candor.runs.experiment import run_experiment

    chosen_recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if not spend and any(arm.engine.spends for arm in resolve_arms(chosen_recipe).values()):
        raise RecipeError(
            "engine.kind=tinker without base_url spends money on the hosted service; look at `candor run --plan`, "
            "and agree with spend=True"
        )
    folder = Path("runs") / chosen_recipe.name if out is None else Path(out)
    options: dict[str, Any] = {"jobs": jobs, "log_to": log_to, "reporter": Reporter(quiet=quiet)}
    run_experiment(chosen_recipe, folder, data_dir=None if data_dir is None else Path(data_dir), **options)
    return Run(folder)


def open_run(folder: Path | str) -> Run:
    """Open what was run into a folder, by the command line or from Python.

    Raises:
        RunError: there is no run in it.
    """
    path = Path(folder)
    if not RunFolder(path).is_run and not RunFolder(path).runs_below() and not RunFolder(path).results.is_file():
        raise RunError(f"{folder}: no run here; expected recipe.yaml or results.json in it, or run folders below it")
    return Run(path)
