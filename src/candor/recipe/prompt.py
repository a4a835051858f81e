"""The ``prompt`` part of a recipe: which words the model sees, and how its chat template is put around them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from candor.config import Config, explain
from candor.errors import PromptError
from candor.prompts import templates
from candor.prompts.chat import FIXED_DATE, ChatSettings
from candor.prompts.own import TWO_LINES, template_from_text
from candor.prompts.templates import Template, in_chat


class TemplateFile(Config):
    """A prompt of one's own: a text file with ``{claim}`` and ``{evidence}``, and the form of its answers.

    The resolved recipe holds the text, so that a run knows its prompt whatever becomes of the file.
    """

    file: str = Field(min_length=1, description="the file: absolute, or below the working directory")
    text: str | None = Field(default=None, description="what stood in it; written into the resolved recipe")
    answer: str = Field(
        default=TWO_LINES, description="LABEL={label}, behind it CONF={confidence}; {reasoning} may stand in front"
    )
    item: str = Field(default="[{number}] {sentence}", description="one evidence sentence")
    separator: str = Field(default="\n", description="between evidence sentences")
    no_evidence: str = Field(
        default="No evidence was given for this claim.", description="stands for the evidence when none is shown"
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("text") is not None or not isinstance(values.get("file"), str):
            return values
        try:
            return {**values, "text": Path(values["file"]).read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"file: {values['file']}: cannot be read ({error})") from error

    @model_validator(mode="after")
    def _is_a_prompt(self) -> TemplateFile:
        try:
            self.words()
        except PromptError as error:
            raise ValueError(str(error)) from None
        return self

    def words(self) -> Template:
        """The template; it is called as the file is, without its ending."""
        return template_from_text(
            Path(self.file).stem,
            self.text or "",
            answer=self.answer,
            item=self.item,
            separator=self.separator,
            no_evidence=self.no_evidence,
        )


class PromptConfig(Config):
    """Which words the model sees, and how its chat template is put around them."""

    template: str | TemplateFile = Field(
        default="verdict", description="name of a prompt template, or {file: my_prompt.txt}"
    )
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
        if chat.thinks and not self.words().reasons:
            raise ValueError(
                f"enable_thinking: true leaves a thought open, and the verdicts of {self.words().name} stand right "
                "behind the prompt; leave it out, or set template: verdict-reasoned"
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

    def words(self) -> Template:
        """The prompt template without a chat template around it."""
        return templates.get(self.template) if isinstance(self.template, str) else self.template.words()

    def rendered(self) -> Template:
        """The prompt template, with what is said here of the chat template around it."""
        return in_chat(self.words(), self.chat)

    @field_validator("date", mode="before")
    @classmethod
    def _as_text(cls, date: Any) -> Any:
        """YAML reads a day without quotes as one."""
        return date.isoformat() if type(date) is datetime.date else date

    @field_validator("template")
    @classmethod
    def _known(cls, name: str | TemplateFile) -> str | TemplateFile:
        try:
            if isinstance(name, str):
                templates.get(name)
        except PromptError as error:
            raise ValueError(str(error)) from None
        return name


def prompt_in_chat(template: str, chat: Mapping[str, Any] | None = None) -> Template:
    """A prompt template with settings of the chat template around it, where there is no recipe that says them.

    Args:
        template: its name.
        chat: values of a recipe's part ``prompt``, but for ``template``; default: the usual ones.

    Raises:
        PromptError: there is no such template, or a value that a recipe could not hold; names it.

    >>> prompt_in_chat("verdict", {"system": "Be brief."}).chat.system
    'Be brief.'
    """
    if not chat:
        return templates.get(template)
    if "template" in chat:
        raise PromptError("chat: template: not a setting of the chat template; leave it out")
    try:
        return PromptConfig.model_validate({"template": template, **chat}).rendered()
    except ValidationError as error:
        raise PromptError(f"chat: {explain(error, PromptConfig)}") from error
