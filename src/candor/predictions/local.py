"""A model's greedy answers to examples, or to a file of claims, with the label probabilities behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from candor.engines import parallel
from candor.engines.base import Engine, Sampling
from candor.engines.hub import commit_of
from candor.engines.load import SANDBOX, base_model_of, check_base, load_engine, pinned
from candor.engines.pretrained import adapter_sha256, files_sha256
from candor.errors import DataError, RunError
from candor.files import Journal, journal_of, part_of
from candor.predictions.file import Header, read_prediction, write_predictions
from candor.predictions.kept import Answers, Line, claims_of, made_from
from candor.predictions.label_confidences import grammar_behind_prompt, label_confidences
from candor.progress import Reporter
from candor.prompts import templates
from candor.prompts.encoding import EncodedPrompt, encode, rendered_sha256
from candor.prompts.grammar import answer_grammar
from candor.prompts.probe import LABEL_PROBE, label_probs
from candor.recipe.data import TableForm
from candor.recipe.engine import EngineConfig, ModelConfig
from candor.recipe.evaluation import EvaluationConfig
from candor.recipe.prompt import prompt_in_chat
from candor.recipe.recipe import load_run_recipe
from candor.run_folder import RunFolder
from candor.shards import Shard
from candor.types import Example, Prediction, Rollout

SORTED: Final = 4096
"""Examples whose prompts are made, and sorted by length, at once."""


class Examples(Protocol):
    """Examples by index, wherever they lie."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...

    def __iter__(self) -> Iterator[Example]: ...


OnBatch = Callable[[int], None]
"""Told how many more examples have been answered."""


def predict(
    engine: Engine,
    examples: Sequence[Example],
    template: templates.Template,
    *,
    max_new_tokens: int,
    batch_size: int,
    every_label: bool = False,
    on_batch: OnBatch | None = None,
) -> list[Prediction]:
    """Answer every example greedily.

    Args:
        engine: the model.
        examples: what is asked.
        template: the prompt.
        max_new_tokens: longest answer, its end included.
        batch_size: prompts in one batch.
        every_label: ask what is stated behind the other labels as well.
        on_batch: told of progress.

    Returns:
        One prediction for each example, in order.

    Raises:
        PromptError: a prompt does not fit, or ``every_label`` is asked of a template that has reasoning first.
    """
    answers = Answers()
    _answer(
        engine,
        examples,
        template,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        every_label=every_label,
        on_batch=on_batch,
        answers=answers,
    )
    return list(_predictions(examples, answers, template))


def _answer(
    engine: Engine,
    examples: Examples,
    template: templates.Template,
    *,
    max_new_tokens: int,
    batch_size: int,
    every_label: bool,
    on_batch: OnBatch | None,
    answers: Answers,
) -> None:
    """Answer what is not answered yet.

    A batch that is not there whole is answered again, so that a start after a kill meets the same batches. Under
    torchrun every process has its share of each batch, and all get all answers.
    """
    behind = grammar_behind_prompt(template, engine) if every_label else None
    room = max(max_new_tokens, answer_grammar(template, engine.tokenizer).longest)
    for start in range(0, len(examples), SORTED):
        block = range(start, min(start + SORTED, len(examples)))
        encoded = {
            index: encode(template, examples[index], engine.tokenizer, max_tokens=engine.max_length - room)
            for index in block
        }
        # Prompts of like length waste no padding; each answer depends on its own prompt alone, so order is free.
        order = sorted(block, key=lambda index: len(encoded[index].tokens))
        for at in range(0, len(order), batch_size):
            indices = order[at : at + batch_size]
            if not all(index in answers for index in indices):
                prompts = [encoded[index].tokens for index in indices]
                rollouts = engine.rollout(prompts, 1, Sampling(0.0, max_new_tokens), LABEL_PROBE)
                lines = [
                    _line(index, encoded[index], rollout) for index, (rollout,) in zip(indices, rollouts, strict=True)
                ]
                if behind is not None:
                    for line, stated in zip(lines, label_confidences(engine, behind, prompts), strict=True):
                        line["label_confidences"] = stated
                answers.append(lines)
            if on_batch:
                on_batch(len(indices))


def _predictions(examples: Examples, answers: Answers, template: templates.Template) -> Iterator[Prediction]:
    return (_prediction(examples[index], answers[index], template) for index in range(len(examples)))


