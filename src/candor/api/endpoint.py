"""A model behind an OpenAI-compatible server, asked from a program or a notebook."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from candor.api.predictions import Predictions, read_predictions
from candor.data.inputs import read_splits
from candor.errors import DataError, EndpointError
from candor.predictions.endpoint.address import public_url
from candor.predictions.endpoint.client import Asking
from candor.predictions.endpoint.file import predict_endpoint
from candor.predictions.file import read_predictions as read_file
from candor.progress import Reporter
from candor.prompts import templates


def ask_endpoint(
    data: Path | str,
    out: Path | str,
    *,
    url: str,
    model: str,
    key: str | None = None,
    template: str = "verdict",
    max_new_tokens: int = 32,
    timeout: float = 60.0,
    retries: int = 6,
    concurrency: int = 8,
    requests_per_minute: float | None = None,
    refused_as_wrong: bool = False,
    quiet: bool = False,
) -> Predictions:
    """Have a model behind a server answer the claims of a file, and keep its answers.

    The same call goes on where an earlier one was stopped, and reads the answers where they are complete.

    Args:
        data: claims with evidence and label: JSONL, JSON, CSV, TSV, Parquet.
        out: prediction file to write.
        url: address of the server, e.g. ``http://127.0.0.1:8000/v1``.
        model: its name there.
        key: sent as a bearer token and written nowhere.
        template: name of the prompt template, sent as one user message.
        max_new_tokens: longest answer.
        timeout: seconds for one attempt.
        retries: attempts after the first.
        concurrency: questions under way at once.
        requests_per_minute: attempts started in a minute at most; ``None`` for no limit.
        refused_as_wrong: count claims that the server refuses as wrong answers, in place of an error.
        quiet: whether to print no progress.

    Raises:
        DataError: the claims cannot be read, or ``out`` holds answers to others or of another model.
        EndpointError: the server cannot be used, or refuses claims; what is answered is kept.
    """
    out = Path(out)
    if out.is_file():
        return _answered(Path(data), out, f"{model} at {public_url(url)}", template)
    asking = Asking(url, model, key, max_new_tokens, timeout, retries, concurrency, requests_per_minute)
    work = partial(
        predict_endpoint,
        Path(data),
        out,
        asking,
        template=template,
        prices=None,
        refused_as_wrong=refused_as_wrong,
        reporter=Reporter(quiet=quiet),
    )
    # A notebook runs in an event loop of its own, beside which no other may begin in the same thread.
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(work).result() if _in_event_loop() else work()
    if not asked.written:
        name, why = asked.refused[0]
        raise EndpointError(
            f"the server refuses {len(asked.refused)} of {asked.rows} claims, the first of them {name!r} ({why}); "
            "mend them and ask again, or take them as wrong answers with refused_as_wrong=True"
        )
    return read_predictions(out)


def _answered(data: Path, out: Path, model: str, template: str) -> Predictions:
    """The answers that are there, if they are this model's to these claims, asked in this prompt."""
    answers = read_predictions(out)
    header = read_file(out).header
    if header.template_sha256 != templates.get(template).sha256:
        raise DataError(
            f"holds answers to the prompt {header.template!r} in another wording or chat than {template!r} has; name "
            "another file, or remove this one",
            file=out,
        )
    splits = read_splits(str(data), data_dir=None, form=None)
    asked = [(one.claim, one.evidence) for split in splits.values() for group in split.values() for one in group]
    if answers.model != model or [(row.claim, row.evidence) for row in answers] != asked:
        raise DataError(
            f"holds the answers of {answers.model} to {len(answers)} claims, not those of {model} to the "
            f"{len(asked)} of {data}; name another file, or remove this one",
            file=out,
        )
    return answers


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
