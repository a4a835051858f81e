"""Split credit through SkyRL's own trainer; only what samples and the workers, which want GPUs, are ours."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from toy import EXAMPLES
from trainers import NEEDED, ToyPolicy, parts

pytest.importorskip("skyrl", reason=NEEDED)

import skyrl.train.utils.utils
from skyrl.backends.skyrl_train.utils.ppo_utils import AdvantageEstimatorRegistry, PolicyLossRegistry
from skyrl.train.dataset import PromptDataset
from skyrl.train.entrypoints import main_base
from skyrl.train.trainer import RayPPOTrainer

from candor.adapters import skyrl_trainer
from candor.adapters.skyrl import NAME, register_verdicts, rows
from candor.adapters.skyrl_trainer import (
    SplitCreditGenerator,
    VerdictTrainConfig,
    check,
    register_split_credit,
)
from candor.adapters.split_credit import ESTIMATOR, SplitReward, split_advantages
from candor.errors import RecipeError

SAID = [
    f"trainer.algorithm.advantage_estimator={ESTIMATOR}",
    "trainer.algorithm.grpo_norm_by_std=false",
    "generator.sampling_params.max_generate_length=12",
    "generator.max_input_length=160",
    "trainer.max_prompt_length=160",
    "generator.n_samples_per_prompt=4",
    "trainer.train_batch_size=3",
    "trainer.policy_mini_batch_size=3",
    "trainer.epochs=1",
    "trainer.placement.colocate_all=false",
    "trainer.placement.policy_num_gpus_per_node=1",
    "trainer.resume_mode=none",
    "trainer.eval_interval=-1",
    "trainer.ckpt_interval=-1",
    "trainer.enable_ray_gpu_monitor=false",
    "generator.inference_engine.enable_ray_prometheus_stats=false",
    "data.dataloader.num_workers=0",
    "environment.skyrl_gym.candor_verdict.preset=rlcr",
    "environment.skyrl_gym.candor_verdict.template=sandbox",
    "environment.skyrl_gym.candor_verdict.confidence_weight=4",
    "environment.skyrl_gym.candor_verdict.changes={calibration: 2.0}",
]


class Client:
    """What SkyRL asks for answers, and what it was asked."""

    def __init__(self, policy: ToyPolicy) -> None:
        self._policy = policy

    async def generate(self, asked: Any, **_: Any) -> dict[str, Any]:
        answers = [self._policy.answer(prompt) for prompt in asked["prompt_token_ids"]]
        tokens, texts, reasons, logprobs = (list(each) for each in zip(*answers, strict=True))
        said = {"response_ids": tokens, "responses": texts, "stop_reasons": reasons}
        return {**said, "response_logprobs": logprobs}

    async def finish_session(self, session: str) -> None:
        """Nothing is kept for one."""


class Workers:
    """What the trainer asks its workers for, which want a GPU: one model, in this process."""

    def __init__(self, policy: ToyPolicy, settings: VerdictTrainConfig) -> None:
        self._policy, self._settings = policy, settings
        self._loss: torch.Tensor | None = None
        self.trained: list[Any] = []
        self.moved: list[float] = []

    def init_weight_sync_state(self, client: Any) -> None:
        """The model that samples is the model that is trained."""

    async def save_weights_for_sampler(self) -> None:
        """The same."""

    def empty_cache(self, model: str | None = None) -> None:
        """Nothing is cached."""

    def finalize_pending_saves(self, model: str) -> None:
        """Nothing is saved."""

    def get_timing_metrics(self) -> dict[str, float]:
        return {}

    def get_lcm_dp_size(self) -> int:
        return 1

    def forward_from_staged(self, model: str, data: Any) -> Any:
        with torch.no_grad():
            rows = self._logprobs(data, data.metadata["response_length"])
        return SimpleNamespace(loss_fn_outputs=[{"logprobs": row.tolist()} for row in rows])

    def stage_data(self, model: str, data: Any, boundaries: list[tuple[int, int]]) -> list[Any]:
        return [data.slice(start, end) for start, end in boundaries]

    def forward_backward_from_staged(self, model: str, data: Any) -> Any:
        self.trained.append(data)
        loss_of = PolicyLossRegistry.get(self._settings.trainer.algorithm.policy_loss_type)
        self._loss, *_ = loss_of(
            self._logprobs(data, data["advantages"].shape[1]),
            data["action_log_probs"],
            data["advantages"],
            config=self._settings.trainer.algorithm,
            loss_mask=data["loss_mask"],
        )
        return SimpleNamespace(metrics={"policy_loss": float(self._loss.detach())})

    def optim_step(self, model: str) -> None:
        assert self._loss is not None
        self.moved.append(self._policy.step(self._loss))

    def _logprobs(self, data: Any, responses: int) -> torch.Tensor:
        return self._policy.logprobs(data["sequences"], data["attention_mask"], responses)


@pytest.mark.parametrize("batched", [False, True])
def test_two_steps(tmp_path: Path, batched: bool) -> None:
    """SkyRL's loop from the rows of a file on."""
    torch.manual_seed(0)
    register_verdicts()
    register_split_credit()
    register_split_credit()
    settings = VerdictTrainConfig.from_cli_overrides(
        [*SAID, f"generator.batched={batched}", f"generator.use_conversation_multi_turn={not batched}"]
    )
    check(settings)
    policy = ToyPolicy(tmp_path / "model")
    asked = rows(EXAMPLES[:6], policy.tokenizer, template="sandbox")
    pandas.DataFrame(asked).to_parquet(tmp_path / "train.parquet")
    trainer = RayPPOTrainer(
        cfg=settings,
        tracker=SimpleNamespace(log=lambda *_, **__: None, finish=lambda: None),
        tokenizer=policy.tokenizer,
        train_dataset=PromptDataset([str(tmp_path / "train.parquet")], policy.tokenizer, 160, num_workers=1),
        inference_engine_client=Client(policy),
        generator=SplitCreditGenerator(
            generator_cfg=settings.generator,
            skyrl_gym_cfg=settings.environment.skyrl_gym,
            inference_engine_client=Client(policy),
            tokenizer=policy.tokenizer,
        ),
    )
    workers = trainer.dispatch = Workers(policy, settings)
    seen: list[list[list[float]]] = []
    estimate = trainer.compute_advantages_and_returns

    def and_look(data: Any) -> Any:
        mask = data["response_mask"].bool()
        seen.append([row[kept].tolist() for row, kept in zip(data["rewards"], mask, strict=True)])
        return estimate(data)

    trainer.compute_advantages_and_returns = and_look
    asyncio.run(trainer.train())
    assert len(workers.moved) == len(seen) == 2
    assert min(workers.moved) > 0
    reward = SplitReward("rlcr", template="sandbox", confidence_weight=4.0, calibration=2.0)
    by_prompt = {row["prompt"][0]["content"]: row for row in asked}
    split = 0
    for earned_B, batch in zip(seen, workers.trained, strict=True):
        split += sum(len(each) == 2 for each in parts(batch["advantages"], batch["response_mask"]))
        for earned, tokens, kept in zip(earned_B, batch["sequences"], batch["attention_mask"], strict=True):
            whole = tokens[kept.bool()].tolist()
            answer = whole[-len(earned) :]
            row = by_prompt[policy.tokenizer.decode(whole[: -len(earned)])]
            gold, evidence = row["reward_spec"]["ground_truth"], row["extra_info"]["evidence"]
            ended = answer[-1] == policy.tokenizer.eos_token_id
            expected = reward.of_tokens(policy.tokenizer, answer, gold, evidence, ended=ended)
            assert earned == pytest.approx(expected)
    assert split > 3  # label and confidence of an answer had different advantages


