"""One GRPO step, candor beside TRL 1.16 and beside the plain cost of the tokens that differ.

    python benchmarks/step.py            # about a quarter of an hour on one core
    python benchmarks/step.py --quick    # a smaller shape, less than a minute
    python benchmarks/step.py --model FOLDER --data FOLDER --prompts 8    # a pretrained model on VitaminC's claims

Both sides take the same model, adapter and prompts, draw 8 completions of 14 tokens for each of 32 prompts at
temperature 0.2, read the probabilities of three labels, and take one optimiser step. TRL "tuned" runs batches of 8
rows, its output layer on completions only, no gradient checkpointing, and a C library that keeps freed memory (so
does candor beside it). TRL "as it comes" has its defaults: gradient checkpointing, the output layer on all
positions, the stock C library. The floor is a plain batch with as many tokens as differ in the step: forward and
backward through merged LoRA, and one forward per decoded place without any history to attend to.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import (
    Shape,
    Subject,
    add_subject_arguments,
    arguments_of,
    clocked,
    fill_adapter,
    keep_freed_memory,
    lora_config,
    machine,
    median,
    peak_memory_mb,
    run_cell,
    save,
    set_up_process,
    subject_name,
    subject_of,
    unique_tokens,
)

from candor.engines.base import Batch, OptimiserStep, Sampling, Tokens
from candor.engines.local.engine import LocalEngine
from candor.engines.ragged import padded
from candor.engines.tree.lora import FastLora
from candor.prompts.probe import Probe
from candor.training.advantages import group_advantages
from candor.training.sampled import SampledObjective
from candor.training.sections import Sections

QUICK = Shape(prompts=8, group_size=4, header=60, own=(20, 40))
FULL = Shape()
TRL_ROWS = 8


def reward(completion: Tokens, probe: np.ndarray) -> float:
    """Anything cheap that depends on the completion and the probed labels."""
    return sum(completion) % 7 / 7 + float(probe.max())


def candor_step(
    engine: LocalEngine, prompts: list[Tokens], shape: Shape, probe: Probe, seed: int
) -> list[list[Tokens]]:
    """Sample, probe, score, update. Returns the completions."""
    sampling = Sampling(shape.temperature, shape.completion, seed)
    rollouts = engine.rollout(prompts, shape.group_size, sampling, probe)
    completions = [[rollout.tokens for rollout in group] for group in rollouts]
    rewards = np.array([[reward(r.tokens, np.exp(r.probe_logprobs)) for r in group] for group in rollouts])
    advantages = group_advantages(rewards, divide_by_std=True).values_P_G
    sampled = torch.from_numpy(padded([[rollout.logprobs for rollout in group] for group in rollouts]))
    objective = SampledObjective(
        sections=Sections({"completions": [shape.group_size] * len(prompts)}),
        rollout_logprobs_P_G_T=sampled,
        reference_P_G_T=None,
        advantages_P_G_T=torch.from_numpy(advantages)[:, :, None].expand(sampled.shape),
        gold_P=torch.zeros(len(prompts), dtype=torch.long),
        sites_P=[[] for _ in prompts],
        log_gold=0.0,
        kl=0.0,
    )
    engine.update(Batch(prompts, completions, shape.temperature), objective, OptimiserStep(1e-6, 1.0))
    return completions


class Floor:
    """The plain cost of a step's distinct tokens, on the same model with merged LoRA."""

    def __init__(self, subject: Subject) -> None:
        self._model = subject.adapted().eval()
        self._lora = FastLora(self._model)
        base = self._model.get_base_model()
        self._backbone, self._head = base.get_decoder(), base.get_output_embeddings()
        self._vocabulary = base.config.vocab_size
        parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.AdamW(parameters, lr=1e-6)

    def step(self, prompts: list[Tokens], completions: list[list[Tokens]], shape: Shape) -> None:
        """A forward and backward over dense rows, and decoding passes without history."""
        tokens, places = unique_tokens(prompts, completions)
        width = round(float(np.mean([len(prompt) for prompt in prompts]))) + shape.completion
        ids = torch.randint(50, self._vocabulary, (max(1, round(tokens / width)), width))
        scored = sum(places) + len(prompts)
        self._lora.refresh()
        with self._lora.applied():
            with torch.no_grad():
                for live in places:
                    step_ids = torch.randint(50, self._vocabulary, (live, 1))
                    hidden = self._backbone(input_ids=step_ids, use_cache=False).last_hidden_state[:, 0]
                    torch.softmax(self._head(hidden) / shape.temperature, dim=-1).cumsum(dim=-1)
            hidden = self._backbone(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)[:scored]
            targets = torch.randint(50, self._vocabulary, (len(hidden), 1))
            logprobs = torch.log_softmax(self._head(hidden) / shape.temperature, dim=-1).gather(1, targets)
            (-torch.exp(logprobs - logprobs.detach()).mean()).backward()
        self._optimiser.step()
        self._optimiser.zero_grad()


