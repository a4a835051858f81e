r"""SkyRL's trainer with candor's environment, its settings, and split credit.

    python -m skyrl.train.entrypoints.main_base trainer.override_entrypoint=candor.adapters.skyrl_trainer \
        environment.env_class=candor_verdict trainer.algorithm.advantage_estimator=candor_split ...

SkyRL's generator hands an environment's reward on as one number at an answer's last token. Here its hook behind an
answer places what label, form and confidence earned at tokens of their own, and an estimator of advantages, registered
as SkyRL has it, reads them (:mod:`candor.adapters.split_credit`). All else is SkyRL's: sampling, groups, losses,
updates.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from candor.adapters.skyrl import NAME, register_verdicts
from candor.adapters.split_credit import ESTIMATOR, SplitReward, split_advantages
from candor.adapters.verdict_reward import asked_of
from candor.errors import CandorError, RecipeError

try:
    import ray
    from skyrl.backends.skyrl_train.utils.ppo_utils import AdvantageEstimatorRegistry
    from skyrl.train.config import EnvironmentConfig, SkyRLGymConfig, SkyRLTrainConfig
    from skyrl.train.config.config import BaseConfig
    from skyrl.train.generators.skyrl_gym_generator import SkyRLGymGenerator
    from skyrl.train.generators.utils import get_custom_chat_template
except ImportError as error:
    raise CandorError(f"candor.adapters.skyrl_trainer needs SkyRL's trainer, skyrl from 0.3 on: {error}") from error

_ASKS = "candor_asks"


@dataclass
class VerdictConfig(BaseConfig):  # type: ignore[misc]
    """``environment.skyrl_gym.candor_verdict``: what :class:`~candor.adapters.split_credit.SplitReward` takes."""

    preset: str = "candor"
    template: str = "verdict"
    label_weight: float = 1.0
    confidence_weight: float = 1.0
    changes: dict[str, Any] = field(default_factory=dict)


@dataclass
class VerdictGymConfig(SkyRLGymConfig):  # type: ignore[misc]
    """SkyRL's settings of environments, with those of ours."""

    candor_verdict: VerdictConfig = field(default_factory=VerdictConfig)


@dataclass
class VerdictEnvironmentConfig(EnvironmentConfig):  # type: ignore[misc]
    """Ours is the environment unless another is named."""

    env_class: str = NAME
    skyrl_gym: VerdictGymConfig = field(default_factory=VerdictGymConfig)


@dataclass
class VerdictTrainConfig(SkyRLTrainConfig):  # type: ignore[misc]
    """SkyRL's settings, with those of our environment."""

    environment: VerdictEnvironmentConfig = field(default_factory=VerdictEnvironmentConfig)


class SplitCreditGenerator(SkyRLGymGenerator):  # type: ignore[misc]
    """SkyRL's generator, whose answers to our claims carry the rewards of their tokens."""

    def _setup_env_extras(
        self,
        env_class: str,
        env_extras: dict[str, Any],
        sampling_params: dict[str, Any] | None,
        trajectory_id: Any,
    ) -> dict[str, Any]:
        """Note which answers are ours: the hook behind an answer is not told."""
        extras: dict[str, Any] = super()._setup_env_extras(env_class, env_extras, sampling_params, trajectory_id)
        return {**extras, _ASKS: env_class == NAME}

    def _post_process_agent_loop_output(self, output: Any, env_extras: dict[str, Any], trajectory_id: Any) -> Any:
        output = super()._post_process_agent_loop_output(output, env_extras, trajectory_id)
        if env_extras[_ASKS]:
            output.reward = self._of_tokens(output.response_ids, output.stop_reason, env_extras)
        return output

    async def generate_batched(
        self, prompts: Any, env_classes: Sequence[str], env_extras: Sequence[dict[str, Any]], *others: Any, **named: Any
    ) -> Any:
        """The answers of a batch; all of one kind of environment, as SkyRL's batches are."""
        made = await super().generate_batched(prompts, env_classes, env_extras, *others, **named)
        if set(env_classes) == {NAME}:
            answers = zip(made["response_ids"], made["stop_reasons"], env_extras, strict=True)
            made["rewards"] = [self._of_tokens(*answer) for answer in answers]
        return made

    def _of_tokens(self, tokens: Sequence[int], stop_reason: str, row: Mapping[str, Any]) -> list[float]:
        gold, evidence = asked_of(row, "reward_spec")
        reward = SplitReward.of(getattr(self.skyrl_gym_cfg, NAME, None))
        return reward.of_tokens(self.tokenizer, tokens, gold, evidence, ended=stop_reason != "length")


