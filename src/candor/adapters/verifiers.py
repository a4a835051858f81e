"""The reward as a taskset of ``verifiers``, for prime-rl and whatever else trains and evaluates on its environments.

``verifiers`` finds a taskset by the name of a module at the top of the path that lists it in ``__all__``; so a file
``verdicts.py`` of two lines is the user's own:

    from candor.adapters.verifiers import VerdictTaskset
    __all__ = ["VerdictTaskset"]

Each term of the reward is a reward of its own there, and they are added up before answers are compared, so label and
confidence share one advantage.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from pydantic import Field

from candor.adapters.verdict_reward import reward_of
from candor.data.examples import read_examples
from candor.errors import DataError
from candor.prompts import templates
from candor.prompts.control import disarm_unseen


class VerdictData(vf.TaskData):  # type: ignore[misc]
    """A claim: the prompt, and what the answer is held against."""

    gold: str
    """The gold label: PASS, FAIL or NA."""
    evidence: list[str]
    """The sentences that the prompt shows."""
    dataset: str
    """Where the claim is from."""
    group: str
    """What claims of one page or event share."""


class VerdictTaskConfig(vf.TaskConfig):  # type: ignore[misc]
    """How answers are asked for and rewarded, under ``--env.taskset.task``."""

    preset: str = "candor"
    """Of the reward."""
    template: str = "verdict"
    """The prompt template, which gives the form of the answer."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Values of the preset that are to be others, e.g. ``{"warmup_steps": 0}``."""


class VerdictTask(vf.Task[VerdictData, vf.State, VerdictTaskConfig]):  # type: ignore[misc]
    """One claim: the model answers once and earns the reward of its answer."""

    @vf.reward  # type: ignore[untyped-decorator]
    async def verdict(self, trace: vf.Trace) -> dict[str, float]:
        """Every term of the reward; their sum is what the answer earns."""
        return {name: value for name, value in self._score(trace).items() if name not in ("score", "acc", "in_form")}

    @vf.metric  # type: ignore[untyped-decorator]
    async def form(self, trace: vf.Trace) -> dict[str, float]:
        """Whether the label is right, and whether the answer is exactly in the asked form."""
        said = self._score(trace)
        return {"acc": said["acc"], "in_form": said["in_form"]}

    def _score(self, trace: vf.Trace) -> dict[str, float]:
        reward = reward_of(self.config.preset, self.config.template, self.config.changes)
        return reward.score(trace.last_reply, self.data.gold, self.data.evidence, ended=not trace.is_truncated)


class VerdictTasksetConfig(vf.TasksetConfig):  # type: ignore[misc]
    """Which claims there are, under ``--env.taskset``."""

    claims: Path | None = None
    """A file of examples as candor writes them, e.g. ``runs/mine/data/train.jsonl``."""
    task: VerdictTaskConfig = VerdictTaskConfig()
    """How they are asked and answers rewarded."""


class VerdictTaskset(vf.Taskset[VerdictTask, VerdictTasksetConfig]):  # type: ignore[misc]
    """The claims of a file as tasks."""

    def load(self) -> Iterator[VerdictTask]:
        """Make a task of each claim, in the file's order.

        Raises:
            DataError: no file is named, or it cannot be read.
            RecipeError: there is no such preset or value, or the reward is warmed up; told before any answer is made.
            PromptError: there is no such template.
        """
        if self.config.claims is None:
            raise DataError("no claims; name a file of them with --env.taskset.claims FILE")
        asked = self.config.task
        reward_of(asked.preset, asked.template, asked.changes)
        template = templates.get(asked.template)
        for example in read_examples(self.config.claims):
            data = VerdictData(
                id=example.id,
                prompt=template.render(disarm_unseen(example)),
                gold=example.label.value,
                evidence=list(example.evidence),
                dataset=example.dataset,
                group=example.group,
            )
            yield VerdictTask(data, asked)
