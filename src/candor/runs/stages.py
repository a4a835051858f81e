"""The stages of one run, from its data to its report: each reads files, writes files, and is done once."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from candor.comparison.results import read_results, write_results
from candor.comparison.run import compare_run
from candor.data.audit import audit
from candor.data.examples import read_examples, write_examples
from candor.data.splits import check_asked, make_splits
from candor.engines import parallel
from candor.errors import DataError, RunError, Stopped
from candor.files import atomic_path, part_of, read_json, write_json
from candor.predictions.form import out_of_form
from candor.predictions.local import answer_into
from candor.predictions.validation import validation_score
from candor.progress import Bar, Reporter
from candor.recipe.data import ANSWERED, DRAWN, SPLITS
from candor.recipe.recipe import dump
from candor.recipe.warm_start import ReadyWarmStart, TrainedWarmStart
from candor.report.page import report_run
from candor.run_folder import AnsweredBy, RunFolder
from candor.runs.grid import SHARED_BY_ARMS, Member
from candor.runs.kept import Kept
from candor.runs.manifest import environment, made_with
from candor.runs.outside import check_outside, outside
from candor.runs.prompt_lengths import meter_of_recipe
from candor.runs.run_engine import RunEngine, Weights
from candor.runs.taught import found_out
from candor.runs.trackers import Trackers
from candor.runs.warm_start import (
    TRAINED_ON,
    copy_adapter,
    find_adapter,
    note_trained_on,
    seen_before,
    training_recipe,
)
from candor.training.log import logged_rows
from candor.training.loop import ShouldStop, train
from candor.training.rewards import lying_pays
from candor.types import Example

WARNINGS_SHOWN: Final = 2
"""Warnings of the audit that are printed; the report has all."""

MODELS: Final[dict[AnsweredBy, str]] = {"base": "base model", "warm": "warm start", "trained": "trained model"}
ADDED: Final[dict[AnsweredBy, str]] = {"base": "", "warm": " + warm start", "trained": " + adapter"}
"""What stands behind the model's name in prediction files."""