def answer_into(
    out: Path,
    engine: Engine,
    examples: Examples,
    template: templates.Template,
    *,
    model: str,
    dataset: str,
    split: str,
    seed: int,
    shard: Mapping[str, Any] | None = None,
    adapter: Path | None,
    files: str | None = None,
    max_new_tokens: int,
    batch_size: int,
    every_label: bool,
    on_batch: OnBatch,
    say: Callable[[str], None],
) -> int:
    """As :func:`predict`, and write the predictions; after a kill the same call goes on.

    While it works, every answer is a line of ``OUT.part``. The main process alone writes, all know what is there.

    Args:
        out: the file to write.
        engine: the model.
        examples: what is asked.
        template: the prompt.
        model: who answers, for the header.
        dataset: what is asked, likewise.
        split: of the dataset, likewise.
        seed: of the run, likewise.
        shard: of it, likewise.
        adapter: whose weights the engine holds; answers of others are not gone on with.
        files: the same of a base model that lies here (:func:`~candor.engines.pretrained.files_sha256`).
        max_new_tokens: longest answer, its end included.
        batch_size: prompts in one batch.
        every_label: as in :func:`predict`.
        on_batch: told of progress.
        say: told in words where it goes on.

    Returns:
        How many prompts were too long, so that evidence was left out or cut.

    Raises:
        DataError: the part belongs to other work.
    """
    weights = adapter_sha256(adapter)
    asked = {"max_new_tokens": max_new_tokens, "weights_sha256": weights, "every_label": every_label or None}
    header = Header(
        model=model,
        template=template.name,
        template_sha256=template.sha256,
        dataset=dataset,
        split=split,
        seed=seed,
        rendered_sha256=rendered_sha256(template, engine.tokenizer),
        chat=template.unusual_chat,
        shard=None if shard is None else {**shard, **asked},
    )
    origin = made_from(header, examples, **asked, files_sha256=files)  # no matter to a shard: machines differ in it
    journal = Journal(part_of(out))
    answers, failure = Answers(elsewhere=not parallel.is_main()), None
    if parallel.is_main():
        try:
            answers = Answers(journal, origin)
        except DataError as error:
            failure = str(error)
    if failures := [message for message in parallel.gather([failure]) if message is not None]:
        raise DataError(failures[0])  # in every process, so that none waits for one that has given up
    answers.know(parallel.gather(answers.indices() if parallel.is_main() else []))
    if answers:
        say(f"going on with {len(examples) - len(answers)} of {len(examples)} claims")
    _answer(
        engine,
        examples,
        template,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        every_label=every_label,
        on_batch=on_batch,
        answers=answers,
    )
    shortened = 0
    if parallel.is_main():

        def counted() -> Iterator[Prediction]:
            nonlocal shortened
            for prediction in _predictions(examples, answers, template):
                shortened += prediction.evidence_dropped + prediction.evidence_cut > 0
                yield prediction

        write_predictions(out, header, counted())
        journal.path.unlink()
    return shortened


def _line(index: int, encoded: EncodedPrompt, rollout: Rollout) -> Line:
    return {
        "index": index,
        "text": rollout.text,
        "stopped": rollout.stopped,
        "label_probs": label_probs(np.array(rollout.probe_logprobs)).tolist(),
        "evidence_dropped": encoded.evidence_dropped,
        "evidence_cut": encoded.evidence_cut,
    }


def _prediction(example: Example, line: Line, template: templates.Template) -> Prediction:
    p_pass, p_fail, p_na = line["label_probs"]
    found = read_prediction(
        example, line["text"], template, stopped=line["stopped"], label_probs=(p_pass, p_fail, p_na)
    )
    stated = line.get("label_confidences")
    return replace(
        found,
        label_confidences=None if stated is None else (stated[0], stated[1], stated[2]),
        evidence_dropped=line["evidence_dropped"],
        evidence_cut=line["evidence_cut"],
    )


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
    every_label: bool = False,
    device: str,
    chat: Mapping[str, Any] | None = None,
    form: TableForm | None = None,
    shard: Shard | None = None,
    reporter: Reporter,
) -> int:
    """Answer the claims of a file and write the predictions; after a kill the same call goes on.

    While it works, every answer is a line of ``OUT.part``.

    Args:
        data: the claims.
        out: the file to write.
        model: a folder, a hub id, ``sandbox`` or another name that candor knows.
        adapter: PEFT folder to put on it.
        template: name of the prompt template.
        batch_size: prompts in one batch.
        max_new_tokens: longest answer; ``None`` for a run's own, else a recipe's default.
        every_label: ask what is stated behind the other labels as well.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        chat: how the chat template is rendered, as a recipe's part ``prompt`` says it.
        form: how a table is read.
        shard: answer these rows alone.
        reporter: told of progress.

    Where ``model`` is a run folder, its trained model answers, with its own prompt and chat settings.

    Returns:
        The number of predictions.

    Raises:
        DataError: the file cannot be read or holds no claims, ``out`` is there already or another process is at work on
            it, or its part belongs to other work.
        PromptError: no such template, or chat settings that cannot be rendered.
        ModelError: the model cannot be loaded.
        RunError: ``model`` is a run folder without a trained model, or holds several runs; names them.
    """
    with claims_of(data, form, shard) as claims:
        examples = claims.examples
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
        with journal_of(out):
            engine = load_engine(recipe_model, EngineConfig(), seed=0, adapter=adapter or False, reporter=reporter)
            with reporter.bar("predict", len(examples)) as bar:
                shortened = answer_into(
                    out,
                    engine,
                    examples,
                    chosen,
                    model=called if adapter is None else f"{called} + {adapter}",
                    dataset=claims.dataset or data.stem,
                    split="test",
                    seed=0,
                    shard=claims.shard,
                    adapter=adapter,
                    files=None if run is not None else files_sha256(recipe_model.name),
                    max_new_tokens=max_new_tokens or EvaluationConfig().max_new_tokens,
                    batch_size=batch_size,
                    every_label=every_label,
                    on_batch=bar.advance,
                    say=reporter.say,
                )
        if shortened:
            reporter.warn(f"{shortened} of {len(examples)} prompts were too long: evidence was left out or cut")
        return len(examples)
