"""Greedy predictions and the score on validation."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from toy import EXAMPLES, TEMPLATE, example, save_toy_model, toy_engine, toy_recipe

from candor.engines.base import Engine
from candor.errors import DamagedError, DataError, ModelError, RunError
from candor.files import part_of, read_json, write_json
from candor.predictions.file import read_predictions
from candor.predictions.local import of_run, predict, predict_file
from candor.predictions.validation import validation_score
from candor.progress import Bar, Reporter
from candor.prompts.chat import FIXED_DATE
from candor.run_folder import RunFolder
from candor.shards import Shard, join
from candor.types import Label, Prediction, Validity


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return toy_engine(save_toy_model(tmp_path_factory.mktemp("model")), trained=False)


def test_predictions_follow_the_examples(engine: Engine) -> None:
    seen: list[int] = []
    found = predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=10, batch_size=4, on_batch=seen.append)
    assert seen == [4, 4, 2]
    for made, asked in zip(found, EXAMPLES, strict=True):
        assert (made.id, made.dataset, made.group, made.claim, made.evidence, made.gold) == (
            asked.id,
            asked.dataset,
            asked.group,
            asked.claim,
            asked.evidence,
            asked.label,
        )
        assert made.label_probs is not None
        assert sum(made.label_probs) == pytest.approx(1.0)
    assert any(made.validity is Validity.CLEAN for made in found)


def in_blocks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Prediction]:
    monkeypatch.setattr("candor.predictions.local.SORTED", 4)
    return predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=10, batch_size=3)


def test_neither_batches_nor_order_matter(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    one = predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=10, batch_size=64)
    for other in (
        predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=10, batch_size=1),
        predict(engine, EXAMPLES[::-1], TEMPLATE, max_new_tokens=10, batch_size=3)[::-1],
        in_blocks(engine, monkeypatch),
    ):
        for a, b in zip(one, other, strict=True):
            assert dataclasses.replace(a, label_probs=None) == dataclasses.replace(b, label_probs=None)
            assert a.label_probs == pytest.approx(b.label_probs, abs=1e-5)


def test_a_file_is_answered_in_the_chat_that_is_asked_for_which_it_notes(tmp_path: Path) -> None:
    model = save_toy_model(tmp_path / "model")
    shown = "{% for m in messages %}{{ m['content'] }}{% endfor %}{{ strftime_now('%Y') }}\n"
    (model / "chat_template.jinja").write_text(shown)
    data = tmp_path / "claims.jsonl"
    data.write_text('{"claim": "x = 1", "evidence": ["x is 1"], "label": "PASS"}\n')
    headers = []
    for index, chat in enumerate([None, {"date": "2025-01-02"}, {"system": "ab "}, {"chat_template": "none"}]):
        out = tmp_path / f"{index}.jsonl"
        options = {"model": str(model), "adapter": None, "template": "sandbox", "batch_size": 4, "device": "cpu"}
        predict_file(data, out, **options, max_new_tokens=8, chat=chat, reporter=Reporter(quiet=True))
        headers.append(read_predictions(out).header)
    assert [header.chat and header.chat["date"] for header in headers] == [None, "2025-01-02", FIXED_DATE, FIXED_DATE]
    assert len({header.template_sha256 for header in headers}) == 4
    assert len({header.rendered_sha256 for header in headers}) == 4


def test_a_stopped_file_goes_on_where_it_was(tmp_path: Path) -> None:
    """Whatever batch it was stopped behind, and if the last was left torn: the same bytes as in one go."""
    model = save_toy_model(tmp_path / "model")
    data = tmp_path / "claims.jsonl"
    data.write_text("".join(f'{{"claim": "x = {i}", "evidence": ["x is {i}"], "label": "PASS"}}\n' for i in range(7)))
    options: dict[str, Any] = {"model": str(model), "adapter": None, "template": "sandbox", "batch_size": 2}
    options |= {"device": "cpu", "max_new_tokens": 8}

    class Stops(Reporter):
        """Ends the process, as Ctrl-C does, behind so many batches."""

        def __init__(self, batches: int) -> None:
            super().__init__(quiet=True)
            self.left = batches
            self.said: list[str] = []

        def say(self, message: str) -> None:
            self.said.append(message)

        @contextlib.contextmanager
        def bar(self, words: str, total: int, *, done: int = 0) -> Iterator[Bar]:
            with super().bar(words, total, done=done) as bar:
                advance = bar.advance

                def counted(count: int = 1, row: Mapping[str, Any] | None = None) -> None:
                    advance(count, row)
                    self.left -= 1
                    if self.left == 0:
                        raise KeyboardInterrupt

                bar.advance = counted  # type: ignore[method-assign]
                yield bar

    whole = tmp_path / "whole.jsonl"
    predict_file(data, whole, **options, reporter=Reporter(quiet=True))
    for stop in (1, 2, 3):
        out = tmp_path / f"{stop}.jsonl"
        with pytest.raises(KeyboardInterrupt):
            predict_file(data, out, **options, reporter=Stops(stop))
        part = part_of(out)
        assert not out.exists()
        assert len(part.read_text().splitlines()) == 1 + 2 * stop
        if stop == 2:
            part.write_bytes(part.read_bytes()[:-9])
        with pytest.raises(DataError, match="differs in max_new_tokens"):
            predict_file(data, out, **options | {"max_new_tokens": 9}, reporter=Reporter(quiet=True))
        changed = sorted(Path(options["model"]).iterdir())[0]
        before = changed.stat()
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        with pytest.raises(DataError, match="differs in files_sha256"):
            predict_file(data, out, **options, reporter=Reporter(quiet=True))
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
        again = Stops(0)
        assert predict_file(data, out, **options, reporter=again) == 7
        assert again.said[-1] == f"going on with {7 - 2 * stop + (stop == 2)} of 7 claims"
        assert out.read_bytes() == whole.read_bytes()
        assert not part.exists()
    with pytest.raises(DataError, match="is there already"):
        predict_file(data, whole, **options, reporter=Reporter(quiet=True))


def test_an_answer_that_did_not_end_is_not_clean(engine: Engine) -> None:
    full = predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=7, batch_size=64)
    cut = predict(engine, EXAMPLES, TEMPLATE, max_new_tokens=6, batch_size=64)
    clean = [i for i, made in enumerate(full) if made.validity is Validity.CLEAN]
    assert clean
    for i in clean:
        assert cut[i].raw == full[i].raw
        assert cut[i].validity is Validity.READABLE


def test_evidence_that_did_not_fit_is_counted(engine: Engine) -> None:
    long = example(1, evidence=("short", "x" * 300))
    (made,) = predict(engine, [long], TEMPLATE, max_new_tokens=10, batch_size=1)
    assert made.evidence_dropped == 1
    assert made.evidence == long.evidence


def _made(label: Label | None, confidence: float | None, gold: Label = Label.PASS) -> Prediction:
    return Prediction("i", "d", "g", "c", (), gold, "", label, confidence, Validity.CLEAN)


def test_validation_score_by_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = {
        "a": [
            _made(Label.PASS, 0.8),
            _made(Label.NA, 0.4),
            _made(None, None),
            _made(None, 0.0),
            _made(Label.PASS, None),
        ],
        "b": [_made(Label.PASS, 1.0)],
    }
    monkeypatch.setattr("candor.predictions.validation.predict", lambda engine, group, *rest, **options: made[group[0]])
    examples: Any = {name: [name] for name in made}
    score = validation_score(None, examples, toy_recipe(tmp_path))  # type: ignore[arg-type]
    first = ((1 - 0.04) + (0 - 0.16) + (0 - 1) + (0 - 1) + (1 - 1)) / 5
    assert score == pytest.approx((first + 1.0) / 2)


def test_a_run_answers_with_its_own_adapter_and_prompt(trained_run: Path, tmp_path: Path) -> None:
    run = RunFolder(trained_run)
    (own,) = run.test_predictions("trained")
    options: dict[str, Any] = {
        "adapter": None,
        "template": None,
        "batch_size": 8,
        "max_new_tokens": None,
        "device": "cpu",
    }
    out = tmp_path / "again.jsonl"
    claims = run.examples("test")
    count = predict_file(claims, out, model=str(run), reporter=Reporter(quiet=True), **options)
    before, now = read_predictions(own), read_predictions(out)
    assert count == len(before.predictions)
    assert [answer.raw for answer in now.predictions] == [answer.raw for answer in before.predictions]
    assert now.header.template_sha256 == before.header.template_sha256
    assert now.header.rendered_sha256 == before.header.rendered_sha256


def test_folders_of_runs_and_what_a_run_has_itself_are_refused(trained_run: Path, tmp_path: Path) -> None:
    for name in ("candor-seed0", "paper-seed0"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "recipe.yaml").write_text("")
    with pytest.raises(RunError, match=r"holds several runs; choose one: .*candor-seed0, .*paper-seed0"):
        of_run(str(tmp_path / "runs"), None, None)
    with pytest.raises(RunError, match="no trained model in it yet"):
        of_run(str(tmp_path / "runs" / "paper-seed0"), None, None)
    with pytest.raises(RunError, match="has its own adapter, template and chat settings"):
        of_run(str(trained_run), None, "verdict")
    with pytest.raises(RunError, match="leave yours out"):
        of_run(str(trained_run), None, None, {"system": "Be brief."})
    assert of_run("sandbox", None, None) is None


def test_a_run_answers_on_what_it_was_begun_with_or_not_at_all(trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    assert of_run(str(run), None, None) is not None
    recipe, engine = (run / "recipe.yaml").read_text(), read_json(run / "engine.json")
    (run / "recipe.yaml").write_text(recipe + "# changed\n")
    with pytest.raises(DamagedError, match=r"recipe\.yaml is not what was written"):
        of_run(str(run), None, None)
    (run / "recipe.yaml").write_text(recipe)
    name = engine["base"].partition(" (")[0]
    write_json(run / "engine.json", engine | {"base": f"{name} (SHA-256 {'0' * 16})"})
    with pytest.raises(ModelError, match="its adapter was trained on the base model"):
        of_run(str(run), None, None)


def test_shards_of_machines_whose_model_files_differ_in_age_are_joined(tmp_path: Path) -> None:
    model = save_toy_model(tmp_path / "model")
    data = tmp_path / "claims.jsonl"
    data.write_text("".join(f'{{"claim": "x = {i}", "evidence": ["x is {i}"], "label": "PASS"}}\n' for i in range(4)))
    parts = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    options: dict[str, Any] = {"model": str(model), "adapter": None, "template": "sandbox", "batch_size": 2}
    options |= {"device": "cpu", "max_new_tokens": 8, "reporter": Reporter(quiet=True)}
    for number, part in enumerate(parts, start=1):
        os.utime(model / "config.json", (number, number))
        predict_file(data, part, **options, shard=Shard(number, 2))
    join(parts, tmp_path / "whole.jsonl")
    assert len(read_predictions(tmp_path / "whole.jsonl").predictions) == 4
