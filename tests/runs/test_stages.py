"""One run stage by stage: nothing is done twice, and what members share is made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from toy import save_toy_model, toy_recipe

from candor.comparison.results import read_results
from candor.data.examples import read_examples
from candor.errors import DamagedError, RunError, Stopped
from candor.files import read_json
from candor.predictions.file import read_predictions
from candor.progress import Reporter
from candor.report.tables import comparison_table
from candor.runs import stages
from candor.runs.grid import Member, claim_folder, members
from candor.runs.stages import Stages

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("model"))


def group(model: Path, out: Path, *overrides: str) -> list[Member]:
    """Members whose folders are claimed."""
    counts = ("data.validation={toy: 6}", "data.test={toy: 6}", "stages=[data, base]")
    found = members(toy_recipe(model, *counts, *overrides), out)
    for member in found:
        claim_folder(member)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many examples the model was asked about, call by call."""
    calls: list[int] = []
    ask = stages.answer_into

    def counted(out: Path, engine: Any, examples: Any, *rest: Any, **options: Any) -> Any:
        calls.append(len(examples))
        return ask(out, engine, examples, *rest, **options)

    monkeypatch.setattr(stages, "answer_into", counted)
    return calls


def test_arms_with_the_same_data_share_it_and_the_base_models_answers(
    model: Path, tmp_path: Path, asked: list[int]
) -> None:
    first, second = group(model, tmp_path, "arms={a: {train: {steps: 1}}, b: {train: {steps: 2}}}")
    Stages(first, data_dir=None, reporter=QUIET).go()
    Stages(second, data_dir=None, reporter=QUIET, siblings=[first]).go()
    assert asked == [6, 6]  # validation and test, once for both
    for place in ("audit", "engine"):
        assert getattr(first.folder, place).is_file()
    for split in ("validation", "test"):
        ours, theirs = (member.folder.predictions("base", split, "toy") for member in (first, second))
        assert ours.read_bytes() == theirs.read_bytes()
        assert first.folder.examples(split).read_bytes() == second.folder.examples(split).read_bytes()
    assert read_json(second.folder.manifest)["data"] == read_json(first.folder.manifest)["data"]


def test_an_arm_with_data_of_its_own_makes_it(model: Path, tmp_path: Path, asked: list[int]) -> None:
    first, second = group(model, tmp_path, "arms={a: {}, b: {data: {test: {toy: 5}}}}")
    Stages(first, data_dir=None, reporter=QUIET).go()
    Stages(second, data_dir=None, reporter=QUIET, siblings=[first]).go()
    assert asked == [6, 6, 6, 5]


def test_what_is_done_is_not_done_again_and_what_is_missing_is(model: Path, tmp_path: Path, asked: list[int]) -> None:
    (member,) = group(model, tmp_path / "run")
    Stages(member, data_dir=None, reporter=QUIET).go(["data"])
    assert asked == []
    Stages(member, data_dir=None, reporter=QUIET).go()
    answers = member.folder.predictions("base", "test", "toy")
    before = answers.read_bytes()
    answers.unlink()
    Stages(member, data_dir=None, reporter=QUIET).go()
    assert asked == [6, 6, 6]
    assert answers.read_bytes() == before


def test_a_stage_that_lacks_the_adapter_says_which_makes_it(model: Path, tmp_path: Path) -> None:
    (member,) = group(model, tmp_path / "run")
    Stages(member, data_dir=None, reporter=QUIET).go(["data"])
    with pytest.raises(RunError, match="no adapter to predict with; run the stage train first"):
        Stages(member, data_dir=None, reporter=QUIET).go(["trained"])
    with member.folder.working(), pytest.raises(RunError, match="another process"):
        Stages(member, data_dir=None, reporter=QUIET).go()


def test_a_calibration_split_is_made_and_answered_once(model: Path, tmp_path: Path, asked: list[int]) -> None:
    (member,) = group(model, tmp_path, "data.calibration={toy: 5}")
    Stages(member, data_dir=None, reporter=QUIET).go()
    assert asked == [6, 6, 5]
    calibration = {e.group for e in read_examples(member.folder.examples("calibration"))}
    others = {
        e.group for split in ("train", "validation", "test") for e in read_examples(member.folder.examples(split))
    }
    assert len(calibration) >= 1
    assert not calibration & others
    Stages(member, data_dir=None, reporter=QUIET).go()
    assert asked == [6, 6, 5]


def test_a_run_begun_before_there_was_a_calibration_split_goes_on(model: Path, tmp_path: Path) -> None:
    (member,) = group(model, tmp_path)
    Stages(member, data_dir=None, reporter=QUIET).go(["data"])
    member.folder.examples("calibration").unlink()
    (member.folder.path / "sha256.json").unlink()  # which was not noted then either
    Stages(member, data_dir=None, reporter=QUIET).go()
    assert member.folder.predictions("base", "test", "toy").is_file()


