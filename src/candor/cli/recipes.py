"""``candor recipes``: the recipes that come with candor, and what may stand in one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from candor.recipe.recipe import find_recipe, known_recipes, load_recipe

app = typer.Typer(help="List the recipes that come with candor, show one, or what may stand in one.")


@app.callback(invoke_without_command=True)
def recipes(context: typer.Context) -> None:
    """List the recipes that come with candor: what they are about, the model, and their arms.

    Example: candor recipes
    """
    if context.invoked_subcommand is not None:
        return
    table = Table(Column("recipe", no_wrap=True), Column("model", overflow="fold"), Column("what", overflow="fold"))
    for name in known_recipes():
        recipe = load_recipe(find_recipe(name))
        arms = f" (arms: {', '.join(recipe.arms)})" if recipe.arms else ""
        table.add_row(name, escape(recipe.model.name), escape(recipe.description + arms))
    Console(highlight=False).print(table)
    typer.echo("candor recipes show NAME prints one, candor run NAME runs it; candor init FILE writes one of your own")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="name of a recipe that comes with candor, or a file")],
    resolved: Annotated[bool, typer.Option("--resolved", help="With every default spelled out.")] = False,
) -> None:
    """Print a recipe as it is written, or with every default.

    Example: candor recipes show demo > mine.yaml
    """
    from candor.recipe.recipe import to_yaml

    place = find_recipe(name)
    typer.echo(to_yaml(load_recipe(place)) if resolved else place.read_text(encoding="utf-8"), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors.

    Example: candor recipes schema > recipe.schema.json
    """
    from candor.recipe.schema import schema_text

    typer.echo(schema_text(), nl=False)


@app.command()
def reference() -> None:
    """Print every key of a recipe with its default and what it means, as Markdown.

    Example: candor recipes reference
    """
    from candor.recipe.schema import reference_page

    typer.echo(reference_page(), nl=False)
