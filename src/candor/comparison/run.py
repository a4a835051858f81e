"""From a run folder's prediction files to its results: one comparison per dataset, and the findings."""

from __future__ import annotations

from pathlib import Path

from candor.comparison.compare import compare_files
from candor.comparison.pairing import load_side
from candor.comparison.results import run_results
from candor.comparison.threshold import ThresholdAnswers, load_threshold_answers, threshold_sources
from candor.errors import PredictionError
from candor.files import read_json
from candor.metrics import schema
from candor.metrics.paired import view_metrics
from candor.metrics.views import stated_view
from candor.recipe.recipe import Recipe, load_run_recipe
from candor.run_folder import AnsweredBy, RunFolder


def compare_run(folder: Path) -> schema.RunResults:
    """Compare base and trained model on every test set of a run.

    Raises:
        PredictionError: a prediction file is missing.
    """
    run = RunFolder(folder)
    recipe = load_run_recipe(run.recipe)
    threshold = _threshold_answers(run, recipe)
    comparisons = [
        _compare(run, recipe, source, threshold)
        for source in recipe.data.counts("test")
        if run.predictions(side_before(recipe), "test", source).is_file()
    ]
    if not comparisons:
        raise PredictionError(f"{folder}: no test sets to compare on; give counts under data.test")
    manifest = read_json(run.manifest)
    return run_results(
        {
            "name": recipe.name,
            "description": recipe.description,
            "seed": recipe.seeds[0],
            "trained_on": recipe.trained_on(),
            "unlabelled": recipe.unlabelled(),
            "model": recipe.model.name,
            "template": recipe.prompt.words().name,
            "reward": recipe.reward.preset,
            "objective": recipe.objective.preset,
            "before": "warm start" if recipe.warm_start else "base model",
            "steps": recipe.train.steps,
            "candor": manifest["candor"],
            "git_commit": manifest["git_commit"],
        },
        comparisons,
        audit=_against(run, recipe),
    )


def side_before(recipe: Recipe) -> AnsweredBy:
    """Whose answers the trained model's are compared with: the warm start's where training went on from one.

    A base model that does not answer in the form says nothing of what training did.
    """
    return "warm" if recipe.warm_start else "base"


def _against(run: RunFolder, recipe: Recipe) -> dict[str, list[str]]:
    """What speaks against findings on each dataset: the audit's warnings, and prompts of it that training has read."""
    warnings = read_json(run.audit)["warnings"] if run.audit.is_file() else []
    read = [
        f"{source}: training has read prompts of its training split, without labels." for source in recipe.unlabelled()
    ]
    tested = recipe.data.counts("test")
    return {source: [words for words in [*read, *warnings] if words.startswith(f"{source}:")] for source in tested}


def _threshold_answers(run: RunFolder, recipe: Recipe) -> ThresholdAnswers | None:
    """The answers that the run's threshold is chosen on: one threshold, the verifier's, for every test set."""
    used = threshold_sources(run, recipe)
    if used is None:
        return None
    before = side_before(recipe)
    files = [
        (run.predictions(before, used.split, name), run.predictions("trained", used.split, name)) for name in used.names
    ]
    return load_threshold_answers(files, split=used.split, refused=used.refused)


def _compare(run: RunFolder, recipe: Recipe, source: str, threshold: ThresholdAnswers | None) -> schema.Comparison:
    before = side_before(recipe)
    validation = (
        run.predictions(before, "validation", source),
        run.predictions("trained", "validation", source),
    )
    found = compare_files(
        run.predictions(before, "test", source),
        run.predictions("trained", "test", source),
        validation=validation if all(path.is_file() for path in validation) else None,
        threshold_answers=threshold,
        dataset=source,
        role="in_domain" if source in recipe.trained_on() else "out_of_domain",
        risk=recipe.evaluation.threshold_risk,
        risk_confidence=recipe.evaluation.threshold_confidence,
        resamples=recipe.evaluation.resamples,
        seed=recipe.seeds[0],
        class_shares=recipe.evaluation.class_shares,
        own=recipe.evaluation.metrics,
    )
    raw = run.predictions("base", "test", source)
    if before == "warm" and raw.is_file():
        view = stated_view(load_side(raw, "base").predictions)
        figures = view_metrics(view, resamples=recipe.evaluation.resamples, seed=recipe.seeds[0])
        found["metrics"]["untaught"] = {name: metric.as_json() for name, metric in figures.items()}
    return found
