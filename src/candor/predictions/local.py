"""A model's greedy answers to examples, or to a file of claims, with the label probabilities behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from candor.data.inputs import read_splits
from candor.engines.base import Engine, Sampling
from candor.engines.hub import commit_of
from candor.engines.load import SANDBOX, base_model_of, check_base, load_engine, pinned
from candor.errors import DataError, RunError
from candor.predictions.file import Header, read_prediction, write_predictions
from candor.progress import Reporter
from candor.prompts import templates
from candor.prompts.encoding import EncodedPrompt, encode, rendered_sha256
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import LABEL_PROBE, label_probs
from candor.recipe.data import TableForm
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.recipe.prompt import prompt_in_chat
from candor.recipe.recipe import EvaluationConfig, load_run_recipe
from candor.run_folder import RunFolder
from candor.types import Example, Prediction, Rollout

OnBatch = Callable[[int], None]
"""Told how many more examples have been answered."""


def predict(
    engine: Engine,
    examples: Sequence[Example],
    template: templates.Template,
    *,
    max_new_tokens: int,
    batch_size: int,
    on_batch: OnBatch | None = None,
) -> list[Prediction]:
    """Answer every example greedily.

    Args:
        engine: the model.
        examples: what is asked.
        template: the prompt.
        max_new_tokens: longest answer, its end included.
        batch_size: prompts in one batch.
        on_batch: told of progress.

    Returns:
        One prediction for each example, in order.
    """
    room = max(max_new_tokens, answer_grammar(template, engine.tokenizer).longest)
    encoded = [encode(template, e, engine.tokenizer, max_tokens=engine.max_length - room) for e in examples]
    # Prompts of like length waste no padding; each answer depends on its own prompt alone, so order is free.
    order = sorted(range(len(examples)), key=lambda index: len(encoded[index].tokens))
    predictions: dict[int, Prediction] = {}
    for at in range(0, len(order), batch_size):
        indices = order[at : at + batch_size]
        rollouts = engine.rollout([encoded[i].tokens for i in indices], 1, Sampling(0.0, max_new_tokens), LABEL_PROBE)
        for index, (rollout,) in zip(indices, rollouts, strict=True):
            predictions[index] = _prediction(examples[index], encoded[index], rollout, template)
        if on_batch:
            on_batch(len(indices))
    return [predictions[index] for index in range(len(examples))]


def _prediction(example: Example, encoded: EncodedPrompt, rollout: Rollout, template: templates.Template) -> Prediction:
    p_pass, p_fail, p_na = label_probs(np.array(rollout.probe_logprobs)).tolist()
    found = read_prediction(
        example, rollout.text, template, stopped=rollout.stopped, label_probs=(p_pass, p_fail, p_na)
    )
    return replace(found, evidence_dropped=encoded.evidence_dropped, evidence_cut=encoded.evidence_cut)


@dataclass(frozen=True, slots=True)
class RunModel:
    """A run's trained model: the base it was begun with, its adapter and its prompt."""

    model: ModelConfig
    adapter: Path
    template: templates.Template
    max_new_tokens: int


def of_run(
    folder: str, adapter: Path | None, template: str | None, chat: Mapping[str, Any] | None = None
) -> RunModel | None:
    """The trained model of a run folder; ``None`` where it is none.

    Raises:
        RunError: nothing is trained in it yet, an adapter, a template or chat settings are given besides, or it holds
            several runs; names them.
        DamagedError: its recipe is not what was written.
        ModelError: its base model in a folder or file is another than it was.
    """
    run = RunFolder(Path(folder))
    if not run.is_run:
        if several := run.runs_below():
            raise RunError(f"{folder} holds several runs; choose one: {', '.join(map(str, several))}")
        return None
    if adapter is not None or template is not None or chat:
        raise RunError(f"{folder} is a run, which has its own adapter, template and chat settings; leave yours out")
    if not run.adapter.is_dir():
        raise RunError(f"{folder}: no trained model in it yet (no {run.adapter.name}/); finish it with candor run")
    run.seal.check([run.recipe])
    recipe = load_run_recipe(run.recipe)
    check_base(run, recipe.model.name)
    return RunModel(pinned(run, recipe.model), run.adapter, recipe.prompt.rendered(), recipe.evaluation.max_new_tokens)


def predict_file(
    data: Path,
    out: Path,
    *,
    model: str,
    adapter: Path | None,
    template: str | None,
    batch_size: int,
    max_new_tokens: int | None,
    device: str,
    chat: Mapping[str, Any] | None = None,
    form: TableForm | None = None,
    reporter: Reporter,
) -> int:
    """Answer the claims of a file and write the predictions.

    Args:
        data: the claims.
        out: the file to write.
        model: a folder, a hub id, ``sandbox`` or another name that candor knows.
        adapter: PEFT folder to put on it.
        template: name of the prompt template.
        batch_size: prompts in one batch.
        max_new_tokens: longest answer; ``None`` for a run's own, else a recipe's default.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        chat: how the chat template is rendered, as a recipe's part ``prompt`` says it.
        form: how a table is read.
        reporter: told of progress.

    Where ``model`` is a run folder, its trained model answers, with its own prompt and chat settings.

    Returns:
        The number of predictions.

    Raises:
        DataError: the file cannot be read, or holds no claims.
        PromptError: no such template, or chat settings that cannot be rendered.
        ModelError: the model cannot be loaded.
        RunError: ``model`` is a run folder without a trained model, or holds several runs; names them.
    """
    splits = read_splits(str(data), data_dir=None, form=form)
    examples = [example for split in splits.values() for group in split.values() for example in group]
    if not examples:
        raise DataError("no claims in it", file=data)
    if (run := of_run(model, adapter, template, chat)) is not None:
        max_new_tokens = max_new_tokens or run.max_new_tokens
        name = base_model_of(run.adapter, run.model.name, reporter)
        chosen, adapter = run.template, run.adapter
        recipe_model = run.model.model_copy(update={"name": name, "device": device})
        called = run.model.name if run.model.revision is None else f"{run.model.name}@{run.model.revision}"
    else:
        chosen = prompt_in_chat(template or "verdict", chat)
        commit = None if model == SANDBOX else commit_of(model)
        called = model if commit is None else f"{model}@{commit}"
        recipe_model = ModelConfig(name=model, revision=commit, device=device)
    engine = load_engine(recipe_model, EngineConfig(), seed=0, adapter=adapter or False, reporter=reporter)
    with reporter.bar("predict", len(examples)) as bar:
        predictions = predict(
            engine,
            examples,
            chosen,
            max_new_tokens=max_new_tokens or EvaluationConfig().max_new_tokens,
            batch_size=batch_size,
            on_batch=bar.advance,
        )
    header = Header(
        model=called if adapter is None else f"{called} + {adapter}",
        template=chosen.name,
        template_sha256=chosen.sha256,
        dataset=names.pop() if len(names := {example.dataset for example in examples}) == 1 else data.stem,
        split="test",
        seed=0,
        rendered_sha256=rendered_sha256(chosen, engine.tokenizer),
        chat=chosen.unusual_chat,
    )
    write_predictions(out, header, predictions)
    shortened = sum(prediction.evidence_dropped + prediction.evidence_cut > 0 for prediction in predictions)
    if shortened:
        reporter.warn(f"{shortened} of {len(predictions)} prompts were too long: evidence was left out or cut")
    return len(predictions)