class Stages:
    """What one member of an experiment goes through in its run folder."""

    def __init__(
        self,
        member: Member,
        *,
        data_dir: Path | None,
        reporter: Reporter,
        siblings: Sequence[Member] = (),
        should_stop: ShouldStop | None = None,
        log_to: Sequence[str] = (),
    ) -> None:
        """Take what is to be run; nothing is done yet.

        Args:
            member: the recipe of one arm at one seed, and its folder.
            data_dir: where official data files lie.
            reporter: told of progress.
            siblings: members of the same experiment whose data and base predictions may be copied.
            should_stop: asked after every training step.
            log_to: trackers that are told of training steps and results.
        """
        # One process may be asked later than another; they stop together.
        self._should_stop = None if should_stop is None else lambda: any(parallel.gather([should_stop()]))
        self._recipe = member.recipe
        self._seed = member.seed
        self._folder = member.folder
        self._data_dir = data_dir
        self._reporter = reporter
        self._kept = Kept(member.folder)
        self._template = member.recipe.prompt.rendered()
        self._engine = RunEngine(member.folder, member.recipe, member.seed, self._template, reporter)
        mine = dump(member.recipe)
        self._trackers = Trackers(log_to if parallel.is_main() else (), member.folder, mine)
        self._twin = next(
            (s for s in siblings if all(dump(s.recipe)[part] == mine[part] for part in SHARED_BY_ARMS)), None
        )

    def go(self, only: Sequence[str] | None = None) -> None:
        """Do every stage of the recipe that is not done yet, or only some.

        Raises:
            RunError: another process is at work in the folder, or a stage lacks what an earlier one makes.
            DamagedError: a file that was finished here is not what was written.
            Stopped: ``should_stop`` said so.
        """
        stages: dict[str, Callable[[], None]] = {
            "data": self._data,
            "warm": self._warm,
            "base": self._base,
            "train": self._train,
            "trained": self._trained,
            "compare": self._compare,
            "report": self._report,
        }
        with self._folder.working() if parallel.is_main() else contextlib.nullcontext():
            try:
                self._kept.check()
                check_outside(self._folder, self._recipe)
                for name in self._recipe.stages if only is None else only:
                    self._stop_if_asked()
                    stages[name]()
                    parallel.barrier()
            finally:
                self._trackers.close()

    def _stop_if_asked(self) -> None:
        if self._should_stop is not None and self._should_stop():
            raise Stopped(f"{self._folder}: stopped; run the same command again to go on")

    # --------------------------------------------------------------------------------------------------- stages

    def _data(self) -> None:
        if self._folder.manifest.is_file():
            self._kept.found(*self._data_files())
            return
        if parallel.is_main():
            if self._twin is not None:
                shutil.copytree(self._twin.folder.data, self._folder.data, dirs_exist_ok=True)
                shutil.copy2(self._twin.folder.audit, self._folder.audit)
                notes = read_json(self._twin.folder.manifest)["data"]
            else:
                notes = self._make_data()
            if self._recipe.train.validate_every and not self._recipe.data.asks("calibration"):
                self._reporter.warn(
                    "no threshold for accepting answers will be chosen: checkpoints are chosen on the validation "
                    "answers (train.validate_every), and there are no others; give counts under data.calibration"
                )
            self._kept.check_again(*self._data_files())
            write_json(
                self._folder.manifest,
                {
                    **environment(),
                    "seed": self._seed,
                    "prompt": {"template": self._template.name, "sha256": self._template.sha256},
                    "outside": outside(self._recipe),
                    "data": notes,
                },
            )
            self._kept.made(*self._data_files())

    def _data_files(self) -> list[Path]:
        splits = [split for split in DRAWN if split in SPLITS or self._recipe.data.asks(split)]
        return [self._folder.manifest, self._folder.audit, *map(self._folder.examples, splits)]

    def _make_data(self) -> dict[str, Any]:
        check_asked(self._recipe.data, self._recipe.stages)
        splits = make_splits(
            self._recipe.data, data_dir=self._data_dir, progress=self._reporter.say, seen_before=self._seen_before()
        )
        for split, sources in splits.items():
            write_examples(self._folder.examples(split), [e for examples in sources.values() for e in examples])
        self._reporter.say("auditing the data for shortcuts")
        engine = self._engine.holding("base")
        meter = meter_of_recipe(self._recipe, engine.tokenizer, engine.max_length)
        audited = audit(
            dict(splits.items()),
            seed=self._recipe.data.seed,
            count_tokens=meter.count,
            max_length=meter.max_tokens,
            prompt=meter.notes(),
        )
        write_json(self._folder.audit, audited)
        shown, hidden = audited["warnings"][:WARNINGS_SHOWN], audited["warnings"][WARNINGS_SHOWN:]
        for warning in shown:
            self._reporter.warn(warning)
        if hidden:
            self._reporter.say(
                f"and {len(hidden)} more warnings of the audit, in the report and in {self._folder.audit.name}"
            )
        return splits.notes

    def _seen_before(self) -> frozenset[str]:
        if not isinstance(self._recipe.warm_start, ReadyWarmStart):
            return frozenset()
        adapter = find_adapter(self._recipe.warm_start)
        seen = seen_before(self._recipe, adapter)
        if seen is None:
            self._reporter.warn(
                f"{adapter}: no {TRAINED_ON} says what this adapter was trained on; it may have seen test examples"
            )
        return seen or frozenset()

    def _warm(self) -> None:
        config, warm = self._recipe.warm_start, self._folder.warm_start
        if config is None:
            return
        twin = self._twin.folder.warm_start.adapter if self._twin else None
        if isinstance(config, ReadyWarmStart):
            ready: Path | None = find_adapter(config)
        else:
            ready = twin if twin and (twin / TRAINED_ON).is_file() else None
        if ready is not None and not warm.adapter.is_dir() and parallel.is_main():
            copy_adapter(ready, warm.adapter)
        parallel.barrier()
        if isinstance(config, TrainedWarmStart) and not (warm.adapter / TRAINED_ON).is_file():
            self._train_warm_start(config)
        self._kept.check_again(*_training_files(warm))
        self._kept.found(*_training_files(warm))
        self._predict("warm")

    def _train_warm_start(self, config: TrainedWarmStart) -> None:
        warm = self._folder.warm_start
        examples = [example for group in self._examples("warm_start").values() for example in group]
        recipe = training_recipe(self._recipe, config)
        engine = self._engine.to_train("untaught")
        with self._reporter.bar("warm start", recipe.train.steps) as bar:
            train(
                recipe,
                engine,
                examples,
                warm.path,
                seed=recipe.data.seed,
                on_step=lambda done, row: self._show(bar, done - bar.done, row),
                should_stop=self._should_stop,
                made_with=made_with(),
                tell=self._reporter.warn,
            )
        if parallel.is_main():
            note_trained_on(warm.adapter, recipe, examples)

    def _base(self) -> None:
        self._predict("base")
        if self._recipe.warm_start is None and parallel.is_main():
            files = [self._folder.predictions("base", *place) for place in self._answered()]
            if (words := out_of_form([path for path in files if path.is_file()])) is not None:
                self._reporter.warn(words)

    def _answered(self) -> list[tuple[str, str]]:
        """Split and source of everything that models answer."""
        return [(split, source) for split in ANSWERED for source in self._recipe.data.counts(split)]

    def _train(self) -> None:
        self._trackers.log_steps(logged_rows(self._folder.path))
        if self._folder.is_trained:
            self._kept.found(*_training_files(self._folder))
            return
        trained_on = self._recipe.trained_on()
        train_set = self._examples("train")
        examples = [e for name, group in train_set.items() if name in trained_on for e in group]
        if not examples:
            raise DataError("no training examples; give counts under data.train, or leave out the stage train")
        if self._recipe.train.validate_every and not any(self._validation().values()):
            raise DataError(
                "no validation examples of what is trained on; ask for some, or set train.validate_every: 0"
            )
        if lying := lying_pays(self._recipe.reward, self._recipe.objective):
            self._reporter.warn(lying)
        start: Weights = "warm" if self._recipe.warm_start else "base"
        validation = self._validation()
        options: dict[str, Any] = {
            "should_stop": self._should_stop,
            "made_with": made_with(),
            "tell": self._reporter.warn,
        }
        taught = found_out(
            self._recipe,
            self._folder,
            self._seed,
            examples=examples,
            validation=[example for group in validation.values() for example in group],
            fresh=lambda: self._engine.to_train(start),
            reporter=self._reporter,
            show=self._show,
            **options,
        )
        engine = self._engine.to_train(start)
        with self._reporter.bar("train", self._recipe.train.steps) as bar:

            def on_step(done: int, row: dict[str, Any]) -> None:
                self._show(bar, done - bar.done, row)
                self._trackers.log_steps([row])

            train(
                self._recipe,
                engine,
                examples,
                self._folder.path,
                seed=self._seed,
                unlabelled=[e for name in self._recipe.unlabelled() for e in train_set[name]],
                taught=taught,
                on_step=on_step,
                validate=lambda engine: validation_score(engine, validation, self._recipe),
                **options,
            )
        self._kept.made(*_training_files(self._folder))
        self._engine.is_now("trained")

    def _show(self, bar: Bar, steps: int, row: dict[str, Any]) -> None:
        """Show that a training has taken steps, with the figures and warnings of the last."""
        bar.advance(steps, row)
        for warning in row.get("warnings", ()):
            self._reporter.warn(f"step {row['step']}: {warning}")

    def _validation(self) -> dict[str, list[Example]]:
        """Validation examples of the sources that are trained on; others must not choose between checkpoints."""
        trained_on = self._recipe.trained_on()
        return {name: group for name, group in self._examples("validation").items() if name in trained_on and group}

    def _trained(self) -> None:
        if not self._folder.adapter.is_dir():
            raise RunError(f"{self._folder}: no adapter to predict with; run the stage train first")
        self._predict("trained")

    def _predict(self, side: AnsweredBy) -> None:
        for split in ANSWERED:
            for source, examples in self._examples(split).items():
                path = self._folder.predictions(side, split, source)
                if path.is_file() or not examples:
                    if (part := part_of(path)).is_file():  # of a start that was killed between the two
                        part.unlink()
                    self._kept.found(path)
                    continue
                self._stop_if_asked()
                twin = self._twin and self._twin.folder.predictions(side, split, source)
                if side != "trained" and twin and twin.is_file():
                    if parallel.is_main():
                        with atomic_path(path) as temporary:
                            shutil.copyfile(twin, temporary)
                    self._kept.made(path)
                    continue
                engine = self._engine.holding(side)
                with self._reporter.bar(f"{MODELS[side]} on {source} ({split})", len(examples)) as bar:

                    def on_batch(count: int, bar: Bar = bar) -> None:
                        bar.advance(count)
                        self._stop_if_asked()

                    answer_into(
                        path,
                        engine,
                        examples,
                        self._template,
                        model=self._recipe.model.name + ADDED[side],
                        dataset=source,
                        split=split,
                        seed=self._seed,
                        adapter=self._adapter(side),
                        max_new_tokens=self._recipe.evaluation.max_new_tokens,
                        batch_size=self._recipe.evaluation.batch_size,
                        every_label=self._recipe.evaluation.every_label and side != "trained",
                        on_batch=on_batch,
                        say=self._reporter.say,
                    )
                if parallel.is_main():
                    self._kept.made(path)

    def _adapter(self, side: AnsweredBy) -> Path | None:
        """The adapter of the model that answers."""
        return {"base": None, "warm": self._folder.warm_start.adapter, "trained": self._folder.adapter}[side]

    def _compare(self) -> None:
        results = self._folder.results
        if not results.is_file() and parallel.is_main():
            self._reporter.say("comparing base and trained model")
            write_results(results, compare_run(self._folder.path))
        self._kept.found(results)
        if results.is_file():
            self._trackers.log_results(read_results(results))

    def _report(self) -> None:
        if not parallel.is_main():
            return
        if self._folder.is_read_only and self._folder.report.is_file():
            self._reporter.say(f"{self._folder.report} stays as it is: nothing can be written there")
            return
        report_run(self._folder.path)

    # --------------------------------------------------------------------------------------------------- helpers

    def _examples(self, split: str) -> dict[str, list[Example]]:
        groups: dict[str, list[Example]] = {source: [] for source in self._recipe.data.counts(split)}
        if not groups:  # a run of an earlier version has no file for a split that its recipe cannot ask for
            return {}
        for example in read_examples(self._folder.examples(split)):
            groups[example.dataset].append(example)
        return groups


def _training_files(folder: RunFolder) -> list[Path]:
    """What a training leaves for good in its folder."""
    return [folder.metrics, folder.rollouts, folder.selected, *sorted(folder.adapter.iterdir())]
