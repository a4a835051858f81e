"""What a recipe would take: tokens, requests, checkpoints and money, counted before anything is run.

Tokens are counted as a service does, each sequence by itself; the local engine runs what sequences share only once.
How long answers will be is not known, so there are two counts: every answer as short as the form allows, its label
first; and every answer as long as the recipe allows, with a probe of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

from candor.data.splits import make_splits
from candor.engines.answer_scores import scored_answers, spread_ended
from candor.engines.base import Tokens
from candor.engines.load import SANDBOX
from candor.engines.named import located
from candor.engines.pretrained import load_tokenizer
from candor.engines.tinker.told import to_read
from candor.progress import Reporter
from candor.prompts.answers import CONFIDENCES
from candor.prompts.encoding import prompt_length
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.recipe.data import ANSWERED
from candor.recipe.engine import Prices
from candor.recipe.evaluation import EvaluationConfig
from candor.recipe.objective import SampledExpected
from candor.recipe.recipe import Recipe, dump, resolve_arms
from candor.runs.grid import SHARED_BY_ARMS
from candor.types import LABELS, Example

PROBED: Final = len(LABELS)


@dataclass(frozen=True, slots=True)
class Amount:
    """What some part of a run takes.

    Attributes:
        prefill: tokens read: prompts, probes, scores.
        sample: tokens sampled.
        train: tokens that a gradient is taken on.
        calls: requests to a service.
    """

    prefill: float = 0.0
    sample: float = 0.0
    train: float = 0.0
    calls: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: float) -> Amount:
        """So many times as much.

        >>> (Amount(prefill=2, calls=1) * 3).prefill
        6
        """
        return Amount(*(times * value for value in astuple(self)))

    def cost(self, prices: Prices) -> float:
        """In the currency of the prices; requests are free.

        >>> Amount(prefill=2e6, sample=1e6).cost(Prices(prefill=0.5, sample=2.0, train=4.0))
        3.0
        """
        return prices.cost(prefill=self.prefill, sample=self.sample, train=self.train)


@dataclass(frozen=True, slots=True)
class Decoding:
    """Completions that are decoded place after place, each place of a batch in a pass of its own.

    Attributes:
        batches: how many there are.
        prompts: of a batch.
        prompt_tokens: of a prompt, on average.
        group_size: completions of a prompt.
        places: tokens of the longest completion; 0 where nothing is decoded.
    """

    batches: int
    prompts: int
    prompt_tokens: int
    group_size: int
    places: int


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One arm, at one seed.

    Attributes:
        name: of the run.
        seeds: so many runs of it.
        steps: of its training.
        step: least and most that one training step takes, on average.
        training: all steps.
        answers: of one model on every split that is not trained on.
        models: so many models answer, over all seeds; arms with the same data share the base model's answers.
        checkpoints: states saved.
        trained_tokens: that the local engine runs in training, of what sequences share each token once.
        answered_tokens: the same of one model's answers.
        validated_tokens: the same of the answers that training is watched by.
        decoded: what a seed's training decodes.
        answered: what one model decodes for its answers.
        longest_prompt: in tokens.
    """

    name: str
    seeds: int
    steps: int
    step: tuple[Amount, Amount]
    training: tuple[Amount, Amount]
    answers: tuple[Amount, Amount]
    models: int
    checkpoints: int
    trained_tokens: float
    answered_tokens: float
    validated_tokens: float
    decoded: tuple[Decoding, ...]
    answered: Decoding
    longest_prompt: int

    def total(self) -> tuple[Amount, Amount]:
        """All seeds together."""
        least, most = (t * self.seeds + a * self.models for t, a in zip(self.training, self.answers, strict=True))
        return least, most


