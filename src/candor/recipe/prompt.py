"""The ``prompt`` part of a recipe: which words the model sees, and how its chat template is put around them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from candor.config import Config
from candor.errors import PromptError
from candor.prompts import templates
from candor.prompts.chat import FIXED_DATE, ChatSettings
from candor.prompts.templates import Template, in_chat


class PromptConfig(Config):
    """Which words the model sees, and how its chat template is put around them."""

    template: str = Field(default="verdict", description="name of a prompt template")
    chat_template: Literal["model", "none"] = Field(
        default="model", description="model: the tokenizer's chat template, if it has one; none: never"
    )
    system: str | None = Field(default=None, description="system prompt; default: the chat template's own")
    enable_thinking: bool = Field(
        default=False, description="leave the thought of a thinking model open; else it is closed before the answer"
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict, description="further variables of the chat template, e.g. {reasoning_effort: low}"
    )
    date: str = Field(default=FIXED_DATE, description="the day that chat templates are told it is, YYYY-MM-DD")

    @model_validator(mode="after")
    def _renders(self) -> PromptConfig:
        chat = self.chat  # what no template can be rendered with is refused here
        if self.chat_template == "none" and (self.system is not None or chat.thinks or self.chat_template_kwargs):
            raise ValueError("chat_template: none takes no system, enable_thinking or chat_template_kwargs; leave out")
        if chat.thinks and not templates.get(self.template).reasons:
            raise ValueError(
                f"enable_thinking: true leaves a thought open, and the verdicts of {self.template} stand right behind "
                "the prompt; leave it out, or set template: verdict-reasoned"
            )
        return self

    @property
    def chat(self) -> ChatSettings:
        """How the chat template is rendered."""
        return ChatSettings(
            use=self.chat_template == "model",
            system=self.system,
            enable_thinking=self.enable_thinking,
            kwargs=self.chat_template_kwargs,
            date=self.date,
        )

    def rendered(self) -> Template:
        """The prompt template, with what is said here of the chat template around it."""
        return in_chat(templates.get(self.template), self.chat)

    @field_validator("template")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            templates.get(name)
        except PromptError as error:
            raise ValueError(str(error)) from None
        return name
