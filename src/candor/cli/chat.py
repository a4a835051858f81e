"""The option that says how a chat template is rendered, for commands that take any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

ChatOption = Annotated[
    list[str] | None,
    typer.Option(
        "--chat",
        metavar="KEY=VALUE",
        help="How the chat template is rendered, as in a recipe's prompt: system, chat_template_kwargs.NAME, date, "
        "chat_template; may be given several times.",
    ),
]

AS_IT_IS = "system"
"""The key whose value is taken letter by letter."""


def chat_settings(options: Sequence[str] | None) -> dict[str, Any]:
    """The settings of ``--chat KEY=VALUE``; values are YAML as in a recipe, but for the system prompt.

    Raises:
        BadParameter: an option is not of that form, or a key is given twice.
    """
    from candor.errors import RecipeError
    from candor.recipe.recipe import deep_merge, parse_override

    settings: dict[str, Any] = {}
    seen: set[str] = set()
    for option in options or ():
        key, sign, value = option.partition("=")
        if key in seen:
            raise typer.BadParameter(f"{key} is given twice", param_hint="--chat")
        seen.add(key)
        try:
            given = {key: value} if key == AS_IT_IS and sign else parse_override(option, "--chat")
        except RecipeError as error:
            raise typer.BadParameter(str(error), param_hint="--chat") from error
        settings = deep_merge(settings, given)
    return settings
