"""The abstention threshold: on which answers it is chosen, and that one threshold is judged on every dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_view import make_view
from scipy import stats

from candor.comparison.compare import compare_files
from candor.comparison.run import compare_run
from candor.comparison.threshold import (
    CHECKPOINT_CHOSEN,
    ThresholdSources,
    load_threshold_answers,
    threshold_side,
    threshold_sources,
)
from candor.errors import PredictionError, RunError
from candor.files import write_json, write_text
from candor.metrics.check_results import check_results
from candor.metrics.threshold import choose_threshold, risk_bound
from candor.metrics.views import View
from candor.predictions.file import Header, write_predictions
from candor.recipe.recipe import Recipe, recipe_from, to_yaml
from candor.run_folder import SIDES, RunFolder, SideName
from candor.types import LABELS, Label, Prediction, Validity
from candor.verifier.abstention import choose_abstention

SOURCES = ("wiki", "climate", "revision")


def recipe(*overrides: str, **data: Mapping[str, int]) -> Recipe:
    values: dict[str, Any] = {
        "name": "mine",
        "model": {"name": "sandbox"},
        "data": {"sources": {name: {"kind": "sandbox"} for name in SOURCES}, "train": {"wiki": 8}, **data},
        "evaluation": {"resamples": 2000},
    }
    return recipe_from(values, overrides)


def answers(*levels: tuple[float, int, int], start: int = 0) -> list[Prediction]:
    """So many right and wrong answers at each confidence, each of a group of its own."""
    made = []
    for confidence, right, wrong in levels:
        for number in range(right + wrong):
            index = start + len(made)
            gold = LABELS[index % 3]
            label = gold if number < right else LABELS[(index + 1) % 3]
            row = Prediction(
                str(index), "d", f"g{index}", f"C{index}", ("E",), gold, "", label, confidence, Validity.CLEAN
            )
            made.append(row)
    return made


def write(run: RunFolder, side: SideName, split: str, source: str, rows: list[Prediction]) -> Path:
    path = run.predictions(side, split, source)
    write_predictions(path, Header("m", "verdict", "ab" * 32, source, split, 0), rows)
    return path


@pytest.fixture
def finished(tmp_path: Path) -> Callable[[Recipe], RunFolder]:
    """Makes a run that was trained on wiki; it errs more on climate, where its confidence is the same."""

    def make(made: Recipe) -> RunFolder:
        run = RunFolder(tmp_path)
        write_text(run.recipe, to_yaml(made))
        write_json(run.manifest, {"candor": "1.0", "git_commit": "abc"})
        for side in SIDES:
            for split in ("validation", "calibration"):
                if "wiki" in made.data.counts(split):
                    first = 1000 if split == "validation" else 2000
                    write(run, side, split, "wiki", answers((0.9, 97, 3), (0.6, 30, 30), start=first))
            for source in made.data.test:
                wrong = 4 if source == "wiki" else 30
                write(run, side, "test", source, answers((0.9, 100 - wrong, wrong), (0.6, 20, 20)))
        return run

    return make


TESTED = {"wiki": 1, "climate": 1}


def test_the_threshold_that_is_deployed_is_the_one_that_is_judged_on_every_dataset(
    finished: Callable[[Recipe], RunFolder],
) -> None:
    made = recipe(calibration={"wiki": 160}, test=TESTED)
    run = finished(made)
    results: Any = compare_run(run.path)
    check_results(results)
    rule = choose_abstention(run.path, made)
    assert rule is not None
    assert (rule.choice.threshold, rule.split, rule.sources) == (0.9, "calibration", ("wiki",))
    wiki, climate = (one["threshold"] for one in results["comparisons"])
    for found in (wiki, climate):
        assert (found["sources"], found["split"]) == (["wiki"], "calibration")
        assert found["trained"]["threshold"] == rule.choice.threshold
        assert found["trained"]["bound"] == rule.choice.bound
    assert wiki["trained"]["risk"]["value"] == pytest.approx(0.04)
    assert climate["trained"]["risk"]["value"] == pytest.approx(0.3)
    assert wiki["notes"] == []
    assert climate["notes"][0] == "The threshold is for claims like those of wiki; on climate it promises nothing."
    assert climate["notes"][2].startswith("trained: 30.0 % of the accepted answers are wrong on climate")
    assert climate["notes"][2].endswith("asked for: at most 10 %.")


def test_where_validation_chose_the_checkpoint_it_does_not_choose_the_threshold(
    finished: Callable[[Recipe], RunFolder],
) -> None:
    made = recipe("train.validate_every=2", validation={"wiki": 160}, test=TESTED)
    run = finished(made)
    results: Any = compare_run(run.path)
    rule = choose_abstention(run.path, made)
    assert rule is not None
    assert (rule.choice.threshold, rule.choice.reason) == (None, CHECKPOINT_CHOSEN)
    assert not rule.accepts(1.0, 1.0)
    assert rule.promise.startswith("No answer is accepted: the checkpoint was chosen on these validation answers")
    for one in results["comparisons"]:
        assert (one["threshold"]["trained"]["threshold"], one["threshold"]["trained"]["reason"]) == (
            None,
            CHECKPOINT_CHOSEN,
        )
        assert any(
            note.startswith("trained: no threshold, because the checkpoint") for note in one["threshold"]["notes"]
        )
        # No checkpoint of the base model was chosen.
        assert one["threshold"]["base"]["threshold"] == 0.9


def test_a_calibration_split_makes_up_for_it(finished: Callable[[Recipe], RunFolder]) -> None:
    made = recipe("train.validate_every=2", validation={"wiki": 160}, calibration={"wiki": 160}, test=TESTED)
    rule = choose_abstention(finished(made).path, made)
    assert rule is not None
    assert (rule.choice.threshold, rule.split) == (0.9, "calibration")


def test_validation_answers_do_where_no_checkpoint_was_chosen(finished: Callable[[Recipe], RunFolder]) -> None:
    made = recipe(validation={"wiki": 160}, test=TESTED)
    run = finished(made)
    rule = choose_abstention(run.path, made)
    assert rule is not None
    assert (rule.choice.threshold, rule.split) == (0.9, "validation")
    results: Any = compare_run(run.path)
    for one in results["comparisons"]:
        assert one["threshold"]["trained"]["threshold"] == 0.9
        assert any("holds only if no checkpoint or setting was chosen" in note for note in one["threshold"]["notes"])


def test_which_answers_a_run_chooses_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for split in ("validation", "calibration"):
        for source in SOURCES:
            write(run, "trained", split, source, answers((0.9, 4, 0)))
    every = dict.fromkeys(SOURCES, 4)
    both = recipe(validation=every, calibration={"climate": 4, "wiki": 4})
    assert threshold_sources(run, both) == ThresholdSources("calibration", ("climate", "wiki"), None)
    assert threshold_sources(run, both, ["climate"]) == ThresholdSources("calibration", ("climate",), None)
    with pytest.raises(RunError, match="no calibration answers of 'revision'; there are: climate, wiki"):
        threshold_sources(run, both, ["revision"])
    one = recipe(validation=every, calibration={"wiki": 0})
    assert threshold_sources(run, one) == ThresholdSources("validation", ("wiki",), None)
    # Checkpoints are chosen on the validation examples of what is trained on, and on no others.
    chosen = recipe("train.validate_every=2", validation=every)
    assert threshold_sources(run, chosen) == ThresholdSources("validation", ("wiki",), CHECKPOINT_CHOSEN)
    assert threshold_sources(run, chosen, ["climate"]) == ThresholdSources("validation", ("climate",), None)
    assert threshold_sources(RunFolder(tmp_path / "none"), both) is None


def test_sources_are_taken_together(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    files = []
    for source, level in (("wiki", 0.9), ("climate", 0.7)):
        pair = [write(run, side, "calibration", source, answers((level, 60, 1), start=500)) for side in SIDES]
        files.append((pair[0], pair[1]))
    tested = [write(run, side, "test", "wiki", answers((0.8, 20, 0))) for side in SIDES]
    pooled = load_threshold_answers(files)
    assert (pooled.sources, pooled.split) == (["wiki", "climate"], "calibration")
    # Ids and groups are the same in both files here: the answers are 122, of 61 groups.
    assert pooled.pooled().trained.gold_N.size == 122
    results: Any = compare_files(tested[0], tested[1], threshold_answers=pooled, risk=0.2, resamples=2_000)
    found = results["threshold"]
    assert found["trained"]["validation_n"] == 61
    assert found["trained"]["threshold"] == 0.7
    assert found["notes"] == ["The threshold's risk holds for wiki, climate taken together, not for each of them."]


def test_labels_in_other_shares_are_told(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    tested = [write(run, side, "test", "wiki", answers((0.8, 30, 0))) for side in SIDES]
    few_na = [row for row in answers((0.8, 90, 0), start=500) if row.gold is not Label.NA or int(row.id) % 2]
    chosen = [write(run, side, "calibration", "wiki", few_na) for side in SIDES]
    found = compare_files(
        tested[0], tested[1], threshold_answers=load_threshold_answers([(chosen[0], chosen[1])]), resamples=2000
    )["threshold"]
    assert found is not None
    assert found["notes"] == [
        "20 % of the wiki claims that the threshold was chosen on are NA, and 33 % of these: "
        "its risk holds for the former."
    ]


def test_what_is_judged_is_not_chosen_on(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    tested = [write(run, side, "test", "wiki", answers((0.8, 20, 0))) for side in SIDES]
    same = load_threshold_answers([(tested[0], tested[1])])
    with pytest.raises(
        PredictionError, match=r"20 of its ids are in .* what is chosen on some examples must be judged"
    ):
        compare_files(tested[0], tested[1], threshold_answers=same, resamples=2_000)
    # Ids are unique within a dataset alone.
    other = [write(run, side, "calibration", "climate", answers((0.8, 40, 0))) for side in SIDES]
    results = compare_files(
        tested[0], tested[1], threshold_answers=load_threshold_answers([(other[0], other[1])]), resamples=2_000
    )
    assert results["threshold"] is not None
    rows = [replace(row, id=f"c{row.id}") for row in answers((0.8, 40, 0))]
    path = run.predictions("trained", "calibration", "wiki")
    write_predictions(path, Header("m", "other", "cd" * 32, "wiki", "calibration", 0), rows)
    with pytest.raises(PredictionError, match="was made with another prompt"):
        compare_files(tested[0], tested[1], threshold_answers=load_threshold_answers([(path, path)]), resamples=2_000)


def test_bound_against_scipy() -> None:
    for errors, accepted in ((0, 10), (3, 40), (7, 8)):
        interval = stats.binomtest(errors, accepted, alternative="less").proportion_ci(0.95, "exact")
        assert risk_bound(errors, accepted, 0.95) == pytest.approx(interval.high, rel=0, abs=1e-12)
    assert risk_bound(5, 5, 0.95) == 1.0


def test_threshold_is_the_lowest_before_the_first_failure() -> None:
    """100 right answers at .9, 100 at .8 with one error, 100 at .7 of which half are wrong."""
    confidence = np.repeat([0.9, 0.8, 0.7], 100)
    right = np.concatenate([np.ones(100), np.arange(100) > 0, np.arange(100) >= 50])
    view = View(np.zeros(300, int), np.where(right, 0, 1), confidence, np.arange(300))
    choice = choose_threshold(view, risk=0.05, confidence=0.95)
    assert (choice.threshold, choice.accepted, choice.errors) == (0.8, 200, 1)
    assert choice.bound == pytest.approx(risk_bound(1, 200, 0.95))
    side = threshold_side(view, choice)
    assert side["coverage"]["value"] == pytest.approx(2 / 3)
    assert side["risk"]["value"] == pytest.approx(1 / 200)


def test_few_sure_answers_do_not_stop_the_search() -> None:
    """Five answers at the top can show nothing; the next hundred can."""
    view = View(np.zeros(105, int), np.zeros(105, int), np.repeat([1.0, 0.9], [5, 100]), np.arange(105))
    assert choose_threshold(view, risk=0.05, confidence=0.95).threshold == 0.9


def test_no_threshold_gives_a_reason() -> None:
    assert "at least 59" in str(choose_threshold(make_view(1, rows=30), risk=0.05, confidence=0.95).reason)
    bad = choose_threshold(make_view(1, rows=300, skill=0.1), risk=0.05, confidence=0.95)
    assert bad.threshold is None
    assert bad.reason is not None
    side = threshold_side(make_view(1), bad)
    assert side["coverage"]["value"] is None


def test_guarantee_holds_over_draws() -> None:
    """Risk above the limit in at most 5 % of the draws, up to noise: 400 draws, true risk known by confidence."""
    levels = np.linspace(0.6, 0.99, 10)
    broken = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        confidence = draw.choice(levels, 300)
        right = draw.random(300) < confidence
        view = View(np.zeros(300, int), np.where(right, 0, 1), confidence, np.arange(300))
        threshold = choose_threshold(view, risk=0.10, confidence=0.95).threshold
        if threshold is not None:
            broken += 1 - levels[levels >= threshold - 1e-12].mean() > 0.10
    assert broken <= 32
