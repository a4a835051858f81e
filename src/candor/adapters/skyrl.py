"""The reward as an environment of SkyRL (``skyrl-gym``): one answer, one reward.

    from candor.adapters.skyrl import register_verdicts
    register_verdicts()  # then: environment.env_class=candor_verdict

:mod:`candor.adapters.skyrl_trainer` does that, takes settings and splits credit. A row of the dataset is as
:func:`candor.adapters.verl.rows` makes it, with ``env_class`` and, in place of ``reward_model``, ``reward_spec``;
:func:`rows` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import skyrl_gym
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput
from skyrl_gym.envs.registration import register

from candor.adapters import verl
from candor.adapters.split_credit import SplitReward
from candor.adapters.verdict_reward import asked_of
from candor.types import Example

NAME: Final = "candor_verdict"
"""What SkyRL calls the environment."""


class VerdictEnv(BaseTextEnv):  # type: ignore[misc]
    """One claim: the model answers once and earns the reward of its answer."""

    def __init__(self, env_config: Any = None, extras: Mapping[str, Any] | None = None) -> None:
        """Take a row.

        Args:
            env_config: as :meth:`SplitReward.of` takes it.
            extras: the row: ``reward_spec`` with ``ground_truth``, and ``extra_info`` with ``evidence``.

        Raises:
            DataError: the row lacks one of them.
            RecipeError: there is no such preset or value, or the reward is warmed up.
            PromptError: there is no such template.
        """
        super().__init__()
        self._gold, self._evidence = asked_of(extras or {}, "reward_spec")
        self._reward = SplitReward.of(env_config)
        self._said: dict[str, float] = {}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Score the answer; the episode is over."""
        self._said = self._reward.score(action, self._gold, self._evidence)
        return BaseTextEnvStepOutput(observations=[], reward=self._said["score"], done=True, metadata=dict(self._said))

    def get_metrics(self) -> dict[str, Any]:
        """What SkyRL averages and logs: whether the label is right, whether the form is, and each term."""
        return {name: value for name, value in self._said.items() if name != "score"}


def register_verdicts() -> None:
    """Make the environment known to SkyRL under :data:`NAME`; in every process that runs environments, once."""
    if NAME not in skyrl_gym.envs.registration.registry:
        register(id=NAME, entry_point=f"{__name__}:{VerdictEnv.__name__}")


def rows(examples: Iterable[Example], tokenizer: Any, *, template: str = "verdict") -> list[dict[str, Any]]:
    """Examples as rows of a SkyRL dataset; arguments and errors as of :func:`candor.adapters.verl.rows`."""
    made = verl.rows(examples, tokenizer, template=template)
    return [{"env_class": NAME, "reward_spec": row.pop("reward_model"), **row} for row in made]