def run_trl(
    subject: Subject,
    steps: int,
    *,
    tuned: bool,
    folder: Path,
    between: Callable[[int, float, int], None],
) -> None:
    """TRL's trainer; calls ``between(step, CPU seconds, completion tokens)`` after each of its steps."""
    import trl.trainer.utils
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    if tuned:
        # Off a GPU TRL scores all positions; on one, completions only. The latter is right everywhere here.
        trl.trainer.utils._use_triton = lambda device: True
    shape, tokenizer, probe = subject.shape, subject.tokenizer, subject.probe
    texts = [subject.text_of(prompt) for step in range(steps) for prompt in subject.prompts(step)]
    counted = {"tokens": 0}

    def reward_function(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        unique = list(dict.fromkeys(prompts))
        encoded = [tokenizer(prompt)["input_ids"] for prompt in unique]
        choices = [tokenizer(probe.anchor + choice)["input_ids"] for choice in probe.choices]
        with torch.no_grad():
            rows = [_probe(trainer.model, encoded, choice, tokenizer.pad_token_id) for choice in choices]
            probes = torch.softmax(torch.stack(rows, 1), 1).numpy()
        of = dict(zip(unique, probes, strict=True))
        counted["tokens"] += sum(map(len, completion_ids))
        return [reward(tuple(ids), of[prompt]) for prompt, ids in zip(prompts, completion_ids, strict=True)]

    arguments: dict[str, Any] = {"gradient_checkpointing": False} if tuned else {}
    config = GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=TRL_ROWS,
        gradient_accumulation_steps=shape.prompts * shape.group_size // TRL_ROWS,
        num_generations=shape.group_size,
        max_completion_length=shape.completion,
        temperature=shape.temperature,
        beta=0.0,
        use_cpu=True,
        bf16=False,
        max_steps=steps,
        learning_rate=1e-6,
        logging_steps=1000,
        save_strategy="no",
        report_to="none",
        shuffle_dataset=False,
        disable_tqdm=True,
        **arguments,
    )
    trainer = GRPOTrainer(
        model=subject.model(),
        args=config,
        reward_funcs=reward_function,
        train_dataset=Dataset.from_list([{"prompt": text} for text in texts]),
        processing_class=tokenizer,
        peft_config=lora_config(),
    )
    fill_adapter(trainer.model)

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            counted["tokens"] = 0
            self.start = time.process_time()

        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            between(state.global_step - 1, time.process_time() - self.start, counted["tokens"])

    trainer.add_callback(Clock())
    trainer.train()


def _probe(model: Any, prompts: list[list[int]], choice: list[int], pad: int) -> torch.Tensor:
    rows = [prompt + choice for prompt in prompts]
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=len(choice) + 1).logits[:, :-1]
    targets = torch.tensor(choice)[None, :, None].expand(len(rows), -1, 1)
    return torch.log_softmax(logits.float(), dim=-1).gather(2, targets).sum((1, 2))


