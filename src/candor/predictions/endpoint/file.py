"""A file of claims in, a file of predictions by a model behind a server out; gone on with after a kill.

While it works, every answer is a line of ``OUT.part``, whose first line says what it is made from. The same command
asks only for what is missing there, and the predictions take their name once all are there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from candor.errors import EndpointError, PromptError, RefusedError
from candor.files import Journal, journal_of
from candor.predictions.endpoint.address import chat_url, public_url
from candor.predictions.endpoint.client import Asking, Endpoint
from candor.predictions.endpoint.label_probs import contradiction, listed_label_probs
from candor.predictions.endpoint.reply import Reply
from candor.predictions.file import Header, read_prediction, write_predictions
from candor.predictions.kept import Answers, Line, claims_of, made_from
from candor.predictions.spooled import SpooledExamples
from candor.progress import Bar, Reporter
from candor.prompts import templates
from candor.prompts.chat import SWITCHES, ChatSettings
from candor.prompts.control import disarm_unseen
from candor.recipe.data import TableForm
from candor.recipe.engine import Prices
from candor.shards import Shard
from candor.types import Example, Prediction

TOLD_SERVERS: Final = ("system", "chat_template_kwargs")
"""Keys of a recipe's part ``prompt`` that a server can be told."""

FIRST_ASKED: Final = 5
"""Claims that are asked before all others: if every one of them is refused, so would be the rest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a file.

    Attributes:
        rows: claims in the file.
        resumed: of these, answered by an earlier start.
        refused: id and reason of those that the server refused.
        written: whether the predictions are complete and have their name.
        without_probs: answers with a label whose probabilities the server did not tell.
        contradicted: of these, answers that came with probabilities that cannot be theirs.
        contradiction: how the first of them cannot.
        without_kwargs: answers that were asked for without ``chat_template_kwargs``, because the server refuses them.
        cut: answers that ran into the length limit.
        tokens_in, tokens_out: of all answers, as the server counts.
        uncounted: answers for which it did not.
        cost: at the prices given; ``None`` without.
    """

    rows: int
    resumed: int
    refused: tuple[tuple[str, str], ...]
    written: bool
    without_probs: int
    contradicted: int
    contradiction: str | None
    without_kwargs: int
    cut: int
    tokens_in: int
    tokens_out: int
    uncounted: int
    cost: float | None


def predict_endpoint(
    data: Path,
    out: Path,
    asking: Asking,
    *,
    template: str,
    chat: Mapping[str, Any] | None = None,
    prices: Prices | None,
    refused_as_wrong: bool,
    form: TableForm | None = None,
    shard: Shard | None = None,
    reporter: Reporter,
) -> Asked:
    """Answer the claims of a file over HTTP and write the predictions.

    Args:
        data: the claims, as for a model of one's own.
        out: the file to write.
        asking: which server and model, and how.
        template: name of the prompt template, sent as one user message.
        chat: a system message and variables of the server's chat template, as a recipe's part ``prompt`` says them
            (``system``, ``chat_template_kwargs``); the rest of the chat is the server's.
        prices: to show the cost, of tokens read (``prefill``) and written (``sample``).
        refused_as_wrong: write claims that the server refuses as answers without a label, which count as wrong. Else
            they stay open, and no predictions are written.
        form: how a table is read.
        shard: ask for these rows alone.
        reporter: told of progress.

    Raises:
        DataError: the claims cannot be read, ``out`` is there already or another process is at work on it, or its part
            belongs to other work.
        PromptError: no such template, or a chat setting that no server could be told.
        EndpointError: the server cannot be used, or refuses every claim; what is answered is kept.
    """
    asking, chosen = _in_chat(asking, template, chat or {})
    chat_url(asking.url)  # a wrong address is told before anything is written
    with claims_of(data, form, shard) as claims:
        examples = claims.examples
        asked = {"max_new_tokens": asking.max_new_tokens, "left_out": sorted(asking.leave_out)}
        header = Header(
            model=f"{asking.model} at {public_url(asking.url)}",
            template=chosen.name,
            template_sha256=chosen.sha256,
            dataset=claims.dataset or data.stem,
            split="test",
            seed=0,
            chat=_chat_of(asking),
            shard=None if claims.shard is None else {**claims.shard, **asked},
        )
        with journal_of(out) as journal:
            answers = _Counted(journal, header, examples, asking)
            resumed = len(answers)
            if resumed:
                reporter.say(f"going on with {len(examples) - resumed} of {len(examples)} claims")
            with reporter.bar("ask", len(examples), done=resumed) as bar:
                refused = asyncio.run(_ask_all(examples, chosen, asking, answers, prices, bar, reporter))
            known = range(len(examples)) if refused_as_wrong else [i for i in range(len(examples)) if i in answers]
            without_kwargs = answers.without_kwargs
            if without_kwargs and header.chat is not None:
                header = replace(header, chat={**header.chat, "answers_without_kwargs": without_kwargs})
            seen = _Seen()

            def predictions() -> Iterator[Prediction]:
                for index in known:
                    line = answers[index] if index in answers else _line(index, Reply("", True, None, None, None))
                    prediction = _prediction(examples[index], line, chosen)
                    seen.look(line, prediction)
                    yield prediction

            written = len(known) == len(examples)
            if written:
                write_predictions(out, header, predictions())
                journal.path.unlink()
            else:
                deque(predictions(), maxlen=0)
        return Asked(
            rows=len(examples),
            resumed=resumed,
            refused=tuple((examples[index].id, why) for index, why in sorted(refused.items())),
            written=written,
            without_probs=seen.without_probs,
            contradicted=seen.contradicted,
            contradiction=seen.contradiction,
            without_kwargs=without_kwargs,
            cut=seen.cut,
            tokens_in=answers.tokens_in,
            tokens_out=answers.tokens_out,
            uncounted=answers.uncounted,
            cost=answers.cost(prices),
        )


