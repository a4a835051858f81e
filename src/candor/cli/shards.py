"""Shards on the command line: ``--shard 3/16``, and ``join``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from candor.shards import Shard

ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Every N-th row from the K-th on alone, e.g. 3/16; see candor join."),
]


def shard_of(words: str | None) -> Shard | None:
    """The shard that an option names.

    Raises:
        BadParameter: it names none.
    """
    from candor.shards import Shard

    if words is None:
        return None
    try:
        return Shard.parse(words)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from None


def join(
    shards: Annotated[list[Path], typer.Argument(help="What predict or verify wrote of every shard, in any order.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
) -> None:
    """Put the predictions or verdicts of all shards of a file together.

    The rows stand in the order of the file, as without shards.

    [bold]Examples[/]

    candor predict claims.csv -m runs/mine --shard 1/2 --out part-1.jsonl

    candor predict claims.csv -m runs/mine --shard 2/2 --out part-2.jsonl

    candor join part-1.jsonl part-2.jsonl --out trained.jsonl
    """
    from candor.shards import join as join_shards

    typer.echo(f"{join_shards(shards, out)} rows in {out}")