def cell(args: argparse.Namespace) -> dict[str, Any]:
    """One process: TRL's and candor's steps and the floor in turn, or one side alone for its memory."""
    set_up_process()
    if args.tuned:
        keep_freed_memory()
    subject = subject_of(args, QUICK, FULL, trained=args.trained)
    shape, probe = subject.shape, subject.probe
    clocks: dict[str, list[float]] = {}
    counts: dict[str, Any] = {}
    if args.only != "trl":
        engine = subject.engine()
        candor_step(engine, subject.prompts(99), shape, probe, 99)
    if args.only == "candor":
        return {"peak_mb": peak_memory_mb()}
    floor = None if args.only else Floor(subject)

    def between(step: int, seconds: float, completion_tokens: int) -> None:
        clocks.setdefault("trl", []).append(seconds)
        if floor is None:
            return
        prompts = subject.prompts(step)
        for repeat in range(args.repeats):
            with clocked(clocks, "candor"):
                completions = candor_step(engine, prompts, shape, probe, step * args.repeats + repeat)
            with clocked(clocks, "floor"):
                floor.step(prompts, completions, shape)
        ours = sum(len(completion) for group in completions for completion in group)
        if ours != completion_tokens and not args.model:
            raise SystemExit(f"TRL made {completion_tokens} completion tokens, candor {ours}")
        counts.update(
            prompt_tokens=sum(map(len, prompts)),
            completion_tokens=ours,
            unique_tokens=unique_tokens(prompts, completions)[0],
        )

    run_trl(subject, args.steps, tuned=args.tuned, folder=args.folder, between=between)
    return {"seconds": clocks, "peak_mb": peak_memory_mb(), **counts}


def ratios(result: dict[str, Any], repeats: int) -> dict[str, float]:
    """Medians over steps of TRL / candor and candor / floor, each within its own step."""
    seconds = result["seconds"]
    trl = np.repeat(seconds["trl"], repeats)
    candor, floor = np.array(seconds["candor"]), np.array(seconds["floor"])
    return {
        "trl": median(seconds["trl"]),
        "candor": median(candor),
        "floor": median(floor),
        "trl_over_candor": median(trl / candor),
        "candor_over_floor": median(candor / floor),
    }


def main() -> None:
    """Run every cell in a process of its own, print the table, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_subject_arguments(parser)
    parser.add_argument("--steps", type=int, default=2, help="TRL steps of each comparison")
    parser.add_argument("--repeats", type=int, default=3, help="candor steps for each TRL step")
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--trained", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tuned", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=["trl", "candor"], help=argparse.SUPPRESS)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "candor-bench-trl", help=argparse.SUPPRESS
    )
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(cell(args)))
        return
    common = ["--cell", *arguments_of(args), "--steps", str(args.steps), "--repeats", str(args.repeats)]
    cells = {
        "tuned, completions all different": ["--tuned"],
        "tuned, trained policy's completions": ["--tuned", "--trained"],
        # Its ratio is the largest and the least in doubt, so one step is enough.
        "as it comes, completions all different": ["--steps", "1"],
    }
    if args.model:
        # A pretrained model says what it says, and one comparison takes minutes.
        cells = {"tuned": ["--tuned"]}
    table: dict[str, Any] = {}
    for name, flags in cells.items():
        result = run_cell(__file__, *common, *flags)
        table[name] = {**result, **ratios(result, args.repeats)}
        row = table[name]
        print(
            f"{name:40s} TRL {row['trl']:7.2f} s  candor {row['candor']:6.2f} s  floor {row['floor']:6.2f} s  "
            f"TRL / candor {row['trl_over_candor']:5.1f}  candor / floor {row['candor_over_floor']:4.2f}",
            flush=True,
        )
    memory = {
        side: run_cell(__file__, *common, "--tuned", "--steps", "1", "--only", side)["peak_mb"]
        for side in ("trl", "candor")
    }
    print(f"peak memory: TRL {memory['trl']:.0f} MB, candor {memory['candor']:.0f} MB", flush=True)
    if not args.quick:
        save(f"step_{subject_name(args)}", {"machine": machine(), "cells": table, "peak_mb": memory})


if __name__ == "__main__":
    main()
