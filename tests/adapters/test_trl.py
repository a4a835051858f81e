"""The reward's terms in TRL: the same numbers as candor's own, and a real run of its trainer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing
from toy import TEMPLATE, example, save_toy_model, toy_engine, toy_tokenizer

from candor.adapters.trl import NEED_PROBE, in_form, label_correctness, model_probe, reward_funcs, weighted_reward
from candor.engines.base import Sampling
from candor.errors import DataError, RecipeError
from candor.prompts.encoding import encode_text
from candor.prompts.probe import LABEL_PROBE
from candor.recipe.reward import PRESETS, TERMS, RewardConfig
from candor.training.rewards import score

COMPLETIONS = ["LABEL=PASS\nCONF=0.80", "LABEL=NA\nCONF=0.30", "so LABEL=FAIL\nCONF=0.90", "no idea", "LABEL=NA"]
COLUMNS: dict[str, Any] = {
    "label": ["PASS", "FAIL", "FAIL", "NA", None],
    "evidence": [["a"], ["b"], [], ["c"], ["d"]],
    "trainer_state": SimpleNamespace(global_step=25),
}
PROMPTS = ["p"] * 5
IDS = [[1], [2], [3], [4], [5]]
PROBS = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])


def fixed_probe(prompts: Any, completion_ids: Any) -> Any:
    return PROBS


def call(functions: list[Any], **changes: Any) -> dict[str, list[float | None]]:
    columns = COLUMNS | changes
    return {f.__name__: f(PROMPTS, COMPLETIONS, completion_ids=IDS, **columns) for f in functions}


def test_the_terms_are_candors_own() -> None:
    got = call(reward_funcs("paper", template="sandbox", probe=fixed_probe))
    expected = score(
        RewardConfig.model_validate({"preset": "paper"}),
        label=[0, 2, 1, -1, 2],
        confidence=[0.8, 0.3, 0.9, np.nan, np.nan],
        clean=[True, True, False, False, False],
        gold=[0, 1, 1, 2, 0],
        has_evidence=[True, True, False, True, True],
        probs=PROBS,
        step=25,
    )
    assert list(got) == [f"candor_{term}" for term in TERMS]
    for term, values in expected.terms.items():
        assert got[f"candor_{term}"][:4] == pytest.approx(values[:4].tolist())
        assert got[f"candor_{term}"][4] is None  # no gold label: nothing to score by
    (total,) = call([weighted_reward("paper", template="sandbox", probe=fixed_probe)]).values()
    assert total[:4] == pytest.approx(expected.total[:4].tolist())
    assert total[4] is None


def test_hand_computed() -> None:
    got = call(reward_funcs("paper", template="sandbox"))
    assert got["candor_accuracy"] == [2.0, -1.0, 2.0, -1.0, None]
    # Half of the warm-up: 0.5 * -0.25 * (0.8 - 1)^2, * 0.3^2, * (0.9 - 1)^2, and the most for no label.
    assert got["candor_calibration"][:4] == pytest.approx([-0.005, -0.01125, -0.00125, -0.125])
    assert got["candor_false_na"][:4] == [0.0, -2.0, 0.0, 0.0]
    assert got["candor_format"][:4] == [0.0, 0.0, -0.25, -0.25]


def test_without_a_probe_the_terms_that_need_one_are_left_out() -> None:
    assert {f.__name__ for f in reward_funcs("paper")} == {f"candor_{t}" for t in TERMS if t not in NEED_PROBE}
    assert [f.__name__ for f in reward_funcs("rlcr")] == ["candor_accuracy", "candor_calibration", "candor_format"]
    assert [weighted_reward(name).__name__ for name in PRESETS] == [f"candor_{name}" for name in PRESETS]


def test_messages_are_read_like_text() -> None:
    function = reward_funcs("rlcr", template="sandbox")[0]
    messages = [[{"role": "assistant", "content": text}] for text in COMPLETIONS]
    assert function([[]] * 5, messages, IDS, **COLUMNS) == function(["p"] * 5, COMPLETIONS, IDS, **COLUMNS)


def test_a_completion_that_did_not_end_is_not_in_form() -> None:
    functions = reward_funcs("rlcr", template="sandbox", stop_token_ids=[1])
    assert call(functions)["candor_format"][:2] == [0.0, -1.0]


def test_mistakes_are_named() -> None:
    with pytest.raises(RecipeError, match="no reward preset 'papr'; there are: paper"):
        reward_funcs("papr")
    function = reward_funcs("rlcr")[0]
    with pytest.raises(DataError, match="no column 'label'; it has evidence"):
        function(["p"], ["x"], [[1]], evidence=[[]])
    with pytest.raises(DataError, match="holds 'SUPPORTS'; gold labels are PASS, FAIL, NA"):
        function(["p"], ["x"], [[1]], label=["SUPPORTS"], evidence=[[]])
    with pytest.raises(DataError, match="needs trainer_state"):
        reward_funcs("paper")[0](["p"], ["x"], [[1]], label=["PASS"], evidence=[[]])


def test_each_batch_is_scored_once_and_no_two_are_mixed_up() -> None:
    calls = []

    def probe(prompts: Any, completion_ids: Any) -> Any:
        calls.append(len(prompts))
        return PROBS

    functions = reward_funcs("paper", template="sandbox", probe=probe)
    call(functions)
    assert calls == [5]
    assert call(functions, label=["FAIL", "NA", "FAIL", "NA", "NA"])["candor_accuracy"] == [-1.0, 2.0, 2.0, -1.0, 2.0]
    assert calls == [5, 5]
    backwards = COMPLETIONS[::-1]
    other = [f(PROMPTS, backwards, completion_ids=IDS, **COLUMNS) for f in functions]
    assert calls == [5, 5, 5]
    assert other[0] == [-1.0, -1.0, 2.0, 2.0, None]


def test_whether_an_answer_is_right_and_in_form() -> None:
    got = call([label_correctness("sandbox"), in_form("sandbox")])
    assert got == {"correct": [1.0, 0.0, 1.0, 0.0, None], "in_form": [1.0, 1.0, 0.0, 0.0, 0.0]}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_model(tmp_path_factory.mktemp("trl") / "model")


def test_the_probe_is_the_engines(model_folder: Path) -> None:
    engine = toy_engine(model_folder, path="plain")
    prompts = [TEMPLATE.render(example(index)) for index in range(3)]
    asked = [encode_text(engine.tokenizer, prompt) for prompt in prompts]
    rollouts = [group[0] for group in engine.rollout(asked, 1, Sampling(1.0, 12, seed=1), LABEL_PROBE)]
    engine._model.train()
    probs = model_probe(engine._model, engine.tokenizer)(prompts, [rollout.tokens for rollout in rollouts])
    raw = np.exp(np.array([rollout.probe_logprobs for rollout in rollouts]))
    assert probs == pytest.approx(raw / raw.sum(1, keepdims=True), abs=1e-5)
    assert engine._model.training


def test_the_probe_reads_behind_the_tokens_that_the_trainer_sends(model_folder: Path) -> None:
    """A plain prompt keeps its BOS though there is a chat template; messages are rendered as the trainer does."""
    engine = toy_engine(model_folder, path="plain")
    tokenizer = engine.tokenizer
    begin = tokenizer("PASS", add_special_tokens=False)["input_ids"][0]
    tokenizer.bos_token = "PASS"  # any token that matters to the model
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="PASS $A", special_tokens=[("PASS", begin)])
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% endfor %}{{ 'FAIL' if thinking else 'NA' }}"
        "{% if add_generation_prompt %}{{ 'Answer:\\n' }}{% endif %}"
    )
    words = TEMPLATE.render(example(1))
    answer = tuple(tokenizer("LABEL=NA", add_special_tokens=False)["input_ids"])

    def expected(tokens: list[int]) -> Any:
        labels = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in ("PASS", "FAIL", "NA")]
        (scores,) = engine.logprobs([tuple(tokens)], [[(*answer[:-1], label) for label in labels]])
        raw = np.exp([row[-1] for row in scores])
        return raw / raw.sum()

    message = [{"role": "user", "content": words}]
    probe = model_probe(engine._model, tokenizer)
    thinking = model_probe(engine._model, tokenizer, chat_template_kwargs={"thinking": True})
    plain, chat = tokenizer(words)["input_ids"], tokenizer.apply_chat_template
    assert plain[0] == begin
    sent = chat([message], tokenize=True, add_generation_prompt=True, return_dict=True)["input_ids"][0]
    thought = chat([message], tokenize=True, add_generation_prompt=True, return_dict=True, thinking=True)["input_ids"][
        0
    ]
    assert probe([words, message], [answer, answer]) == pytest.approx(
        np.array([expected(plain), expected(sent)]), abs=1e-5
    )
    assert thinking([message], [answer])[0] == pytest.approx(expected(thought), abs=1e-5)
    assert len({tuple(np.round(expected(tokens), 6)) for tokens in (plain, plain[1:], sent, thought)}) == 4


def test_two_steps_of_trls_own_trainer(model_folder: Path, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="TRL is not installed (extra 'bench')")
    datasets = pytest.importorskip("datasets")
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    tokenizer = toy_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    examples = [example(index) for index in range(4)]
    rows = [{"prompt": TEMPLATE.render(e), "label": e.label.value, "evidence": list(e.evidence)} for e in examples]
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    functions = reward_funcs(
        "paper",
        template="sandbox",
        probe=model_probe(model, tokenizer),
        stop_token_ids=[tokenizer.eos_token_id],
    )
    trainer = trl.GRPOTrainer(
        model=model,
        reward_funcs=[*functions, weighted_reward("rlcr", template="sandbox")],
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=12,
            max_steps=2,
            logging_steps=1,
            learning_rate=1e-3,
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert len(logged) == 2
    for name in (*(f"candor_{term}" for term in TERMS), "candor_rlcr"):
        assert all(np.isfinite(row[f"rewards/{name}/mean"]) for row in logged)
    terms = [sum(row[f"rewards/candor_{name}/mean"] for name in (*TERMS, "rlcr")) for row in logged]
    assert terms == pytest.approx([row["reward"] for row in logged], abs=1e-4)
    # Warm-up over 50 steps: nothing at step 0.
    assert logged[0]["rewards/candor_calibration/mean"] == 0.0
    assert logged[1]["rewards/candor_calibration/mean"] < 0.0


def test_answers_are_read_as_candor_reads_them() -> None:
    """A choice of labels is no label, and a number that goes on is no confidence."""
    texts = ["LABEL=PASS or FAIL or NA\nCONF=0.90", "<think>First LABEL=PASS", "LABEL=PASS\nCONF=1 out of 10"]
    columns = {"label": ["PASS"] * 3, "evidence": [["a"]] * 3, "trainer_state": SimpleNamespace(global_step=25)}
    got = {f.__name__: f(["p"] * 3, texts, **columns) for f in reward_funcs("paper", template="sandbox")}
    expected = score(
        RewardConfig.model_validate({"preset": "paper"}),
        label=[-1, -1, 0],
        confidence=[np.nan, np.nan, np.nan],
        clean=[False] * 3,
        gold=[0] * 3,
        has_evidence=[True] * 3,
        probs=np.full((3, 3), 1 / 3),
        step=25,
    )
    for name, values in got.items():
        assert values == pytest.approx(expected.terms[name.removeprefix("candor_")].tolist())
