"""The prompt part of a recipe, and what it makes of a template."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from candor.errors import PromptError
from candor.prompts import templates
from candor.prompts.chat import ChatSettings
from candor.recipe.prompt import PromptConfig, prompt_in_chat


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


def test_a_day_that_yaml_has_read_as_one_is_a_day() -> None:
    assert PromptConfig.model_validate(yaml.safe_load("{date: 2025-01-02}")).date == "2025-01-02"
    with pytest.raises(ValidationError, match="date"):
        PromptConfig.model_validate(yaml.safe_load("{date: 2025-01-02 10:00:00}"))


def test_settings_of_a_chat_without_a_recipe_are_those_of_one() -> None:
    assert prompt_in_chat("verdict") is templates.get("verdict")
    assert prompt_in_chat("verdict", {"enable_thinking": False}) is templates.get("verdict")
    said = {"system": "Be brief.", "chat_template_kwargs": {"a": 1}}
    assert prompt_in_chat("sandbox", said) == PromptConfig(template="sandbox", **said).rendered()
    for chat, message in (
        ({"sytem": "x"}, "chat: unknown key sytem; did you mean system?"),
        ({"template": "verdict"}, "chat: template: not a setting"),
        ({"date": "soon"}, "chat: .*YYYY-MM-DD"),
        ({"enable_thinking": True}, "leaves a thought open"),
    ):
        with pytest.raises(PromptError, match=message):
            prompt_in_chat("verdict", chat)
    with pytest.raises(PromptError, match="no prompt template 'verdic'"):
        prompt_in_chat("verdic", {})


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
