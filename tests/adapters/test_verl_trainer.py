"""Split credit through verl's own loop of answers, advantages and loss; only the weights and what samples are ours."""

from __future__ import annotations

import asyncio
import importlib.resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toy import EXAMPLES
from trainers import NEEDED, ToyPolicy, parts

pytest.importorskip("verl", reason=NEEDED)

import hydra
import verl.trainer.config
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.experimental.agent_loop.agent_loop import DictConfigWrap
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.v1 import trainer_base
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.dataset.rl_dataset import RLHFDataset
from verl.utils.import_utils import load_class_from_fqn
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl.workers.rollout.replica import TokenOutput

from candor.adapters.split_credit import ESTIMATOR, SplitReward, split_advantages
from candor.adapters.verl import rows
from candor.errors import DataError, RecipeError

LOOP = """
- name: candor_verdict
  _target_: candor.adapters.verl_trainer.VerdictLoop
  reward: {preset: rlcr, template: sandbox, confidence_weight: 4, calibration: 2.0}
"""
LENGTH = 12


def _settings() -> Any:
    """The trainer's own, with what docs/trainers.md adds to them."""
    read = OmegaConf.load(importlib.resources.files(verl.trainer.config) / "_generated_ppo_trainer.yaml")
    said = [
        f"algorithm.adv_estimator={ESTIMATOR}",
        "algorithm.norm_adv_by_std_in_grpo=false",
        "actor_rollout_ref.rollout.agent.default_agent_loop=candor_verdict",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class=candor.adapters.verl_trainer.VerdictLoopManager",
        "actor_rollout_ref.rollout.prompt_length=160",
        f"actor_rollout_ref.rollout.response_length={LENGTH}",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
    ]
    return OmegaConf.merge(read, OmegaConf.from_dotlist(said))


class Server:
    """What a loop asks for answers."""

    def __init__(self, policy: ToyPolicy) -> None:
        self._policy = policy

    async def generate(self, *, prompt_ids: list[int], **_: Any) -> TokenOutput:
        tokens, _text, reason, logprobs = self._policy.answer(prompt_ids, LENGTH)
        return TokenOutput(token_ids=tokens, log_probs=logprobs, stop_reason=reason)


class Queue:
    """verl's queue of answers, which wants a cluster: one batch, in this process."""

    def __init__(self, batch: TensorDict) -> None:
        self.batch = batch

    def kv_batch_get(self, *, select_fields: list[str], **_: Any) -> TensorDict:
        return self.batch.select(*set(select_fields).intersection(self.batch.keys()))

    def kv_batch_put(self, *, fields: TensorDict, **_: Any) -> None:
        self.batch.update(fields)


def _loop(policy: ToyPolicy, settings: Any, said: str = LOOP) -> Any:
    """As verl's worker makes it."""
    return hydra.utils.instantiate(
        config=OmegaConf.create(said)[0],
        trainer_config=DictConfigWrap(config=settings),
        server_manager=Server(policy),
        tokenizer=policy.tokenizer,
        processor=None,
        hf_model_type="llama",
        dataset_cls=RLHFDataset,
        data_config=DictConfigWrap(settings.data),
    )


