"""The command line. Every command is a thin call into the package; torch is loaded only where a model is."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

import candor
from candor.cli import compare, predict, verify
from candor.cli import data as data_commands
from candor.cli.check import check
from candor.cli.init import init
from candor.cli.models import models
from candor.cli.power import power
from candor.cli.recipes import app as recipes_app
from candor.cli.shards import join
from candor.errors import CandorError, RecipeError, Stopped
from candor.run_folder import RunFolder

if TYPE_CHECKING:
    from candor.recipe.recipe import Recipe
    from candor.runs.plan import RunPlan

# Newer versions of Typer carry a click of their own; this finds the base of its errors in either.
ClickException: type[typer.BadParameter] = typer.BadParameter.__mro__[2]

EXIT_FAILED = 1
EXIT_WRONG_USE = 2
EXIT_STOPPED = 130
"""What shells use for a process ended by Ctrl-C."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What people, batch systems and closing terminals send to have a process end."""

app = typer.Typer(
    name="candor",
    help="Train a language model to say 'not enough information' and to state a confidence that means something, "
    "and prove whether it worked.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_commands.app, name="data")
app.add_typer(recipes_app, name="recipes")
app.command("audit")(data_commands.audit_command)
app.command()(power)
app.command("models")(models)
app.command("init")(init)
app.command("check")(check)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--override", "-o", metavar="KEY=VALUE", help="Change a value of the recipe, e.g. -o train.steps=20."),
]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the run. Default: runs/NAME.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder with official data files. Default: ./data or the user cache.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Runs at once, each in a process of its own.")]
LogTo = Annotated[
    list[str] | None,
    typer.Option("--log-to", metavar="TRACKER", help="Also tell tensorboard, wandb or trackio; with commas, or again."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result only.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"candor {candor.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("candor").setLevel(logging.DEBUG if debug else logging.INFO)


@app.command()
def demo(
    overrides: Overrides = None, out: Out = None, jobs: Jobs = 2, log_to: LogTo = None, quiet: Quiet = False
) -> None:
    """Run the built-in experiment: the sandbox, minutes on a laptop CPU, no network.

    [bold]Examples[/]

    candor demo

    candor demo -o seeds=[0,1,2] --out runs/demo-three-seeds
    """
    run("demo", overrides, out, None, jobs, log_to, quiet)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that comes with candor.")],
    overrides: Overrides = None,
    out: Out = None,
    data_dir: DataDir = None,
    jobs: Jobs = 1,
    log_to: LogTo = None,
    quiet: Quiet = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Run nothing; count tokens, requests and cost; hours, memory and disk here.",
        ),
    ] = False,
    gpu_hour: Annotated[
        float | None, typer.Option("--gpu-hour", min=0, help="With --plan: price of a GPU for an hour.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Spend money on a hosted service without asking.")] = False,
) -> None:
    """Run an experiment: data, base model, training, trained model, comparison, report.

    Does only what is missing: a run that was stopped or killed goes on where it was.

    [bold]Examples[/]

    candor run recipes/demo.yaml -o train.steps=20

    candor run paper-fever --data-dir data --out runs/fever

    candor run paper-fever --data-dir data --plan --gpu-hour 3

    candor run paper-fever-service --data-dir data --plan
    """
    from candor.recipe.recipe import find_recipe, load_recipe, resolve_arms

    if gpu_hour is not None and not plan:
        raise typer.BadParameter("no effect without --plan", param_hint="--gpu-hour")
    loaded = load_recipe(find_recipe(recipe), overrides or [])
    folder = out or Path("runs") / loaded.name
    spends = any(arm.engine.spends for arm in resolve_arms(loaded).values())
    if plan or (spends and not yes):
        from candor.runs.plan import make_plan, plan_text

        if gpu_hour is not None and loaded.engine.kind != "local":
            raise typer.BadParameter("no effect: a service has prices of its own", param_hint="--gpu-hour")
        plans = make_plan(loaded, data_dir=data_dir)
        typer.echo(plan_text(plans, loaded.engine.prices))
        if loaded.engine.kind == "local":
            typer.echo(_on_machines(loaded, plans, gpu_hour))
        if plan:
            return
        if not sys.stdin.isatty():
            raise RecipeError(
                "engine.kind=tinker without base_url spends money on the hosted service; agree with --yes"
            )
        typer.confirm("This is spent on the hosted service. Go on?", abort=True)
    from candor.engines import parallel
    from candor.progress import Reporter
    from candor.runs.experiment import run_experiment
    from candor.runs.workers import end_with_starter

    end_with_starter()
    parallel.start()
    reporter = Reporter(quiet=quiet or not parallel.is_main())
    try:
        with _stop_on_signal() as should_stop:
            runs = run_experiment(
                loaded,
                folder,
                data_dir=data_dir,
                reporter=reporter,
                should_stop=should_stop,
                jobs=jobs,
                log_to=log_to or (),
            )
        if parallel.is_main():
            _print_results(runs)
            page = RunFolder(folder).report
            if page.is_file():
                reporter.say(f"report: {page}")
    finally:
        parallel.stop()


