"""Commands that use a trained model: ``verify``, ``serve``, ``export``, ``push``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candor.cli.chat import ChatOption, chat_settings
from candor.cli.shards import ShardOption, shard_of
from candor.cli.tables import ColumnOption, table_form
from candor.errors import CandorError, install_line

if TYPE_CHECKING:
    from candor.progress import Reporter
    from candor.recipe.data import TableForm
    from candor.shards import Shard
    from candor.verifier import Verdict, Verifier

Adapter = Annotated[Path | None, typer.Option("--adapter", help="Adapter folder, for a model that is no run.")]
TemplateName = Annotated[str | None, typer.Option("--template", help="Prompt template, for a model that is no run.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Risk = Annotated[
    float | None,
    typer.Option("--risk", help="Error allowed among accepted answers, e.g. 0.1. Default: as the run's recipe says."),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Most claims in one forward pass.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]

BAR_WIDTH = 24


def add_to(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    app.command("verify")(verify)
    app.command("serve")(serve)
    app.command("export")(export)
    app.command("push")(push)


def verify(
    claims: Annotated[
        Path | None,
        typer.Argument(help="Claims to judge: JSONL, JSON, CSV, TSV or Parquet with claim, evidence and perhaps id."),
    ] = None,
    run: Annotated[
        str, typer.Option("--run", "--model", "-m", help="A run folder, an exported folder, or any model.")
    ] = "",
    claim: Annotated[str | None, typer.Option("--claim", help="One claim, in place of a file.")] = None,
    evidence: Annotated[
        list[str] | None, typer.Option("--evidence", "-e", help="An evidence sentence; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Verdicts to write, one JSON object per line.")] = None,
    adapter: Adapter = None,
    template: TemplateName = None,
    chat: ChatOption = None,
    device: Device = "auto",
    risk: Risk = None,
    batch_size: BatchSize = 32,
    column: ColumnOption = None,
    shard: ShardOption = None,
    quiet: Quiet = False,
) -> None:
    """Judge one claim, or a file of them, with a trained model.

    A file's verdicts are written as they come; the same command goes on after a kill.

    [bold]Examples[/]

    candor verify --run runs/mine --claim "Owls are birds." --evidence "Owls are birds of prey." --json

    candor verify claims.jsonl --out verdicts.jsonl --run runs/mine
    """
    if not run:
        raise typer.BadParameter("missing: a run folder, an exported folder, or a model", param_hint="--run")
    if (claims is None) == (claim is None):
        raise typer.BadParameter("give one claim, or a file of claims, and not both", param_hint="--claim")
    if claims is not None and out is None:
        raise typer.BadParameter("missing: where to write the verdicts of a file", param_hint="--out")
    from candor.progress import Reporter

    reporter = Reporter(quiet=quiet)
    form = table_form(column, None)
    part = shard_of(shard)
    if part is not None and claims is None:
        raise typer.BadParameter("one claim has no shards", param_hint="--shard")
    verifier = _load(run, adapter, template, chat, device, risk, batch_size, reporter)
    if claims is None or out is None:
        verdict = verifier.verify(claim or "", evidence or [])
        typer.echo(json.dumps(verdict.as_json()) if as_json else _in_words(verdict, verifier))
        return
    _verify_file(claims, out, verifier, batch_size, form, part, reporter)


def _load(
    run: str,
    adapter: Path | None,
    template: str | None,
    chat: list[str] | None,
    device: str,
    risk: float | None,
    batch_size: int,
    reporter: Reporter,
) -> Verifier:
    from candor.verifier import Verifier

    verifier = Verifier.load(
        run,
        adapter=adapter,
        template=template,
        chat=chat_settings(chat),
        device=device,
        risk=risk,
        batch_size=batch_size,
        reporter=reporter,
    )
    rule = verifier.abstention
    if rule is not None and rule.choice.threshold is None:
        reporter.warn(f"no answer will be accepted at a risk of {rule.risk:g}: {rule.choice.reason}")
    return verifier


def _verify_file(
    claims: Path,
    out: Path,
    verifier: Verifier,
    batch_size: int,
    form: TableForm | None,
    shard: Shard | None,
    reporter: Reporter,
) -> None:
    from contextlib import ExitStack

    from candor.progress import Bar
    from candor.recipe.data import TableForm
    from candor.verifier.file import verify_file

    with ExitStack() as stack:
        bars: list[Bar] = []

        def on_total(total: int, done: int) -> None:
            if done:
                reporter.say(f"going on behind row {done} of {total}")
            bars.append(stack.enter_context(reporter.bar("verify", total, done=done)))

        outcome = verify_file(
            claims,
            out,
            verifier,
            batch_size=batch_size,
            columns=(form or TableForm()).columns,
            shard=shard,
            on_total=on_total,
            on_batch=lambda rows: bars[0].advance(rows),
            on_bad_row=lambda words: reporter.warn(f"bad row: {words}"),
        )
    typer.echo(f"{outcome.rows - outcome.bad} verdicts in {out}")
    if outcome.resemblance is not None and outcome.resemblance.shifted:
        reporter.warn(outcome.resemblance.words)
    if outcome.bad:
        typer.echo(f"{outcome.bad} of {outcome.rows} rows could not be used; their lines say why", err=True)
        raise typer.Exit(1)


def _in_words(verdict: Verdict, verifier: Verifier) -> str:
    words = {"PASS": "the evidence supports the claim", "FAIL": "the evidence refutes the claim"}
    meaning = words.get(verdict.label.value, "the evidence does not say")
    lines = [f"{verdict.label.value}  {meaning}; stated confidence {verdict.confidence:.2f}"]
    for name, p in verdict.as_json()["label_probs"].items():
        lines.append(f"  {name:4s} {'█' * round(BAR_WIDTH * p):{BAR_WIDTH}s} {p:.3f}")
    rule = verifier.abstention
    if verdict.accepted is False and rule is not None:
        lines.append(f"I don't know: below what may be accepted at a risk of {rule.risk:g}")
    elif verdict.accepted and rule is not None:
        lines.append(f"accepted at a risk of at most {rule.risk:g} (on claims like those of {', '.join(rule.sources)})")
    if verdict.unfamiliar:
        lines.append("this claim looks unlike those that the threshold was chosen on: for it nothing is promised")
    if verdict.evidence_dropped:
        lines.append(f"the last {verdict.evidence_dropped} evidence sentences were cut: the prompt was too long")
    if verdict.evidence_cut:
        lines.append(f"the evidence sentence shown was cut by {verdict.evidence_cut} characters: too long")
    return "\n".join(lines)


def serve(
    run: Annotated[str, typer.Argument(help="A run folder, an exported folder, or any model.")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str, typer.Option("--token", envvar="CANDOR_TOKEN", help="What clients must send as a bearer token.")
    ] = "",
    max_batch: Annotated[int, typer.Option("--max-batch", min=1, help="Most claims in one forward pass.")] = 32,
    max_queue: Annotated[int, typer.Option("--max-queue", min=1, help="Claims that may wait; more get 429.")] = 256,
    timeout: Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds until a claim gets 504.")] = 30.0,
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="A further name[:port] that clients may call it by.")
    ] = None,
    adapter: Adapter = None,
    template: TemplateName = None,
    chat: ChatOption = None,
    device: Device = "auto",
    risk: Risk = None,
    quiet: Quiet = False,
) -> None:
    """Serve a trained model over HTTP, with a page to try it at /.

    [bold]Examples[/]

    candor serve runs/mine

    CANDOR_TOKEN=secret candor serve runs/mine --host 0.0.0.0 --port 8080
    """
    from candor.progress import Reporter

    try:
        from candor.serve.server import serve as serve_forever
    except ModuleNotFoundError as error:
        raise CandorError(f"candor serve needs {error.name}; install it with: {install_line('serve')}") from error
    from candor.serve.settings import Settings

    reporter = Reporter(quiet=quiet)
    verifier = _load(run, adapter, template, chat, device, risk, max_batch, reporter)
    settings = Settings(token=token or None, max_batch=max_batch, max_queue=max_queue, timeout=timeout)
    serve_forever(verifier, settings, host=host, port=port, reporter=reporter, allow_hosts=allow_host or [])


def export(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to make.")],
    merged: Annotated[bool, typer.Option("--merged", help="The whole model with the adapter in its weights.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a trained model as a folder to share: adapter or merged weights, and a model card.

    [bold]Examples[/]

    candor export runs/mine --out mine-adapter

    candor export runs/mine --out mine-merged --merged
    """
    from candor.progress import Reporter
    from candor.verifier.export import export_run

    export_run(run, out, merged=merged, reporter=Reporter(quiet=quiet))
    typer.echo(f"{'merged model' if merged else 'adapter'} and model card in {out}")


def push(
    folder: Annotated[Path, typer.Argument(help="What candor export wrote.")],
    repo: Annotated[str, typer.Argument(help="owner/name on the Hugging Face hub.")],
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public; else it is private.")] = False,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Address of another hub.")] = None,
) -> None:
    """Upload an exported model to the Hugging Face hub, with the login of hf auth login.

    [bold]Example[/]

    candor push mine-adapter me/mine-adapter
    """
    from candor.verifier.hub import push_folder

    typer.echo(push_folder(folder, repo, private=not public, endpoint=endpoint))