def test_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    settings = _settings()
    load_class_from_fqn(settings.actor_rollout_ref.rollout.agent.agent_loop_manager_class)  # as verl's trainer does
    policy = ToyPolicy(tmp_path / "model")
    asked = [row for row in rows(EXAMPLES[:3], policy.tokenizer, template="sandbox") for _ in range(4)]
    actor = omega_conf_to_dataclass(settings.actor_rollout_ref.actor)
    loss_of = core_algos.get_policy_loss_fn(actor.policy_loss.loss_mode)
    reward = SplitReward("rlcr", template="sandbox", confidence_weight=4.0, calibration=2.0)

    async def answer() -> list[Any]:
        loop = _loop(policy, settings)
        return [await loop.run({}, raw_prompt=row["prompt"], **row) for row in asked]

    split = 0
    for _ in range(2):
        answers = asyncio.run(answer())
        for row, said in zip(asked, answers, strict=True):
            gold, evidence = row["reward_model"]["ground_truth"], row["extra_info"]["evidence"]
            ended = said.response_ids[-1] == policy.tokenizer.eos_token_id
            expected = reward.of_tokens(policy.tokenizer, said.response_ids, gold, evidence, ended=ended)
            assert said.as_dict()["rm_scores"].tolist() == pytest.approx(expected)
            assert said.reward_score == pytest.approx(sum(expected))
            assert {"acc", "in_form", "calibration"} < said.extra_fields["reward_extra_info"].keys()
        fields = [
            {name: value for name, value in said.as_dict().items() if isinstance(value, torch.Tensor)}
            for said in answers
        ]
        for each in fields:  # as verl's workers do before advantages are computed
            each["old_log_probs"] = _logprobs(policy, each).detach()
        uids = [row["extra_info"]["id"] for row in asked]
        queue = Queue(
            list_of_dict_to_tensordict([{**each, "uid": uid} for each, uid in zip(fields, uids, strict=True)])
        )
        monkeypatch.setattr(trainer_base, "tq", queue)
        keys = [f"{uid}_{number}_0" for number, uid in enumerate(uids)]
        trainer_base.PPOTrainer._compute_advantage(
            SimpleNamespace(config=settings), KVBatchMeta(keys=keys, tags=[{} for _ in keys], partition_id="train"), {}
        )
        advantages, mask, earned = (
            queue.batch[name].to_padded_tensor(0.0) for name in ("advantages", "response_mask", "rm_scores")
        )
        assert torch.equal(advantages, split_advantages(earned, mask, uids, divide_by_std=False))
        split += sum(len(each) == 2 for each in parts(advantages, mask))
        loss = torch.zeros(())
        for row, each in enumerate(fields):
            width = len(each["responses"])
            term, _ = loss_of(
                old_log_prob=each["old_log_probs"][None],
                log_prob=_logprobs(policy, each)[None],
                advantages=advantages[row : row + 1, :width],
                response_mask=mask[row : row + 1, :width],
                loss_agg_mode=actor.loss_agg_mode,
                config=actor,
            )
            loss = loss + term
        assert policy.step(loss) > 0
    assert split > 3  # label and confidence of an answer had different advantages


def _logprobs(policy: ToyPolicy, answer: dict[str, torch.Tensor]) -> torch.Tensor:
    ids = torch.cat([answer["prompts"], answer["responses"]])[None]
    return policy.logprobs(ids, torch.ones_like(ids), len(answer["responses"]))[0]


def test_what_is_missing_or_wrong_is_told(tmp_path: Path) -> None:
    settings, policy = _settings(), ToyPolicy(tmp_path / "model")
    (row,) = rows(EXAMPLES[:1], policy.tokenizer, template="sandbox")

    async def answer(said: dict[str, Any]) -> Any:
        return await _loop(policy, settings).run({}, raw_prompt=row["prompt"], **said)

    with pytest.raises(DataError, match="the row has no 'evidence'"):
        asyncio.run(answer(row | {"extra_info": {}}))

    async def make(said: str) -> Any:
        return _loop(policy, settings, said)

    with pytest.raises(Exception, match="no such part of a reward: calibratoin") as told:
        asyncio.run(make(LOOP.replace("calibration:", "calibratoin:")))
    assert isinstance(told.value.__cause__ or told.value, RecipeError)


def test_the_estimator_is_found_by_name() -> None:
    load_class_from_fqn("candor.adapters.verl_trainer.VerdictLoopManager")
    estimator = core_algos.get_adv_estimator_fn(ESTIMATOR)
    rewards = torch.tensor([[1e-30, 1.0, -0.5], [1e-30, 0.0, -0.25]])
    for divide in (False, True):
        config = OmegaConf.create({"norm_adv_by_std_in_grpo": divide})
        advantages, returns = estimator(rewards, torch.ones_like(rewards), index=["a", "a"], config=config)
        assert torch.equal(advantages, returns)
        assert torch.equal(advantages, split_advantages(rewards, torch.ones(2, 3), ["a", "a"], divide_by_std=divide))
