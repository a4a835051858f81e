"""A plan counts what a run would do, by hand where the numbers are small."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from toy import SAMPLED, toy_recipe, toy_tokenizer, with_unlabelled

from candor.cli.main import main
from candor.data.splits import make_splits
from candor.engines.answer_scores import scored_answers, spread_ended
from candor.engines.tinker.told import to_read
from candor.errors import RecipeError
from candor.prompts import templates
from candor.prompts.encoding import encode_text
from candor.prompts.grammar import answer_grammar
from candor.recipe.engine import Prices
from candor.recipe.recipe import Recipe, find_recipe, load_recipe, to_yaml
from candor.runs.plan import Amount, make_plan, plan_text

PRICES = "engine.prices={prefill: 1.0, sample: 3.0, train: 4.0}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer is all that a plan needs."""
    path = tmp_path_factory.mktemp("model")
    toy_tokenizer().save_pretrained(path)
    return path


def _lengths(recipe: Recipe, split: str) -> list[int]:
    template = templates.get(recipe.prompt.template)
    sources = dict(make_splits(recipe.data).items())[split]
    return [len(encode_text(toy_tokenizer(), template.render(e))) for group in sources.values() for e in group]


def test_a_calibration_split_is_answered_too(folder: Path) -> None:
    counts = ("data.test={toy: 5}", "data.calibration={toy: 3}")
    recipe = toy_recipe(folder, *counts)
    (plan,) = make_plan(recipe)
    asked = [length for split in ("validation", "test", "calibration") for length in _lengths(recipe, split)]
    assert len(asked) == 4 + 5 + 3
    assert plan.answers[0].prefill == sum(asked) + 3 * (sum(asked) + 2 * len(asked))


def test_a_sampled_run_is_counted_by_hand(folder: Path) -> None:
    recipe = toy_recipe(
        folder, SAMPLED[0], "train.kl_every=0", "train.steps=6", "train.checkpoint_every=4", "data.test={toy: 5}"
    )
    (plan,) = make_plan(recipe)
    train, asked = _lengths(recipe, "train"), _lengths(recipe, "validation") + _lengths(recipe, "test")
    mean = sum(train) / len(train)
    # 4 prompts, 3 completions of 7 to 10 tokens, 3 labels of 2 tokens behind each prompt for probe and log p(gold).
    least, most = plan.step
    labels = 4 * 3 * (mean + 2)
    assert least.prefill == pytest.approx(4 * mean + labels + labels)
    assert least.sample == 4 * 3 * 7
    assert least.train == pytest.approx(4 * 3 * (mean + 7) + labels)
    assert least.calls == 3 + 4 + 4 * 3 + 1
    assert most.sample == 4 * 3 * 10
    behind = 4 * 3 * 3 * (mean + 2 + 10)  # if every completion emits its label elsewhere
    assert most.prefill == pytest.approx(4 * mean + behind + behind)
    assert most.train == pytest.approx(4 * 3 * (mean + 10) + behind)
    assert plan.training[0].train == pytest.approx(6 * least.train)
    assert plan.checkpoints == 2
    assert plan.models == 2
    assert plan.answers[0].prefill == sum(asked) + 3 * (sum(asked) + 2 * len(asked))
    assert plan.answers[1].sample == 10 * len(asked)
    assert plan.answers[0].calls == 4 * len(asked)


def test_an_enumerated_run_reads_and_trains_every_answer(folder: Path) -> None:
    recipe = toy_recipe(folder, "train.kl_every=3")
    (plan,) = make_plan(recipe)
    train = _lengths(recipe, "train")
    answers = scored_answers(answer_grammar(templates.get("sandbox"), toy_tokenizer()), spread_ended(4))
    once = 4 * (303 * sum(train) / len(train) + sum(map(len, answers)))
    assert plan.step[0].train == pytest.approx(once)
    assert plan.step[0].prefill == pytest.approx(once)
    assert plan.training[0].prefill == pytest.approx((6 + 2) * once), "two of six steps measure the KL"