@dataclass
class _Seen:
    """What is counted of answers while they are written."""

    without_probs: int = 0
    contradicted: int = 0
    contradiction: str | None = None
    cut: int = 0

    def look(self, line: Line, prediction: Prediction) -> None:
        """Count one more."""
        self.without_probs += prediction.label is not None and prediction.label_probs is None
        self.cut += not line["stopped"]
        if why := line.get("contradiction"):
            self.contradicted += 1
            self.contradiction = self.contradiction or why


def _in_chat(asking: Asking, template: str, chat: Mapping[str, Any]) -> tuple[Asking, templates.Template]:
    """How the server is asked, and the prompt template whose hash tells it from one that is asked otherwise.

    Raises:
        PromptError: a setting that decides what a tokenizer's chat template is told here, where the server has its own.
    """
    for key in chat:
        if key not in TOLD_SERVERS:
            raise PromptError(
                f"chat: {key}: a server renders its own chat template; it can be told {' and '.join(TOLD_SERVERS)}"
            )
    plain = templates.get(template)
    kwargs = chat.get("chat_template_kwargs", {})
    if not isinstance(kwargs, Mapping) or not isinstance(system := chat.get("system"), str | None):
        raise PromptError("chat: system is text, and chat_template_kwargs a mapping of names to values")
    # A thought that is switched off is what candor asks of models here, too: the question is the same.
    told = {name: value for name, value in kwargs.items() if name not in SWITCHES or value is not False}
    try:
        chosen = templates.in_chat(plain, ChatSettings(system=system, kwargs=told))
    except ValueError as error:
        raise PromptError(f"chat: {error}") from error
    return replace(asking, system=system, chat_template_kwargs=dict(kwargs)), chosen


def _chat_of(asking: Asking) -> dict[str, Any] | None:
    """What the server is told of the chat, where it is told anything."""
    if asking.system is None and not asking.chat_template_kwargs:
        return None
    return {"system": asking.system, "kwargs": dict(asking.chat_template_kwargs)}


async def _ask_all(
    examples: SpooledExamples,
    template: templates.Template,
    asking: Asking,
    answers: _Counted,
    prices: Prices | None,
    bar: Bar,
    reporter: Reporter,
) -> dict[int, str]:
    """Ask for what is not answered yet; which claims were refused, and why."""
    missing = [index for index in range(len(examples)) if index not in answers]
    refused: dict[int, str] = {}

    async def work(waiting: Iterator[int]) -> None:
        for index in waiting:
            try:
                reply = await endpoint.ask(template.render(disarm_unseen(examples[index])))
            except RefusedError as error:
                refused[index] = str(error)
                reporter.warn(f"{examples[index].id}: refused: {error}")
            else:
                answers.append([_line(index, reply, without_kwargs=not endpoint.takes_kwargs)])
            cost = answers.cost(prices)
            bar.advance(1, {} if cost is None else {"cost": cost})

    async with Endpoint(asking, say=reporter.warn) as endpoint:
        # Nothing tells a wrong model's 400 from that of one claim, but that no claim at all is answered.
        first = 0 if answers else FIRST_ASKED
        for batch in (missing[:first], missing[first:]):
            waiting = iter(batch)
            workers = [asyncio.create_task(work(waiting)) for _ in range(min(asking.concurrency, len(batch)))]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
            if refused and not answers:
                raise EndpointError(
                    f"{public_url(asking.url)} refused all of the first {len(refused)} claims, the last with: "
                    f"{refused[max(refused)]}; check --endpoint, --model and --api-key-env, or begin the file with "
                    "claims that are answered"
                )
    return refused


def _line(index: int, reply: Reply, *, without_kwargs: bool = False) -> Line:
    """An answer as the part keeps it."""
    return {
        **({"without_kwargs": True} if without_kwargs else {}),
        "index": index,
        "text": reply.text,
        "stopped": reply.stopped,
        "label_probs": listed_label_probs(reply.text, reply.logprobs),
        "contradiction": contradiction(reply.text, reply.logprobs),
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
    }


def _prediction(example: Example, line: Line, template: templates.Template) -> Prediction:
    probs = line["label_probs"]
    label_probs = None if probs is None else (probs[0], probs[1], probs[2])
    return read_prediction(example, line["text"], template, stopped=line["stopped"], label_probs=label_probs)


class _Counted(Answers):
    """Answers with the tokens that the server counted."""

    def __init__(self, journal: Journal, header: Header, examples: SpooledExamples, asking: Asking) -> None:
        """Take over what an earlier start was answered.

        Raises:
            DataError: the journal belongs to other work.
        """
        self.tokens_in = self.tokens_out = self.uncounted = self.without_kwargs = 0
        left_out = sorted(asking.leave_out) or None
        super().__init__(journal, made_from(header, examples, max_new_tokens=asking.max_new_tokens, left_out=left_out))

    def cost(self, prices: Prices | None) -> float | None:
        """What the tokens cost so far; ``None`` without prices."""
        return None if prices is None else prices.cost(prefill=self.tokens_in, sample=self.tokens_out)

    def _keep(self, line: Line, start: int) -> None:
        super()._keep(line, start)
        self.tokens_in += line["tokens_in"] or 0
        self.tokens_out += line["tokens_out"] or 0
        self.uncounted += line["tokens_in"] is None or line["tokens_out"] is None
        self.without_kwargs += line.get("without_kwargs", False)
