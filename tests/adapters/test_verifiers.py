"""The taskset as verifiers loads it, and tasks as it scores them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import verifiers.v1 as vf
from toy import EXAMPLES
from verifiers.v1.utils.loaders import taskset_class

from candor.adapters.verdict_reward import VerdictReward
from candor.adapters.verifiers import VerdictTaskset
from candor.data.examples import write_examples
from candor.errors import DataError, PromptError, RecipeError
from candor.prompts import templates


def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> VerdictTaskset:
    """As the command line makes it: by the name of a module of the user's, with settings in plain values."""
    (tmp_path / "my_verdicts.py").write_text(
        'from candor.adapters.verifiers import VerdictTaskset\n__all__ = ["VerdictTaskset"]\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    write_examples(tmp_path / "claims.jsonl", EXAMPLES)
    kind = taskset_class("my-verdicts")
    assert kind is VerdictTaskset
    config = vf.EnvConfig.model_validate({"taskset": {"id": "my-verdicts"} | asked}).taskset
    made = kind(config)
    assert isinstance(made, VerdictTaskset)
    return made


def traced(task: vf.Task, answer: str, **how: Any) -> vf.Trace:
    """What a harness leaves of one turn."""
    trace = vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
        nodes=[
            vf.MessageNode(message=vf.UserMessage(content=task.data.prompt_text)),
            vf.MessageNode(parent=0, message=vf.AssistantMessage(content=answer), sampled=True),
        ],
        **how,
    )
    asyncio.run(task.score(trace))
    return trace


def test_an_answer_earns_the_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = str(tmp_path / "claims.jsonl")
    changes = {"preset": "paper", "changes": {"warmup_steps": 0}}
    taskset = loaded(tmp_path, monkeypatch, claims=claims, task=changes)
    tasks = list(taskset.shuffle(3).take(4))
    assert len({task.data.id for task in tasks}) == 4
    of_id = {example.id: example for example in EXAMPLES}
    for task in tasks:
        example = of_id[task.data.id]
        assert task.data.prompt == templates.get("verdict").render(example)
        for answer in (f"LABEL={example.label.value}\nCONF=0.90", "LABEL=NA\nCONF=0.10", "I cannot tell."):
            trace = traced(task, answer)
            expected = VerdictReward("paper", warmup_steps=0).score(answer, example.label.value, example.evidence)
            assert trace.reward == pytest.approx(expected["score"])
            assert trace.metrics == {"acc": expected["acc"], "in_form": expected["in_form"]}
            assert {name: reward.score for name, reward in trace.rewards.items() if reward} == {
                name: value for name, value in expected.items() if name not in ("score", "acc", "in_form")
            }


def test_an_answer_that_was_cut_is_not_in_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = next(iter(loaded(tmp_path, monkeypatch, claims=str(tmp_path / "claims.jsonl"))))
    answer = f"LABEL={task.data.gold}\nCONF=0.9"
    cut = traced(task, answer, stop_condition="max_output_tokens")
    assert traced(task, answer + "0").metrics["in_form"] == 1.0
    assert cut.metrics["in_form"] == 0.0


def test_what_is_wrong_is_told_before_any_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = str(tmp_path / "claims.jsonl")
    for asked, kind, told in (
        ({}, DataError, "name a file of them with --env.taskset.claims"),
        ({"claims": str(tmp_path / "none.jsonl")}, DataError, "none.jsonl"),
        ({"claims": claims, "task": {"preset": "papr"}}, RecipeError, "no reward preset 'papr'"),
        ({"claims": claims, "task": {"preset": "paper"}}, RecipeError, "set warmup_steps to 0"),
        ({"claims": claims, "task": {"template": "nope"}}, PromptError, "nope"),
    ):
        with pytest.raises(kind, match=told):
            next(iter(loaded(tmp_path, monkeypatch, **asked)))  # type: ignore[arg-type]