def make_plan(recipe: Recipe, *, data_dir: Path | None = None) -> list[RunPlan]:
    """Count what every arm takes; makes the data in memory, and loads a tokenizer but no model.

    Args:
        recipe: the experiment.
        data_dir: where official data files lie.
    """
    lengths: dict[str, dict[str, dict[str, list[int]]]] = {}
    answered: set[str] = set()
    plans = []
    for arm, resolved in resolve_arms(recipe).items():
        parts = dump(resolved)
        key = repr([parts["data"], parts["prompt"], parts["model"]])
        tokenizer = _tokenizer(resolved)
        if key not in lengths:
            splits = make_splits(resolved.data, data_dir=data_dir)
            lengths[key] = {
                split: {source: _lengths(resolved, examples, tokenizer) for source, examples in sources.items()}
                for split, sources in splits.items()
            }
        grammar = answer_grammar(resolved.prompt.rendered(), tokenizer)
        shared = repr([parts[part] for part in SHARED_BY_ARMS])
        models = len(recipe.seeds) * ("trained" in resolved.stages)
        models += "base" in resolved.stages and shared not in answered
        answered.add(shared)
        plans.append(_plan(resolved, arm or recipe.name, len(recipe.seeds), models, lengths[key], grammar))
    return plans


def _plan(
    recipe: Recipe, name: str, seeds: int, models: int, lengths: dict[str, dict[str, list[int]]], grammar: AnswerGrammar
) -> RunPlan:
    train, evaluation = recipe.train, recipe.evaluation
    prompt = _mean_prompt(recipe, lengths["train"])
    steps = train.steps if "train" in recipe.stages else 0
    short = min(map(len, grammar.answers))
    asked = [length for split in ANSWERED for found in lengths[split].values() for length in found]
    chosen_on = [length for source in recipe.trained_on() for length in lengths["validation"].get(source, [])]
    validations = steps // train.validate_every if train.validate_every else 0

    def training(answer: int, probes: int) -> tuple[Amount, Amount]:
        one = _step(recipe, prompt, grammar, answer, probes)
        if recipe.objective.kind == "supervised":
            measured = 0
        else:
            measured = steps if recipe.objective.kl else -(-steps // train.kl_every) if train.kl_every else 0
        kl = _scored(recipe, prompt, grammar, answer) * measured
        chosen = _answers(chosen_on, min(answer, evaluation.max_new_tokens), grammar) * validations
        return one, one * steps + kl + chosen

    def both(answer: int, probes: int, longest: int) -> tuple[Amount, Amount, Amount]:
        one, every = training(answer, probes)
        return one, every, _answers(asked, longest, grammar)

    least = both(short, 1, short)
    most = both(recipe.sampling.max_new_tokens, recipe.sampling.group_size, evaluation.max_new_tokens)
    saved = len({*range(train.checkpoint_every, steps + 1, train.checkpoint_every), steps}) if steps else 0
    step, total, answers = zip(least, most, strict=True)
    every = [length for sources in lengths.values() for found in sources.values() for length in found]
    return RunPlan(
        name,
        seeds,
        steps,
        step,
        total,
        answers,
        models,
        saved + validations,
        trained_tokens=steps * train.prompts_in_step * (prompt + _continued(recipe, grammar)),
        answered_tokens=sum(asked) + len(asked) * evaluation.max_new_tokens,
        validated_tokens=validations * (sum(chosen_on) + len(chosen_on) * evaluation.max_new_tokens),
        decoded=(
            Decoding(
                steps,
                train.prompts_in_step,
                round(prompt / train.prompts_in_step),
                recipe.sampling.group_size,
                _decoded(recipe),
            ),
            _answering(chosen_on, evaluation, validations),
        ),
        answered=_answering(asked, evaluation, 1),
        longest_prompt=max(every, default=0),
    )


def _continued(recipe: Recipe, grammar: AnswerGrammar) -> float:
    """Tokens behind one prompt of a training step, those that continuations share counted once."""
    tree = len({answer[:end] for answer in grammar.answers for end in range(1, len(answer) + 1)})
    if recipe.objective.kind == "supervised":
        return float(grammar.longest)
    if recipe.objective.kind == "enumerated":
        group = recipe.sampling.group_size if recipe.sampling.reasoning_tokens else 1
        return float(group * (recipe.sampling.reasoning_tokens + tree))
    return float(recipe.sampling.group_size * recipe.sampling.max_new_tokens)


def _answering(lengths: Sequence[int], evaluation: EvaluationConfig, times: int) -> Decoding:
    """Greedy answers to prompts of these lengths, so many times."""
    batches = times * -(-len(lengths) // evaluation.batch_size)
    mean = round(sum(lengths) / len(lengths)) if lengths else 0
    return Decoding(batches, min(evaluation.batch_size, max(1, len(lengths))), mean, 1, evaluation.max_new_tokens)


def _decoded(recipe: Recipe) -> int:
    """Tokens of the longest completion that a step samples."""
    if recipe.objective.kind == "supervised":
        return 0
    return recipe.sampling.reasoning_tokens if recipe.objective.kind == "enumerated" else recipe.sampling.max_new_tokens


def _mean_prompt(recipe: Recipe, lengths: dict[str, list[int]]) -> float:
    """Mean length of a step's prompts, labelled and not."""
    unlabelled = recipe.train.prompts_in_step - recipe.train.prompts_per_step
    tokens = 0.0
    for sources, count in ((recipe.trained_on(), recipe.train.prompts_per_step), (recipe.unlabelled(), unlabelled)):
        found = [length for source in sources for length in lengths.get(source, [])]
        tokens += count * sum(found) / len(found) if found else 0.0
    return tokens / recipe.train.prompts_in_step


def _step(recipe: Recipe, prompt: float, grammar: AnswerGrammar, answer: int, probes: int) -> Amount:
    """One training step without its measurements; a prompt's completions have ``probes`` different probe sites."""
    count, group = recipe.train.prompts_in_step, recipe.sampling.group_size
    amount = Amount(calls=3)  # gradient, step, fresh sampler
    label = max(grammar.label_end)
    if recipe.objective.kind == "supervised":
        return amount + Amount(train=count * (prompt + grammar.longest)) * recipe.train.updates_per_batch
    if recipe.objective.kind == "sampled" or recipe.sampling.reasoning_tokens:
        length = answer if recipe.objective.kind == "sampled" else recipe.sampling.reasoning_tokens
        amount += Amount(prefill=count * prompt, sample=count * group * length, calls=count)
        amount += Amount(prefill=prompt + label + (answer if probes > 1 else 0), calls=1) * (count * PROBED * probes)
    if recipe.objective.kind == "enumerated":
        return amount + _enumerated(recipe, prompt, grammar)
    scored = _scored(recipe, prompt, grammar, answer)
    amount += Amount(train=scored.prefill) * recipe.train.updates_per_batch
    if isinstance(recipe.objective, SampledExpected):
        # Every confidence behind each sampled label: behind one of them, or behind all.
        tokens = count * min(probes, PROBED) * len(CONFIDENCES) * (prompt + grammar.longest)
        amount += Amount(prefill=tokens, train=tokens, calls=1)
    if recipe.objective.log_gold:
        labels = count * PROBED * probes * (prompt + label + (answer if probes > 1 else 0))
        amount += Amount(prefill=labels, train=labels * recipe.train.updates_per_batch, calls=1)
    return amount + Amount(prefill=scored.prefill, calls=3) * (recipe.train.updates_per_batch - 1)


def _scored(recipe: Recipe, prompt: float, grammar: AnswerGrammar, answer: int) -> Amount:
    """Every continuation of a step's prompts read once."""
    count, group = recipe.train.prompts_in_step, recipe.sampling.group_size
    if recipe.objective.kind == "sampled":
        return Amount(prefill=count * group * (prompt + answer), calls=count * group)
    prefixes = group if recipe.sampling.reasoning_tokens else 1
    return _read(_answers_of(recipe, grammar), prompt + recipe.sampling.reasoning_tokens) * (count * prefixes)


def _read(answers: Sequence[Tokens], before: float) -> Amount:
    """Answers read behind one beginning, each as a sequence of its own."""
    return Amount(prefill=len(answers) * before + sum(map(len, answers)), calls=len(answers))


def _answers_of(recipe: Recipe, grammar: AnswerGrammar) -> list[Tokens]:
    """What an enumerated step scores of each prompt."""
    return scored_answers(grammar, spread_ended(getattr(recipe.objective, "ends", "all")))


def _enumerated(recipe: Recipe, prompt: float, grammar: AnswerGrammar) -> Amount:
    """What one step reads and trains of all answers."""
    before = prompt + recipe.sampling.reasoning_tokens
    prefixes = recipe.train.prompts_in_step * (recipe.sampling.group_size if recipe.sampling.reasoning_tokens else 1)
    answers = _answers_of(recipe, grammar)
    every = _read(answers, before)
    read = _read(to_read(answers), before) if recipe.engine.top_logprobs else Amount(every.prefill, calls=1 / prefixes)
    # As many again are trained on average as are drawn; a little more where answers do not keep to the form.
    share = min(1.0, 2 * (recipe.engine.drawn_continuations or len(answers)) / len(answers))
    return (read + Amount(train=every.prefill * share)) * prefixes


def _answers(lengths: Sequence[int], answer: int, grammar: AnswerGrammar) -> Amount:
    """Greedy answers to prompts, and their probes."""
    label = max(grammar.label_end)
    read = sum(lengths) + PROBED * (sum(lengths) + label * len(lengths))
    return Amount(prefill=read, sample=answer * len(lengths), calls=(1 + PROBED) * len(lengths))


def _lengths(recipe: Recipe, examples: Sequence[Example], tokenizer: Any) -> list[int]:
    template = recipe.prompt.rendered()
    return [prompt_length(template, example, tokenizer) for example in examples]


def _tokenizer(recipe: Recipe) -> Any:
    if recipe.model.name == SANDBOX:
        from candor.sandbox.tokenizer import make_tokenizer

        return make_tokenizer()
    model = located(recipe.model, Reporter())
    return load_tokenizer(model.name, revision=model.revision)


def plan_text(plans: Sequence[RunPlan], prices: Prices | None) -> str:
    """The plan in words: from the least to the most of each."""
    lines = []
    for plan in plans:
        times = f", {plan.seeds} seeds" if plan.seeds > 1 else ""
        saved = f"{plan.checkpoints} checkpoints in each"
        lines.append(f"{plan.name}: {plan.steps} steps{times}, {saved}; {plan.models} models answer")
        for title, (least, most) in (("a step", plan.step), ("training", plan.training), ("answers", plan.answers)):
            lines.append(f"  {title:9} {_range_text(least, most, prices)}")
    least, most = sum((p.total()[0] for p in plans), Amount()), sum((p.total()[1] for p in plans), Amount())
    lines.append(f"in all      {_range_text(least, most, prices)}")
    if prices is None:
        lines.append("no cost: the recipe has no engine.prices (prefill, sample, train: per million tokens)")
    return "\n".join(lines)


def _range_text(least: Amount, most: Amount, prices: Prices | None) -> str:
    names = ("prefill", "sample", "train", "calls")
    parts = [f"{n} {_between(getattr(least, n), getattr(most, n))}" for n in names if getattr(most, n)]
    if prices is not None:
        parts.append(f"{prices.currency} {least.cost(prices):,.2f} to {most.cost(prices):,.2f}")
    return "; ".join(parts) or "nothing"


def _between(least: float, most: float) -> str:
    return f"{round(least):,}" if round(least) == round(most) else f"{round(least):,} to {round(most):,}"