def test_a_service_reads_and_trains_few_of_them_where_it_is_asked_to(folder: Path) -> None:
    whole = toy_recipe(folder, "train.kl_every=0", "engine={kind: tinker}")
    few = toy_recipe(folder, "train.kl_every=0", "engine={kind: tinker, top_logprobs: 20, drawn_continuations: 3}")
    (plan,), (less,) = make_plan(whole), make_plan(few)
    answers = scored_answers(answer_grammar(templates.get("sandbox"), toy_tokenizer()), spread_ended(4))
    read = to_read(answers)
    train = _lengths(few, "train")
    assert less.step[0].prefill == pytest.approx(4 * (len(read) * sum(train) / len(train) + sum(map(len, read))))
    assert less.step[0].train == pytest.approx(plan.step[0].train * 6 / 303)
    assert less.step[0].calls == pytest.approx(3 + 4 * len(read))


def test_unlabelled_prompts_are_read_and_trained_too(folder: Path) -> None:
    recipe = toy_recipe(folder, "train.kl_every=0", *with_unlabelled(2))
    (plan,) = make_plan(recipe)
    template = templates.get(recipe.prompt.template)
    train = make_splits(recipe.data).train
    read = {
        source: [len(encode_text(toy_tokenizer(), template.render(example))) for example in examples]
        for source, examples in train.items()
    }
    tokens = sum(count * sum(read[source]) / len(read[source]) for source, count in (("toy", 4), ("other", 2)))
    answers = scored_answers(answer_grammar(template, toy_tokenizer()), spread_ended(4))
    assert plan.step[0].train == pytest.approx(303 * tokens + 6 * sum(map(len, answers)))


def test_seeds_and_arms_share_the_base_models_answers(folder: Path) -> None:
    recipe = toy_recipe(folder, "seeds=[0, 1, 2]", "arms={one: {}, two: {train: {steps: 3}}}")
    one, two = make_plan(recipe)
    assert (one.models, two.models) == (4, 3)
    assert two.total()[0].train == pytest.approx(3 * 3 * two.step[0].train)


def test_cost_is_tokens_times_price() -> None:
    amount = Amount(prefill=2e6, sample=5e5, train=1e6)
    assert amount.cost(Prices(prefill=0.5, sample=2.0, train=3.0)) == pytest.approx(1.0 + 1.0 + 3.0)


def test_the_command_line_counts_and_runs_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = toy_recipe(folder, SAMPLED[0], PRICES)
    (tmp_path / "toy.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", "toy.yaml", "--plan"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "6 steps" in shown
    assert plan_text(make_plan(recipe), recipe.engine.prices) in shown
    assert "USD" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy.yaml"]


def test_money_is_not_spent_without_a_word(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    (tmp_path / "toy.yaml").write_text(to_yaml(toy_recipe(folder, SAMPLED[0])), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", "toy.yaml", "-o", "engine={kind: tinker}"])
    assert ended.value.code == 2
    assert "--yes" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy.yaml"]


@pytest.mark.parametrize("name", ["paper-fever", "paper-mixed"])
def test_the_published_recipes_run_on_a_service_at_temperature_1(name: str) -> None:
    recipe = load_recipe(find_recipe(f"{name}-service"))
    assert recipe.engine.spends
    assert "departure" in recipe.description
    published = load_recipe(find_recipe(name), ["engine.kind=tinker", "sampling.temperature=1.0"])
    own = {"name": published.name, "description": published.description}
    assert recipe.model_copy(update=own) == published
    with pytest.raises(RecipeError, match=r"sampling\.temperature: 0\.2"):
        load_recipe(find_recipe(name), ["engine.kind=tinker"])


def test_what_a_service_cannot_do_is_refused_in_the_recipe(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"sampling\.temperature: 0\.2 .* sampled and enumerated"):
        toy_recipe(folder, "engine={kind: tinker}", "sampling.temperature=0.2")
    with pytest.raises(RecipeError, match=r"base_url: no effect with kind=local"):
        toy_recipe(folder, "engine={base_url: 'http://127.0.0.1:1'}")
    with pytest.raises(RecipeError, match=r"no address"):
        toy_recipe(folder, "engine={kind: tinker, base_url: '127.0.0.1:1'}")
    with pytest.raises(RecipeError, match=r"not encrypted"):
        toy_recipe(folder, "engine={kind: tinker, base_url: 'http://far.away:1', key_variable: KEY}")