app.command("predict")(predict.predict)


app.command("join")(join)


app.command("compare")(compare.compare)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders with run folders in them.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Page to write. Default: report.html in the (first) folder.")
    ] = None,
) -> None:
    """Build the report of one run, or one page of several, from their saved files.

    [bold]Examples[/]

    candor report runs/demo

    candor report runs/paper runs/candor --out comparison.html
    """
    from candor.report.page import build_page, report_run

    page = report_run(runs[0]) if len(runs) == 1 and out is None else build_page(runs, out or RunFolder(runs[0]).report)
    typer.echo(str(page))


verify.add_to(app)


def _on_machines(recipe: Recipe, plans: Sequence[RunPlan], gpu_hour: float | None) -> str:
    """Hours, memory and disk here and on GPUs, or why they are not known."""
    from candor.runs.gpu_plan import gpu_text
    from candor.runs.local_plan import local_text, matrix_speed, model_size

    told = []
    for on_gpu in (False, True):
        try:
            size = model_size(recipe, on_gpu=on_gpu)
        except (CandorError, OSError, ValueError) as error:
            where, why = "on GPUs" if on_gpu else "here", " ".join(str(error).split())[:200]
            told.append(f"hours and memory {where} are not known ({why})")
        else:
            told.append(
                gpu_text(plans, size, price=gpu_hour) if on_gpu else local_text(recipe, plans, size, matrix_speed(size))
            )
    return "\n".join(told)


def _print_results(runs: list[Path]) -> None:
    from candor.report.arms import arms_of
    from candor.report.formats import TerminalTable, terminal_table
    from candor.report.runs import find_runs
    from candor.report.tables import arms_table

    compared = [folder for folder in runs if RunFolder(folder).results.is_file()]
    finished = find_runs(*compared) if compared else []
    if len(finished) == 1:
        Console().print(terminal_table(finished[0].results))
    elif finished:
        Console().print(TerminalTable(arms_table(arms_of(finished))))


class _stop_on_signal:  # noqa: N801 - reads as a verb where it is used
    """While the block runs, the first Ctrl-C, TERM or HUP asks for a stop at the next safe place, another ends at once.

    A HUP that whoever started us has ignored (nohup) stays ignored.
    """

    def __enter__(self) -> Callable[[], bool]:
        self._asked = False
        self._before = {number: signal.getsignal(number) for number in STOPPING}
        if self._before[signal.SIGHUP] is signal.SIG_IGN:
            del self._before[signal.SIGHUP]

        def handler(number: int, frame: FrameType | None) -> None:
            if self._asked:
                raise KeyboardInterrupt
            self._asked = True
            # A terminal that was hung up takes no words any more.
            with contextlib.suppress(OSError):
                print(
                    "\nstopping as soon as nothing is lost by it (after the training step); once more to stop at once",
                    file=sys.stderr,
                )

        for number in self._before:
            signal.signal(number, handler)
        return lambda: self._asked

    def __exit__(self, *_: object) -> None:
        for number, what in self._before.items():
            signal.signal(number, what)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=given, standalone_mode=False)
    except ClickException as error:
        error.show()
        sys.exit(EXIT_WRONG_USE)
    except (typer.Abort, KeyboardInterrupt):
        code = EXIT_STOPPED
    except Stopped as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_STOPPED)
    except CandorError as error:
        _fail(error, given, EXIT_WRONG_USE if isinstance(error, RecipeError) else EXIT_FAILED)
    except OSError as error:
        _fail(error, given, EXIT_FAILED)
    if code == EXIT_STOPPED:  # which typer makes of Ctrl-C, too, without a word
        print("stopped; run the same command again to go on", file=sys.stderr)
    sys.exit(code or 0)


def _fail(error: Exception, given: list[str], code: int) -> None:
    """Print an error in one line, with its traceback if asked for."""
    if "--debug" in given:
        import traceback

        traceback.print_exception(error)
    from candor.progress import visible

    print(f"error: {visible(' '.join(str(error).split()))}", file=sys.stderr)
    sys.exit(code)