@pytest.mark.parametrize(("calibration", "warned"), [("{}", True), ("{toy: 5}", False)])
def test_a_run_that_will_have_no_threshold_says_so_at_once(
    calibration: str, warned: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Reporter, "warn", lambda self, words: said.append(words))
    (member,) = group(model, tmp_path, "train.validate_every=2", f"data.calibration={calibration}")
    Stages(member, data_dir=None, reporter=QUIET).go(["data"])
    assert any("give counts under data.calibration" in words for words in said) == warned


@pytest.mark.parametrize(
    ("reward", "credit", "warned"),
    [
        ("{preset: rlcr, calibration: 4}", "whole", True),
        ("{preset: rlcr}", "whole", False),
        ("{preset: rlcr, calibration: 4}", "split", False),
    ],
)
def test_a_reward_under_which_being_wrong_on_purpose_pays_is_told(
    reward: str, credit: str, warned: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Reporter, "warn", lambda self, words: said.append(words))
    objective = f"objective={{preset: candor, credit: {credit}}}"
    (member,) = group(model, tmp_path, f"reward={reward}", objective, "stages=[data, train]", "train.steps=1")
    Stages(member, data_dir=None, reporter=QUIET).go()
    assert any("a wrong label with confidence 0 earns more" in words for words in said) == warned


# -------------------------------------------------------------------------------------------------- the warm start

WARM = (
    "data.warm_start={toy: 9}",
    "warm_start={train: {steps: 3, prompts_per_step: 3, checkpoint_every: 1, optimiser: {learning_rate: 0.02}}}",
    "stages=[data, warm, base, train, trained, compare]",
    "train.steps=2",
    "train.kl_every=1",
    "evaluation.resamples=2000",
    "engine.path=tree",
    "objective.ends=4",
)


