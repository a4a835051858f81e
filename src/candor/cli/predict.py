"""The command ``predict``: a model of one's own, or one behind a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor.cli.chat import ChatOption, chat_settings
from candor.cli.shards import ShardOption, shard_of
from candor.cli.tables import ColumnOption, LabelOption, table_form
from candor.errors import CandorError

if TYPE_CHECKING:
    from candor.predictions.endpoint.client import Asking
    from candor.predictions.endpoint.file import Asked
    from candor.progress import Reporter
    from candor.recipe.data import TableForm
    from candor.recipe.engine import Prices

REFUSED_SHOWN = 5

_HERE = frozenset({"adapter", "batch_size", "device", "every_label"})
_BEHIND_A_SERVER = frozenset(
    {
        *("endpoint", "api_key_env", "concurrency", "requests_per_minute", "timeout", "retries", "leave_out"),
        *("price_in", "price_out", "refused_as_wrong"),
    }
)
_ASKING = frozenset({*_HERE, *_BEHIND_A_SERVER, "chat", "max_new_tokens", "shard"})


def predict(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(help="Claims: JSONL, JSON, CSV, TSV, Parquet, with claim, evidence and label."),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A run folder, a model folder, a hub id, or 'sandbox'; its name at the endpoint."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Prediction file to write.")],
    adapter: Annotated[Path | None, typer.Option("--adapter", help="Adapter folder of a run.")] = None,
    template: Annotated[
        str | None, typer.Option("--template", help="Prompt template. Default: a run's own, else 'verdict'.")
    ] = None,
    chat: ChatOption = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Prompts in one batch.")] = 64,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", min=1, help="Longest answer. Default: a run's own, else 32.")
    ] = None,
    every_label: Annotated[
        bool, typer.Option("--every-label", help="Also ask what is stated behind the labels that are not chosen.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Address of an OpenAI-compatible server, in place of a model here.")
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", help="Environment variable with the server's key, e.g. OPENAI_API_KEY."),
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Endpoint: questions at once.")] = 8,
    requests_per_minute: Annotated[
        float | None, typer.Option("--requests-per-minute", min=0.01, help="Endpoint: most requests in a minute.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.01, help="Endpoint: seconds for one attempt.")] = 60.0,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Endpoint: attempts after the first.")] = 6,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="FIELD",
            help="Endpoint: never send top_logprobs, logprobs, temperature or max_tokens; with commas, or again.",
        ),
    ] = None,
    price_in: Annotated[
        float | None, typer.Option("--price-in", min=0, help="Endpoint: price of a million tokens in.")
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", min=0, help="Endpoint: price of a million tokens out.")
    ] = None,
    refused_as_wrong: Annotated[
        bool,
        typer.Option("--refused-as-wrong", help="Endpoint: count claims that the server refuses as wrong answers."),
    ] = False,
    from_rollouts: Annotated[
        Path | None,
        typer.Option("--from-rollouts", help="Take the answers from a file of verl, SkyRL or verifiers; -m is a name."),
    ] = None,
    column: ColumnOption = None,
    label: LabelOption = None,
    shard: ShardOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")] = False,
) -> None:
    """Answer claims with a model, greedily, and keep label probabilities beside the answers.

    Answers are kept as they come; the same command goes on after a kill.

    [bold]Examples[/]

    candor predict runs/demo/paper-seed0/data/test.jsonl -m sandbox --template sandbox --out base.jsonl

    candor predict claims.csv -m runs/mine --out trained.jsonl

    candor predict claims.csv -m ./my-model --adapter runs/mine/adapter --out trained.jsonl

    candor predict claims.csv --endpoint http://127.0.0.1:8000/v1 -m my-model --out theirs.jsonl

    candor predict claims.tsv -m ./my-model --out mine.jsonl --column claim=text --label yes=PASS --label no=FAIL

    candor predict claims.csv -m ./my-model --out mine.jsonl --chat system="Be brief." --chat date=2025-06-01

    candor predict claims.csv -m runs/mine --shard 3/16 --out part-3.jsonl

    candor predict claims.csv -m qwen-verl --from-rollouts validation/160.jsonl --out theirs.jsonl
    """
    from candor.progress import Reporter

    reporter = Reporter(quiet=quiet)
    form = table_form(column, label)
    if from_rollouts is not None:
        _refuse(context, _ASKING, "nobody is asked for answers that are there already (--from-rollouts)")
        _take(data, from_rollouts, out, model, template, form, reporter)
        return
    if endpoint is None:
        _refuse(context, _BEHIND_A_SERVER, "there is no --endpoint")
        from candor.predictions.local import predict_file

        count = predict_file(
            data,
            out,
            model=model,
            adapter=adapter,
            template=template,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            every_label=every_label,
            device=device,
            chat=chat_settings(chat),
            form=form,
            shard=shard_of(shard),
            reporter=reporter,
        )
        typer.echo(f"{count} predictions in {out}")
        return
    _refuse(context, _HERE, "the model is behind a server (--endpoint)")
    from candor.predictions.endpoint.client import Asking
    from candor.predictions.endpoint.file import predict_endpoint
    from candor.recipe.evaluation import EvaluationConfig

    max_new_tokens = max_new_tokens or EvaluationConfig().max_new_tokens
    asking = Asking(
        url=endpoint,
        model=model,
        key=_key(api_key_env),
        max_new_tokens=max_new_tokens,
        timeout=timeout,
        retries=retries,
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        leave_out=_fields(leave_out or []),
    )
    _warn_of_open_key(asking, reporter)
    asked = predict_endpoint(
        data,
        out,
        asking,
        template=template or "verdict",
        chat=chat_settings(chat),
        prices=_prices(price_in, price_out),
        refused_as_wrong=refused_as_wrong,
        form=form,
        shard=shard_of(shard),
        reporter=reporter,
    )
    _tell(asked, out, max_new_tokens)
    if not asked.written:
        raise typer.Exit(1)


def _refuse(context: typer.Context, names: frozenset[str], reason: str) -> None:
    """Refuse options that would have no effect."""
    sources = {parameter: context.get_parameter_source(parameter.name or "") for parameter in context.command.params}
    given = [
        parameter.opts[0]
        for parameter, source in sources.items()  # compared by name, because some typers have a click of their own
        if parameter.name in names and source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        them = "it" if len(given) == 1 else "them"
        raise typer.BadParameter(f"no effect: {reason}; leave {them} out", param_hint=", ".join(given))


def _take(
    data: Path,
    rollouts: Path,
    out: Path,
    model: str,
    template: str | None,
    form: TableForm | None,
    reporter: Reporter,
) -> None:
    from candor.predictions.rollouts import predictions_from_rollouts

    taken = predictions_from_rollouts(data, rollouts, out, model=model, template=template or "verdict", form=form)
    if taken.others:
        reporter.say(f"{taken.others} answers in {rollouts} are to other claims than those of {data}")
    typer.echo(f"{taken.rows} predictions in {out}")


def _prices(tokens_in: float | None, tokens_out: float | None) -> Prices | None:
    """Prices where one is given at least: a server may charge for one side alone, and trains nothing."""
    from candor.recipe.engine import Prices

    if tokens_in is None and tokens_out is None:
        return None
    return Prices(prefill=tokens_in or 0.0, sample=tokens_out or 0.0, train=0.0)


def _fields(names: list[str]) -> frozenset[str]:
    from candor.predictions.endpoint.form import FIELDS

    found = frozenset(part.strip() for name in names for part in name.split(",") if part.strip())
    for name in sorted(found - set(FIELDS)):
        raise typer.BadParameter(
            f"{name!r} cannot be left out; these can: {', '.join(FIELDS)}", param_hint="--leave-out"
        )
    return found


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise CandorError(f"the environment variable {variable} (--api-key-env) is not set, or empty")
    if not key.isascii() or not key.isprintable():
        raise CandorError(f"the environment variable {variable} (--api-key-env) holds signs that no key has")
    return key


def _warn_of_open_key(asking: Asking, reporter: Reporter) -> None:
    from urllib.parse import urlsplit

    from candor.predictions.endpoint.address import chat_url

    parts = urlsplit(chat_url(asking.url))
    if asking.key and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        reporter.warn("the key goes over the network unencrypted (http, not https)")


def _tell(asked: Asked, out: Path, max_new_tokens: int) -> None:
    if asked.written:
        typer.echo(f"{asked.rows} predictions in {out}")
    counted = f"tokens: {asked.tokens_in:,} in, {asked.tokens_out:,} out"
    if asked.uncounted:
        counted += f" ({asked.uncounted} answers came without a count)"
    if asked.cost is not None:
        counted += f"; cost {asked.cost:.4f} at the prices given"
    typer.echo(counted)
    if asked.contradicted:
        typer.echo(
            f"{asked.contradicted} of {asked.rows} answers came with log-probabilities that cannot be theirs ("
            f"{asked.contradiction}), so they have no label probabilities"
        )
    if asked.without_kwargs:
        typer.echo(
            f"{asked.without_kwargs} of {asked.rows} answers came without the chat_template_kwargs asked for, which "
            "the server does not take: its chat template was rendered as it likes"
        )
    if asked.without_probs:
        typer.echo(
            f"{asked.without_probs} of {asked.rows} answers have no label probabilities, because the server did not "
            "give them, or none that fit; figures of p(label) are left out of comparisons"
        )
    if asked.cut:
        typer.echo(f"{asked.cut} answers were cut at {max_new_tokens} tokens; --max-new-tokens allows more")
    if asked.refused:
        ids = ", ".join(row for row, _ in asked.refused[:REFUSED_SHOWN])
        more = ", ..." if len(asked.refused) > REFUSED_SHOWN else ""
        fate = (
            "counted as wrong"
            if asked.written
            else f"so {out} is not written; the same command asks for them again, --refused-as-wrong counts them so"
        )
        typer.echo(f"{len(asked.refused)} claims were refused ({ids}{more}), {fate}", err=True)