def test_answers_to_others_claims_keep_their_reward(tmp_path: Path) -> None:
    settings = VerdictTrainConfig.from_cli_overrides(SAID)
    policy = ToyPolicy(tmp_path / "model")
    generator = SplitCreditGenerator(
        settings.generator, settings.environment.skyrl_gym, Client(policy), policy.tokenizer
    )
    extras = generator._setup_env_extras("gsm8k", {"x": 1}, None, None)
    output = type("Output", (), {"reward": 0.5})()
    assert generator._post_process_agent_loop_output(output, extras, None).reward == 0.5
    assert NAME != "gsm8k"


def test_it_begins_by_skyrls_own_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to where a cluster is asked for; SkyRL's own check of settings finds the estimator."""
    asked: list[Any] = []
    monkeypatch.setattr(skyrl.train.utils.utils, "initialize_ray", lambda settings: None)
    monkeypatch.setattr(skyrl_trainer, "_train", SimpleNamespace(remote=asked.append))
    monkeypatch.setattr(skyrl_trainer.ray, "get", lambda told: told)
    said = ["trainer.override_entrypoint=candor.adapters.skyrl_trainer", *SAID]
    monkeypatch.setattr(sys, "argv", ["main_base", *said, "trainer.logger=console"])
    main_base.main()
    (settings,) = asked
    assert settings.environment.env_class == NAME
    assert settings.environment.skyrl_gym.candor_verdict.confidence_weight == 4


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("trainer.algorithm.use_kl_in_reward=true", "use_kl_in_reward"),
        ("trainer.algorithm.zero_variance_filter=true", "zero_variance_filter"),
        ("generator.step_wise_trajectories=true", "step_wise_trajectories"),
        ("generator.zero_reward_on_non_stop=true", "zero_reward_on_non_stop"),
        ("generator.chat_template.name_or_path=qwen3_without_thinking", "chat_template writes an answer's tokens anew"),
        ("environment.env_class=gsm8k", "env_class is gsm8k"),
        ("environment.skyrl_gym.candor_verdict.preset=best", "no reward preset 'best'"),
        ("environment.skyrl_gym.candor_verdict.changes={calibratoin: 1}", "no such part of a reward: calibratoin"),
    ],
)
def test_settings_that_credit_cannot_be_split_under_are_refused(said: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        check(VerdictTrainConfig.from_cli_overrides([*SAID, said]))
    check(VerdictTrainConfig.from_cli_overrides(["trainer.algorithm.zero_variance_filter=true"]))  # whole credit


def test_the_estimator_is_found_by_name() -> None:
    register_split_credit()
    estimator = AdvantageEstimatorRegistry.get(ESTIMATOR)
    rewards = torch.tensor([[1e-30, 1.0, -0.5], [1e-30, 0.0, -0.25]])
    advantages, returns = estimator(
        token_level_rewards=rewards,
        response_mask=torch.ones_like(rewards),
        index=np.array(["a", "a"]),
        values=None,
        grpo_norm_by_std=False,
        gamma=1.0,
        lambd=1.0,
        config=None,
    )
    assert torch.equal(advantages, returns)
    assert torch.equal(advantages, split_advantages(rewards, torch.ones(2, 3), ["a", "a"], divide_by_std=False))
