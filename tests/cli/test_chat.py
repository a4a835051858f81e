"""What ``--chat`` says becomes settings of a chat template, or is named."""

from __future__ import annotations

import pytest
import typer

from candor.cli.chat import chat_settings


def test_values_are_yaml_but_for_the_system_prompt() -> None:
    assert chat_settings(None) == {}
    said = ["system=Answer: {briefly}", "chat_template_kwargs.a=1", "chat_template_kwargs.b=[x, y]", "date=2025-01-02"]
    found = chat_settings(said)
    assert str(found.pop("date")) == "2025-01-02"
    assert found == {"system": "Answer: {briefly}", "chat_template_kwargs": {"a": 1, "b": ["x", "y"]}}


@pytest.mark.parametrize("said", [["system"], ["=x"], ["a..b=1"], ["date={"], ["system=a", "system=b"]])
def test_what_is_no_setting_is_named(said: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        chat_settings(said)
