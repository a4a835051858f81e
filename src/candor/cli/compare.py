"""The command ``candor compare``: prediction files against each other, on one dataset or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from candor.errors import RecipeError

# The defaults are those of compare_files; written out, so that --help need not load numpy.
RESAMPLES = 10_000
RISK, RISK_CONFIDENCE = 0.10, 0.95


def compare(
    files: Annotated[
        list[Path], typer.Argument(help="Predictions of the base and of the trained model, for each dataset in turn.")
    ],
    datasets: Annotated[
        str,
        typer.Option("--datasets", metavar="NAMES", help="Names, with commas. Default: as recorded."),
    ] = "",
    trained_on: Annotated[
        list[str] | None,
        typer.Option(
            "--trained-on", metavar="NAMES", help="Datasets that were trained on; all others are out of domain."
        ),
    ] = None,
    in_domain: Annotated[
        bool | None,
        typer.Option("--in-domain/--out-of-domain", help="The same of every dataset, for the findings."),
    ] = None,
    arms: Annotated[
        str,
        typer.Option("--arms", metavar="NAMES", help="Several trained models: their names, each with as many files."),
    ] = "",
    names: Annotated[
        str,
        typer.Option("--names", metavar="NAMES", help="Models against each other, none the base: each with its files."),
    ] = "",
    validation: Annotated[
        list[str] | None,
        typer.Option(
            "--validation",
            metavar="BASE,TRAINED",
            help="Answers to other examples, to recalibrate and to choose the threshold on; again for more.",
        ),
    ] = None,
    risk: Annotated[
        float, typer.Option("--risk", help="Error rate among accepted answers that the threshold keeps.")
    ] = RISK,
    risk_confidence: Annotated[
        float, typer.Option("--risk-confidence", help="Probability with which it keeps it.")
    ] = RISK_CONFIDENCE,
    paper_conventions: Annotated[
        bool, typer.Option("--paper-conventions", help="Drop and pair rows as the published study did.")
    ] = False,
    class_shares: Annotated[
        str,
        typer.Option(
            "--class-shares", metavar="PASS=P,FAIL=F,NA=N", help="Gold labels as users meet them: figures for these."
        ),
    ] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write results and findings as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write a report page.")] = None,
    allow: Annotated[
        str, typer.Option("--allow", help="What may differ, with commas: prompt, dataset, split, ids, gold.")
    ] = "",
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Bootstrap resamples.")] = RESAMPLES,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Compare prediction files: every number with its interval, every difference with its p, and what they find.

    Reads candor's prediction files and those of the published study, plain or gzipped.

    [bold]Examples[/]

    candor compare base.jsonl trained.jsonl --in-domain --html comparison.html

    candor compare base.jsonl trained.jsonl --validation base-validation.jsonl,trained-validation.jsonl --risk 0.05

    candor compare wiki-b.jsonl wiki-t.jsonl news-b.jsonl news-t.jsonl --trained-on wiki --json out.json

    candor compare small.jsonl large.jsonl hosted.jsonl --names small,large,hosted --html leaderboard.html

    candor compare fever_base_results.json.gz fever_only_on_fever_results.json.gz --paper-conventions
    """
    from candor.comparison.several import arrange_files, as_one, compare_arms
    from candor.files import write_json
    from candor.report.class_shares import class_shares_table
    from candor.report.formats import TerminalTable, findings_text, terminal_table, warnings_text
    from candor.report.runs import SavedRun
    from candor.report.sections import warnings

    if names:
        only_pairs = {
            "--arms": arms,
            "--trained-on": trained_on,
            "--in-domain": in_domain is not None,
            "--validation": validation,
            "--paper-conventions": paper_conventions,
            "--class-shares": class_shares,
        }
        given = [option for option, value in only_pairs.items() if value]
        if given:
            raise RecipeError(f"--names compares models of which none is the base; leave out {', '.join(given)}")
        _leaderboard(files, _names(names), _names(datasets), _names(allow), resamples, seed, json_file, html_file)
        return
    if trained_on and in_domain is not None:
        raise RecipeError("--trained-on tells it of every dataset; leave out --in-domain and --out-of-domain")
    arranged = arrange_files(
        files,
        arms=_names(arms),
        datasets=_names(datasets),
        trained_on=[_names(text) for text in trained_on or ()],
        role=None if in_domain is None else "in_domain" if in_domain else "out_of_domain",
        validation=[_pair(text) for text in validation or ()],
    )
    results = compare_arms(
        arranged,
        paper_conventions=paper_conventions,
        allow=_names(allow),
        risk=risk,
        risk_confidence=risk_confidence,
        resamples=resamples,
        seed=seed,
        class_shares=_shares(class_shares),
    )
    if json_file:
        write_json(json_file, as_one(results))
    runs = [SavedRun(str(found["run"]["name"]), files[0].parent, found) for found in results]
    if html_file:
        from candor.report.page import write_page
        from candor.report.runs import compared_run

        runs = [compared_run(found, arm) for found, arm in zip(results, arranged, strict=True)]
        title = f"{files[0].name} against {files[1].name}" if len(files) == 2 else html_file.stem
        write_page(runs, html_file, title=title)
    console = Console()
    for found in results:
        if len(results) > 1:
            console.print(Text(str(found["run"]["name"]), style="bold underline"))
        console.print(terminal_table(found))
        reweighted = class_shares_table([("", one) for one in found["comparisons"]])
        if reweighted is not None:
            console.print(TerminalTable(reweighted), Text(reweighted.caption, style="dim"))
        console.print(findings_text(found["findings"]))
    console.print(warnings_text(warnings(runs)))


def _leaderboard(
    files: list[Path],
    names: list[str],
    datasets: list[str],
    allow: list[str],
    resamples: int,
    seed: int,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Several models on the same claims."""
    from candor.comparison.leaderboard import as_results, compare_model_files
    from candor.files import write_json
    from candor.report.formats import TerminalTable
    from candor.report.leaderboard import differences_table, models_table, write_leaderboard

    boards = compare_model_files(files, names, datasets=datasets, allow=allow, resamples=resamples, seed=seed)
    if json_file:
        write_json(json_file, as_results(boards, seed=seed))
    if html_file:
        write_leaderboard(boards, html_file, title=html_file.stem)
    console = Console()
    board = models_table(boards)
    console.print(TerminalTable(board))
    console.print(Text(board.caption, style="dim"))
    console.print(Text("\nAgainst each other", style="bold underline"))
    console.print(TerminalTable(differences_table(boards)))
    for found in boards:
        for warning in found.warnings:
            console.print(Text(f"{found.dataset}: {warning}"))


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pair(text: str) -> tuple[Path, Path]:
    names = _names(text)
    if len(names) != 2:
        raise RecipeError(f"--validation {text}: needs two files, the base model's and the trained model's, as B,T")
    return Path(names[0]), Path(names[1])


def _shares(text: str) -> dict[str, float] | None:
    if not text.strip():
        return None
    parts = [word.partition("=") for word in _names(text)]
    try:
        shares = {name.strip().upper(): float(value) for name, _, value in parts}
    except ValueError:
        raise RecipeError(f"--class-shares {text}: needs a number for each label, as PASS=.5,FAIL=.4,NA=.1") from None
    if len(shares) < len(parts):
        raise RecipeError(f"--class-shares {text}: a label stands twice; give each once, as PASS=.5,FAIL=.4,NA=.1")
    return shares
