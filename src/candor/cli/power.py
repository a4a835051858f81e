"""``candor power``: plan the examples, seeds and resamples that an effect needs, before anything runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from candor.metrics.names import TESTED
from candor.metrics.power import POWER, SIGNIFICANCE, Plan, plan


def power(
    effect: Annotated[float, typer.Argument(metavar="EFFECT", help="Rise that is to be seen, e.g. 0.1 for 10 points.")],
    margin: Annotated[float, typer.Option("--margin", help="Rise that it is to be shown to exceed.")] = 0.0,
    discordant: Annotated[
        float | None,
        typer.Option("--discordant", help="Share of examples on which the models differ. Default: effect + 0.2."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings, all on the same test set.")] = 1,
    seed_spread: Annotated[
        float, typer.Option("--seed-spread", min=0.0, help="Standard deviation of the rise between seeds.")
    ] = 0.0,
    design_effect: Annotated[
        float, typer.Option("--design-effect", help="By how much examples in groups say less; 1 without groups.")
    ] = 1.0,
    tests: Annotated[int, typer.Option("--tests", min=1, help="Tests that share one correction.")] = len(TESTED),
    significance: Annotated[float, typer.Option("--significance", help="Level after correction.")] = SIGNIFICANCE,
    chance: Annotated[float, typer.Option("--power", help="Chance of seeing the effect.")] = POWER,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Plan a comparison: how many NA examples, seeds and resamples a rise of NA recall needs.

    The same numbers hold for any share: for accuracy, read "examples".

    [bold]Examples[/]

    candor power 0.1 --discordant 0.3

    candor power 0.15 --margin 0.1 --seeds 5 --seed-spread 0.02
    """
    found = plan(
        effect,
        margin=margin,
        discordant=min(1.0, effect + 0.2) if discordant is None else discordant,
        design_effect=design_effect,
        seeds=seeds,
        seed_spread=seed_spread,
        significance=significance,
        tests=tests,
        power=chance,
    )
    typer.echo(json.dumps(asdict(found), indent=2) if as_json else _in_words(found))


def _in_words(found: Plan) -> str:
    target = f"a rise of {100 * found.effect:g} points"
    if found.margin:
        target += f" as one of more than {100 * found.margin:g} points"
    lines = [
        f"To see {target} in {100 * found.power:g} of 100 repetitions, "
        f"if the models differ on {100 * found.discordant:g} % of the examples:",
        f"  NA examples   at least {found.examples}",
        f"  resamples     at least {found.resamples}",
    ]
    if found.seed_spread:
        spread = f"{found.seeds} seeds that differ by {100 * found.seed_spread:g} points"
        if found.examples_with_seeds is None:
            lines.append(f"With {spread}: no number of examples is enough; more seeds are needed.")
        else:
            lines.append(f"For new seeds too, with {spread}: at least {found.examples_with_seeds} NA examples.")
    return "\n".join(lines)