def split_credit(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Any],
    grpo_norm_by_std: bool = True,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages, and the same as returns, as SkyRL asks an estimator for them."""
    advantages = split_advantages(token_level_rewards, response_mask, list(index), divide_by_std=grpo_norm_by_std)
    return advantages, advantages


def register_split_credit() -> None:
    """Make the estimator known to SkyRL as ``candor_split``; in every process, once."""
    if ESTIMATOR not in AdvantageEstimatorRegistry.list_available():
        AdvantageEstimatorRegistry.register(ESTIMATOR, split_credit)


def check(settings: Any) -> None:
    """Refuse settings under which credit would not be split, or not as said.

    Args:
        settings: of the whole training, as SkyRL has read them.

    Raises:
        RecipeError: one of them is set.
    """
    algorithm, generator = settings.trainer.algorithm, settings.generator
    SplitReward.of(getattr(settings.environment.skyrl_gym, NAME, None))
    if algorithm.advantage_estimator != ESTIMATOR:
        return
    if settings.environment.env_class != NAME:
        raise RecipeError(
            f"env_class is {settings.environment.env_class}; {ESTIMATOR} wants environment.env_class={NAME}"
        )
    if get_custom_chat_template(generator.chat_template) is not None:
        raise RecipeError(
            "generator.chat_template writes an answer's tokens anew, with those of its frame; "
            f"leave it off with {ESTIMATOR}"
        )
    for name, where in (
        ("use_kl_in_reward", algorithm),
        ("zero_variance_filter", algorithm),
        ("step_wise_trajectories", generator),
        ("zero_reward_on_non_stop", generator),
    ):
        if getattr(where, name, False):
            raise RecipeError(f"{name} takes the rewards of tokens for one; leave it off with {ESTIMATOR}")


def main() -> None:
    """Train: what SkyRL calls for ``trainer.override_entrypoint=candor.adapters.skyrl_trainer``."""
    from skyrl.train.utils import validate_cfg
    from skyrl.train.utils.utils import initialize_ray

    # SkyRL looks for this one before it reads settings, and leaves it to who is named there to take it out.
    said = [word for word in sys.argv[1:] if not word.startswith("trainer.override_entrypoint=")]
    settings = VerdictTrainConfig.from_cli_overrides(said)
    register_split_credit()
    check(settings)
    validate_cfg(settings)
    initialize_ray(settings)
    ray.get(_train.remote(settings))


@ray.remote(num_cpus=1)  # type: ignore[untyped-decorator]
def _train(settings: VerdictTrainConfig) -> None:
    from skyrl.backends.skyrl_train.inference_servers.utils import resolve_policy_model_name
    from skyrl.train.entrypoints.main_base import BasePPOExp

    class Training(BasePPOExp):  # type: ignore[misc]
        def get_generator(self, cfg: Any, tokenizer: Any, inference_engine_client: Any) -> SkyRLGymGenerator:
            if cfg.trainer.algorithm.advantage_estimator != ESTIMATOR:
                return super().get_generator(cfg, tokenizer, inference_engine_client)
            return SplitCreditGenerator(
                generator_cfg=cfg.generator,
                skyrl_gym_cfg=cfg.environment.skyrl_gym,
                inference_engine_client=inference_engine_client,
                tokenizer=tokenizer,
                policy_model_name=resolve_policy_model_name(cfg),
            )

    register_verdicts()
    register_split_credit()
    Training(settings).run()


if __name__ == "__main__":
    main()
