"""An experiment from its recipe to its report: every arm at every seed, and what is said of them together.

    runs/demo/paper-seed0/
        recipe.yaml  manifest.json  engine.json  audit.json  data/  predictions/  train/  checkpoints/  adapter/
        results.json  report.html  worker.log

A recipe with several arms or seeds gives one such folder for each, and a report of them together above them.
Running the same recipe again does only what is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from candor.comparison.results import read_results, write_results
from candor.comparison.run import side_before
from candor.comparison.seeds import add_crossed
from candor.comparison.stages import Both
from candor.engines import parallel
from candor.errors import RunError
from candor.metrics.schema import RunResults
from candor.metrics.seeds import combine_seeds
from candor.predictions.file import read_predictions
from candor.progress import Reporter
from candor.recipe.recipe import Recipe
from candor.report.page import report_run
from candor.run_folder import RunFolder
from candor.runs.grid import Member, claim_folder, members
from candor.runs.stages import Stages
from candor.runs.trackers import check_trackers
from candor.runs.workers import Job, run_jobs
from candor.training.loop import ShouldStop
from candor.types import Prediction


def run_experiment(
    recipe: Recipe,
    out: Path,
    *,
    data_dir: Path | None = None,
    reporter: Reporter | None = None,
    should_stop: ShouldStop | None = None,
    jobs: int = 1,
    log_to: Sequence[str] = (),
) -> list[Path]:
    """Run every arm and seed of a recipe, then report on them together.

    Args:
        recipe: the experiment.
        out: its folder; made if missing.
        data_dir: where official data files lie.
        reporter: told of progress.
        should_stop: asked after every training step.
        jobs: runs at once, each in a process of its own.
        log_to: trackers that are told of training steps and results, besides the run folder.

    Returns:
        The run folders.

    Raises:
        RunError: the folder holds runs of another recipe, or ``jobs`` is more than 1 under torchrun.
        CandorError: a tracker is unknown or not installed.
    """
    reporter = reporter or Reporter()
    log_to = check_trackers(log_to)
    if jobs > 1 and parallel.world_size() > 1:
        raise RunError(f"--jobs {jobs} under torchrun would start every run once per process; leave it at 1 there")
    group = members(recipe, out)
    for member in group:
        claim_folder(member)
    at_once = jobs > 1 and len(group) > 1 and not RunFolder(out).is_read_only  # where there can be nothing to do
    together = len(group) > 1 and parallel.is_main()
    with RunFolder(out).working() if together else contextlib.nullcontext():
        for index, member in enumerate(group):
            siblings = group[:index]
            if at_once:
                # What the members share is made once, before they part.
                stages = Stages(
                    member, data_dir=data_dir, reporter=reporter, siblings=siblings, should_stop=should_stop
                )
                stages.go([stage for stage in ("data", "warm", "base") if stage in member.recipe.stages])
                continue
            if len(group) > 1:
                reporter.say(f"[{index + 1}/{len(group)}] {member.folder}")
            options: dict[str, Any] = {"should_stop": should_stop, "log_to": log_to}
            Stages(member, data_dir=data_dir, reporter=reporter, siblings=siblings, **options).go()
        if at_once:
            work = [Job(member.folder, member.recipe.train.steps) for member in group]
            stop = should_stop or (lambda: False)
            run_jobs(work, jobs, data_dir=data_dir, reporter=reporter, should_stop=stop, log_to=log_to)
        if together and "report" in recipe.stages:
            _report_together(group, out, reporter)
    return [member.folder.path for member in group]


def _report_together(group: Sequence[Member], out: Path, reporter: Reporter) -> None:
    folder = RunFolder(out)
    if folder.is_read_only and folder.report.is_file():
        reporter.say(f"{folder.report} stays as it is: nothing can be written there")
        return
    report_seeds(group, out)
    report_run(out, [member.folder.path for member in group])


def report_seeds(group: Sequence[Member], out: Path) -> None:
    """Write ``seeds-ARM.json`` for every arm that was compared at several seeds."""
    arms: dict[str, list[Member]] = {}
    for member in group:
        arms.setdefault(member.arm, []).append(member)
    compared = {
        arm: found
        for arm, found in arms.items()
        if len(found) > 1 and all(member.folder.results.is_file() for member in found)
    }
    results = {
        arm: combine_seeds([cast("RunResults", read_results(member.folder.results)) for member in found])
        for arm, found in compared.items()
    }
    add_crossed(results, {arm: [_test_answers(member) for member in found] for arm, found in compared.items()})
    for arm, together in results.items():
        write_results(RunFolder(out).seed_results(arm), together)


def _test_answers(member: Member) -> dict[str, Both[Sequence[Prediction]]]:
    """Both models' answers to each test set that has them."""
    folder, before = member.folder, side_before(member.recipe)
    paths = {
        source: Both(folder.predictions(before, "test", source), folder.predictions("trained", "test", source))
        for source in member.recipe.data.test
    }
    return {
        source: Both(*(read_predictions(path).predictions for path in both))
        for source, both in paths.items()
        if all(path.is_file() for path in both)
    }
