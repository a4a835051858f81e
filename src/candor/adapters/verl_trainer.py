"""verl's trainer with split credit: an agent loop of one turn, and an estimator of advantages.

    actor_rollout_ref.rollout.agent.agent_loop_config_path=loops.yaml
    actor_rollout_ref.rollout.agent.default_agent_loop=candor_verdict
    +actor_rollout_ref.rollout.agent.agent_loop_manager_class=candor.adapters.verl_trainer.VerdictLoopManager
    algorithm.adv_estimator=candor_split

with ``loops.yaml``:

    - name: candor_verdict
      _target_: candor.adapters.verl_trainer.VerdictLoop
      reward: {preset: candor}

verl sets a reward at an answer's last token. An answer of this loop sets what label, form and confidence earned at
tokens of their own, and the estimator reads them (:mod:`candor.adapters.split_credit`). All else is verl's. It takes
the trainer that verl has by default since 0.9 (``trainer.use_v1``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from candor.adapters.split_credit import ESTIMATOR, SplitReward, split_advantages
from candor.adapters.verdict_reward import asked_of
from candor.errors import CandorError
from candor.prompts.encoding import decode

try:
    from verl.experimental.agent_loop import AgentLoopOutput
    from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
    from verl.trainer.ppo.core_algos import register_adv_est
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ
except ImportError as error:
    raise CandorError(f"candor.adapters.verl_trainer needs verl from 0.9 on: {error}") from error


class VerdictOutput(AgentLoopOutput):  # type: ignore[misc]
    """An answer, with the rewards of its tokens."""

    token_rewards: list[float]

    def as_dict(self) -> dict[str, Any]:
        """What verl keeps of it: the rewards stand at their tokens, not at the last."""
        kept: dict[str, Any] = super().as_dict()
        kept["rm_scores"] = torch.tensor(kept.pop("token_rewards"), dtype=torch.float32)
        return kept


class VerdictLoop(SingleTurnAgentLoop):  # type: ignore[misc]
    """The model answers once; its answer is scored here, so verl's reward function is not asked."""

    def __init__(self, *others: Any, reward: Mapping[str, Any], **named: Any) -> None:
        """Take what verl gives a loop, and the reward's settings, as :meth:`SplitReward.of` takes them.

        Raises:
            RecipeError: there is no such setting, preset or value, or the reward is warmed up.
            PromptError: there is no such template.
        """
        super().__init__(*others, **named)
        self._reward = SplitReward.of(reward)

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> VerdictOutput:
        """Answer a row's prompt and score the answer.

        Raises:
            DataError: the row lacks its gold label or its evidence.
        """
        gold, evidence = asked_of(row, "reward_model")
        answer = await super().run(sampling_params, **row)
        tokens = answer.response_ids
        # verl does not say why an answer ended: one that fills its room and has no end ran into the limit.
        ended = len(tokens) < self.response_length or tokens[-1] == self.tokenizer.eos_token_id
        rewards = self._reward.of_tokens(self.tokenizer, tokens, gold, evidence, ended=ended)
        text = decode(self.tokenizer, tokens)
        answer.extra_fields["reward_extra_info"] = self._reward.score(text, gold, evidence, ended=ended)
        given = {name: getattr(answer, name) for name in answer.model_fields_set}
        return VerdictOutput(**given | {"reward_score": sum(rewards), "token_rewards": rewards})


class VerdictLoopManager(AgentLoopManagerTQ):  # type: ignore[misc]
    """verl's own manager of loops. The trainer loads it by this name, and so knows the estimator, too."""


@register_adv_est(ESTIMATOR)  # type: ignore[untyped-decorator]
def split_credit(
    token_level_rewards: torch.Tensor, response_mask: torch.Tensor, index: Sequence[Any], config: Any = None, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages, and the same as returns, as verl asks an estimator for them."""
    divide = True if config is None else bool(config.get("norm_adv_by_std_in_grpo", True))
    advantages = split_advantages(token_level_rewards, response_mask, list(index), divide_by_std=divide)
    return advantages, advantages