def weights(adapter: Path) -> bytes:
    return (adapter / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def warmed(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    """Two arms, run one behind the other."""
    out = tmp_path_factory.mktemp("warmed")
    arms = "arms={a: {}, sft: {objective: {preset: sft, taught_confidence: cross_fitted, folds: 2}}}"
    found = group(model, out, *WARM, arms)
    for index, member in enumerate(found):
        Stages(member, data_dir=None, reporter=QUIET, siblings=found[:index]).go()
    return found


def test_every_arm_goes_on_from_one_warm_start_on_examples_of_its_own(warmed: list[Member]) -> None:
    first, second = warmed
    assert weights(first.folder.warm_start.adapter) == weights(second.folder.warm_start.adapter)
    assert not second.folder.warm_start.metrics.exists()  # it was made once
    claims = {
        split: {(e.claim, e.group) for e in read_examples(first.folder.examples(split))}
        for split in ("train", "validation", "test", "warm_start")
    }
    assert len(read_examples(first.folder.examples("warm_start"))) == 9
    for split in ("train", "validation", "test"):
        assert not claims[split] & claims["warm_start"]
    row = json.loads(first.folder.metrics.read_text().splitlines()[0])
    assert row["kl"] == pytest.approx(0.0, abs=1e-6)  # from the warm start, which is not the base model
    assert weights(first.folder.adapter) != weights(first.folder.warm_start.adapter)


def test_base_model_warm_start_and_trained_model_each_answer_and_the_warm_start_is_what_findings_stand_on(
    warmed: list[Member],
) -> None:
    for member in warmed:
        answers = {
            side: member.folder.predictions(side, "test", "toy").read_text() for side in ("base", "warm", "trained")
        }
        assert len(set(answers.values())) == 3
        results = read_results(member.folder.results)
        assert results["run"]["before"] == "warm start"
        (comparison,) = results["comparisons"]
        assert "warm start" in comparison["base"]["model"]
        raw = [row for row in answers["base"].splitlines()[1:] if json.loads(row)["label"] is None]
        untaught = comparison["metrics"]["untaught"]["invalid_rate"]
        assert untaught["value"] == len(raw) / untaught["n"]
        table = comparison_table(results["comparisons"])
        assert table.columns[:4] == ("Metric", "Base", "Warm start", "Trained")
        assert "trained minus warm start" in table.caption


def test_cross_fitted_probabilities_are_made_once_for_every_training_example(warmed: list[Member]) -> None:
    folds = sorted(warmed[1].folder.cross_fitting.glob("fold-*/label_probs.jsonl"))
    assert len(folds) == 2
    rows = [json.loads(line) for path in folds for line in path.read_text().splitlines()]
    train = read_examples(warmed[1].folder.examples("train"))
    assert sorted(row["id"] for row in rows) == sorted(example.id for example in train)
    assert all(0 < row["probability"] < 1 for row in rows)


@pytest.mark.parametrize("stop", [2, 3])  # asked before both stages, and then behind each step but the last
def test_a_warm_start_that_was_stopped_goes_on_as_if_nothing_had_been(
    model: Path, tmp_path: Path, warmed: list[Member], stop: int
) -> None:
    (member,) = group(model, tmp_path / "run", *WARM)
    asked = iter(range(100))
    with pytest.raises(Stopped):
        Stages(member, data_dir=None, reporter=QUIET, should_stop=lambda: next(asked) == stop).go(["data", "warm"])
    assert not member.folder.warm_start.adapter.exists()
    Stages(member, data_dir=None, reporter=QUIET).go(["warm"])
    assert weights(member.folder.warm_start.adapter) == weights(warmed[0].folder.warm_start.adapter)


def _nth(asked: Iterator[int], stop: int) -> bool:
    return next(asked) == stop


def test_answers_that_were_stopped_go_on_behind_their_last_batch(
    model: Path, tmp_path: Path, warmed: list[Member]
) -> None:
    (member,) = group(model, tmp_path / "run", *WARM, "evaluation.batch_size=2")
    Stages(member, data_dir=None, reporter=QUIET).go(["data", "warm"])
    stops = 0
    for stop in range(1, 100):
        asked = iter(range(100))
        try:
            Stages(member, data_dir=None, reporter=QUIET, should_stop=partial(_nth, asked, stop)).go(["base"])
        except Stopped:
            stops += 1
            kept = list(member.folder.predictions("base", "test", "toy").parent.glob("*.part"))
            assert len(kept) <= 1
        else:
            break
    assert stops > 3
    for split in ("validation", "test"):
        ours, theirs = (folder.predictions("base", split, "toy") for folder in (member.folder, warmed[0].folder))
        assert [a.raw for a in read_predictions(ours).predictions] == [
            a.raw for a in read_predictions(theirs).predictions
        ]


def test_a_ready_adapter_is_taken_and_what_it_was_trained_on_is_kept_away_from(
    model: Path, tmp_path: Path, warmed: list[Member]
) -> None:
    adapter = warmed[0].folder.warm_start.adapter
    ready = ("stages=[data, warm, base]", f"warm_start={{adapter: {adapter}}}", "model.lora.rank=8")
    (member,) = group(model, tmp_path / "run", *ready)
    Stages(member, data_dir=None, reporter=QUIET).go()
    assert weights(member.folder.warm_start.adapter) == weights(adapter)
    seen = {(e.claim, e.group) for e in read_examples(warmed[0].folder.examples("warm_start"))}
    for split in ("train", "validation", "test"):
        assert not seen & {(e.claim, e.group) for e in read_examples(member.folder.examples(split))}
    ours = member.folder.predictions("warm", "test", "toy").read_text()
    assert ours != member.folder.predictions("base", "test", "toy").read_text()


@pytest.mark.parametrize("name", ["warm_start/adapter/trained_on.json", "warm_start/adapter/adapter_model.safetensors"])
def test_a_warm_start_is_what_it_was_or_the_run_is_not_gone_on_with(model: Path, tmp_path: Path, name: str) -> None:
    (member,) = group(model, tmp_path / "run", *WARM)
    Stages(member, data_dir=None, reporter=QUIET).go(["data", "warm"])
    path = member.folder.path / name
    whole = path.read_bytes()
    path.write_bytes(whole + b" ")
    with pytest.raises(DamagedError, match=f"{path.name} is not what was written"):
        Stages(member, data_dir=None, reporter=QUIET).go(["base"])
    path.unlink()
    with pytest.raises(DamagedError, match=f"{path.name} is gone"):
        Stages(member, data_dir=None, reporter=QUIET).go(["warm"])
    path.write_bytes(whole)
    Stages(member, data_dir=None, reporter=QUIET).go(["warm"])


def test_a_ready_adapter_that_came_to_harm_is_refused_before_it_is_copied(
    model: Path, tmp_path: Path, warmed: list[Member]
) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(warmed[0].folder.warm_start.adapter, adapter)
    (member,) = group(model, tmp_path / "run", "stages=[data, warm]", f"warm_start={{adapter: {adapter}}}")
    data = (adapter / "adapter_model.safetensors").read_bytes()
    (adapter / "adapter_model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedError, match=r"adapter_model\.safetensors is not what was written"):
        Stages(member, data_dir=None, reporter=QUIET).go()
    assert not member.folder.warm_start.adapter.exists()


def test_training_without_its_warm_start_says_which_stage_makes_it(model: Path, tmp_path: Path) -> None:
    (member,) = group(model, tmp_path / "run", *WARM)
    with pytest.raises(RunError, match="no warm start to go on from; run the stage warm first"):
        Stages(member, data_dir=None, reporter=QUIET).go(["data", "train"])
