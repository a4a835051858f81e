"""Split credit and expected confidence in TRL's own trainer."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import example

pytest.importorskip("trl", reason="TRL is not installed (extra 'bench')")

from candor.adapters.trl import in_form, label_correctness
from candor.adapters.trl_trainer import ConfidenceGRPOTrainer, confidence_terms
from candor.errors import CandorError, DataError, RecipeError
from candor.prompts import templates
from candor.prompts.encoding import decode, encode_continuation

TEMPLATE = templates.get("sandbox")


def make(model: Path, out: Path, **options: Any) -> ConfidenceGRPOTrainer:
    """A trainer on a saved model and a few claims, two short steps."""
    import datasets
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    examples = [example(index) for index in range(6)]
    rows = [{"prompt": TEMPLATE.render(e), "label": e.label.value, "evidence": list(e.evidence)} for e in examples]
    args = GRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=12,
        max_steps=2,
        logging_steps=1,
        learning_rate=1e-3,
        report_to="none",
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        disable_tqdm=True,
    )
    options = {"correctness": label_correctness("sandbox"), "reward_funcs": [in_form("sandbox")]} | options
    return ConfidenceGRPOTrainer(
        AutoModelForCausalLM.from_pretrained(model),
        args=args,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM"),
        **options,
    )


@pytest.fixture(scope="module")
def trainer(sandbox_base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> ConfidenceGRPOTrainer:
    return make(sandbox_base_model, tmp_path_factory.mktemp("trl"))


def test_two_steps_on_a_real_small_model(trainer: ConfidenceGRPOTrainer) -> None:
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters() if value.requires_grad}
    trainer.train()
    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert len(logged) == 2
    for row in logged:
        assert row["confidence/left_out"] == 0.0  # the sandbox's model answers in the form
        assert 0.0 <= row["confidence/brier"] <= 1.0
        assert 0.0 < row["confidence/entropy"] <= math.log(101) + 1e-6
        assert 0.5 < row["confidence/valid"] <= 1.0 + 1e-6
        assert 0.0 <= row["rewards/correct/mean"] <= 1.0
        assert row["rewards/in_form/mean"] == 1.0
        assert math.isfinite(row["loss"])
    after = dict(trainer.model.named_parameters())
    assert any(not torch.equal(value, after[name]) for name, value in before.items())


def test_the_number_earns_nothing_of_the_answer(trainer: ConfidenceGRPOTrainer, monkeypatch: Any) -> None:
    from trl import GRPOTrainer

    tokenizer = trainer._words
    texts = ["LABEL=PASS\nCONF=0.80", "LABEL=NA", "LABEL=FAIL\nCONF=0.805", "LABEL=FAIL\nCONF=high"]
    answers = [encode_continuation(tokenizer, text) for text in texts]
    width = max(map(len, answers))
    ids = torch.tensor([[*answer, *[0] * (width - len(answer))] for answer in answers])
    mask = torch.tensor([[1] * len(answer) + [0] * (width - len(answer)) for answer in answers])
    made = {"completion_ids": ids, "completion_mask": mask, "advantages": torch.tensor([1.0, -1.0, 2.0, 3.0])}
    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", lambda self, inputs: dict(made))
    monkeypatch.setattr(trainer, "_answer_correct", torch.ones(4))
    output = trainer._generate_and_score_completions([])
    kept = []
    for answer, advantages, whole in zip(answers, output["advantages"].tolist(), [1.0, -1.0, 2.0, 3.0], strict=True):
        assert set(advantages[: len(answer)]) <= {0.0, whole}
        kept.append(decode(tokenizer, [token for token, a in zip(answer, advantages, strict=False) if a]))
    # A third digit is none of the number, so whether it comes is the answer's doing.
    assert kept == ["LABEL=PASS\nCONF=", "LABEL=NA", "LABEL=FAIL\nCONF=5", "LABEL=FAIL\nCONF=high"]


def batch(trainer: ConfidenceGRPOTrainer, texts: list[str], correct: list[float]) -> dict[str, Any]:
    tokenizer = trainer._words
    prompt = tokenizer(TEMPLATE.render(example(1)))["input_ids"]
    answers = [encode_continuation(tokenizer, text) for text in texts]
    width = max(map(len, answers))
    return {
        "prompt_ids": torch.tensor([[0, *prompt]] * len(texts)),
        "prompt_mask": torch.tensor([[0, *[1] * len(prompt)]] * len(texts)),
        "completion_ids": torch.tensor([[*answer, *[0] * (width - len(answer))] for answer in answers]),
        "completion_mask": torch.tensor([[1] * len(answer) + [0] * (width - len(answer)) for answer in answers]),
        "correct": torch.tensor(correct),
    }


def test_the_confidence_is_taught_what_the_answer_is_worth(trainer: ConfidenceGRPOTrainer) -> None:
    """Descending the loss raises the expected confidence behind a right answer and lowers it behind a wrong one."""
    model, parameters = trainer.model.eval(), [p for p in trainer.model.parameters() if p.requires_grad]
    text = "LABEL=PASS\nCONF=0.50"

    def expected_confidence() -> torch.Tensor:
        terms = trainer._terms
        tokenizer = trainer._words
        rows = [
            (
                (*tokenizer(TEMPLATE.render(example(1)))["input_ids"], *encode_continuation(tokenizer, text)[:-4]),
                correct,
            )
            for correct in (0.0, 1.0)
        ]
        wrong, right = terms(model, "", rows)["brier"]
        return (1 + wrong - right) / 2  # E c^2 - E (c - 1)^2 = 2 E c - 1

    along = torch.autograd.grad(expected_confidence(), parameters)
    for correct, sign in ((1.0, -1.0), (0.0, 1.0)):
        loss = trainer._confidence_loss(model, batch(trainer, [text], [correct]))
        gradient = torch.autograd.grad(loss, parameters)
        inner = sum(float((one * other).sum()) for one, other in zip(gradient, along, strict=True))
        assert math.copysign(1.0, inner) == sign


def test_what_states_no_confidence_or_is_not_known_is_left_out(trainer: ConfidenceGRPOTrainer) -> None:
    model = trainer.model.eval()
    with torch.no_grad():
        alone = trainer._confidence_loss(model, batch(trainer, ["LABEL=PASS\nCONF=0.50"], [1.0]))
        texts = ["LABEL=PASS\nCONF=0.50", "LABEL=PASS", "LABEL=NA\nCONF=0.10", "LABEL=PASS\nCONF=0.9"]
        mixed = trainer._confidence_loss(model, batch(trainer, texts, [1.0, 1.0, math.nan, 1.0]))
        nothing = trainer._confidence_loss(model, batch(trainer, ["LABEL=PASS"], [1.0]))
    assert float(mixed) == pytest.approx(float(alone) * 2 / 4, rel=1e-4)
    assert float(nothing) == 0.0


def test_the_terms_by_hand() -> None:
    """Two confidences alone, .50 and 1.00, with shares 1/4 and 3/4 and a valid mass of .8."""
    logprobs = torch.full((2, 101), -math.inf)
    logprobs[:, 50], logprobs[:, 100] = math.log(0.2), math.log(0.6)
    logprobs = logprobs.clamp(min=-1e4)
    terms = confidence_terms(logprobs, torch.tensor([1.0, 0.0]))
    assert terms["brier"].tolist() == pytest.approx([0.25 * 0.25, 0.25 * 0.25 + 0.75])
    assert terms["log_valid"].exp().tolist() == pytest.approx([0.8, 0.8])
    assert terms["entropy"].tolist() == pytest.approx([0.5623351] * 2, abs=1e-6)


def test_what_cannot_be_is_refused(sandbox_base_model: Path, tmp_path: Path) -> None:
    for options, words in (
        ({"confidence_weight": -1.0}, "confidence_weight is -1"),
        ({"log_valid": -0.5}, "log_valid is -0.5"),
        ({"confidence_anchor": ""}, "confidence_anchor is empty"),
    ):
        with pytest.raises(RecipeError, match=words):
            make(sandbox_base_model, tmp_path, **options)

    def graded(completions: Any, **_: Any) -> list[float]:
        return [2.0] * len(completions)

    with pytest.raises(DataError, match="correctness gave 2; it is from 0"):
        make(sandbox_base_model, tmp_path, correctness=graded).train()


def test_without_trl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.delitem(sys.modules, "candor.adapters.trl_trainer")
    with pytest.raises(CandorError, match=r"pip install -e '\.\[bench\]'"):
        importlib.import_module("candor.adapters.trl_trainer")
