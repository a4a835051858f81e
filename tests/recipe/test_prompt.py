"""The prompt part of a recipe, and what it makes of a template."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from candor.prompts import templates
from candor.prompts.chat import ChatSettings
from candor.recipe.prompt import PromptConfig


def test_the_usual_prompt_is_the_template_itself() -> None:
    assert PromptConfig().rendered() is templates.get("verdict")
    assert PromptConfig(template="sandbox").rendered().sha256 == templates.get("sandbox").sha256


def test_what_is_said_of_the_chat_template_is_in_template_and_hash() -> None:
    config = PromptConfig(
        template="verdict-reasoned",
        system="Be brief.",
        enable_thinking=True,
        chat_template_kwargs={"reasoning_effort": "low"},
        date="2025-01-02",
    )
    rendered = config.rendered()
    assert rendered.chat == ChatSettings(True, "Be brief.", True, {"reasoning_effort": "low"}, "2025-01-02")
    assert rendered.name == "verdict-reasoned"
    assert rendered.reasons
    hashes = {rendered.sha256, templates.get("verdict-reasoned").sha256}
    for change in ({"system": "Be long."}, {"chat_template_kwargs": {}}, {"date": "2025-01-03"}):
        hashes.add(PromptConfig.model_validate(config.model_dump() | change).rendered().sha256)
    assert len(hashes) == 5
    assert not PromptConfig(chat_template="none").rendered().chat.use


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"template": "verdic"}, "no prompt template 'verdic'; there are: verdict"),
        ({"enable_thinking": True}, "leaves a thought open.*verdict-reasoned"),
        ({"chat_template_kwargs": {"thinking": True}}, "leaves a thought open"),
        ({"chat_template": "none", "system": "x"}, "none takes no system"),
        ({"chat_template_kwargs": {"tokenize": True}}, "tokenize"),
        ({"date": "2026-13-01"}, "YYYY-MM-DD"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PromptConfig.model_validate(values)
