"""Greedy answers to 256 prompts: candor beside transformers' ``generate``, and beside all answers at once.

    python benchmarks/evaluate.py            # some minutes on one core
    python benchmarks/evaluate.py --quick    # a smaller shape, less than a minute

``generate`` runs padded batches of 64 on the adapter merged into the weights, and gives text alone. candor gives
the same tokens (this is checked) and the probabilities of the three labels. "all answers" scores a grammar of 303
answers under each prompt instead of decoding one. The floor is a plain forward over as many tokens as differ.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from common import (
    ANCHOR,
    EOS,
    LABELS,
    PAD,
    PROBE,
    SIZES,
    Shape,
    clocked,
    keep_freed_memory,
    machine,
    make_engine,
    make_prompts,
    median,
    run_cell,
    save,
    set_up_process,
    unique_tokens,
)

from candor.engines.base import Sampling, Tokens
from candor.engines.local.engine import LocalEngine

QUICK = Shape(prompts=32, header=60, own=(20, 40))
FULL = Shape(prompts=256)
GENERATE_ROWS = 64
"""The fastest of 8, 16, 32, 64 and 128 here, or within noise of it."""

TREE_PROMPTS = 64
"""As many as ``candor predict`` takes unless told otherwise."""


def grammar() -> list[Tokens]:
    """Three labels and 101 confidences in one or two digits, each answer with an end token."""
    return [
        (*ANCHOR, label, 10, 11, 12, 20 + confidence // 100, 13, 20 + confidence // 10 % 10, 20 + confidence % 10, EOS)
        for label in LABELS
        for confidence in range(101)
    ]


def answer_on_tree(engine: LocalEngine, prompts: list[Tokens], shape: Shape) -> list[Tokens]:
    """Greedy completions with their label probes."""
    answers = []
    for at in range(0, len(prompts), TREE_PROMPTS):
        part = prompts[at : at + TREE_PROMPTS]
        answers += [r.tokens for (r,) in engine.rollout(part, 1, Sampling(0.0, shape.completion), PROBE)]
    return answers


def score_all_answers(engine: LocalEngine, prompts: list[Tokens], answers: list[Tokens]) -> None:
    """Log-probability of every answer of the grammar under every prompt."""
    for at in range(0, len(prompts), TREE_PROMPTS):
        part = prompts[at : at + TREE_PROMPTS]
        engine.logprobs(part, [answers] * len(part))


@torch.no_grad()
def answer_by_generate(model: Any, prompts: list[Tokens], shape: Shape) -> list[Tokens]:
    """Greedy completions from padded batches."""
    answers: list[Tokens] = []
    for at in range(0, len(prompts), GENERATE_ROWS):
        part = prompts[at : at + GENERATE_ROWS]
        width = max(map(len, part))
        ids = torch.tensor([[PAD] * (width - len(prompt)) + list(prompt) for prompt in part])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in part])
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=shape.completion, do_sample=False, pad_token_id=PAD
        )
        answers += [tuple(token for token in row[width:].tolist() if token != PAD) for row in out]
    return answers


@torch.no_grad()
def floor(model: Any, prompts: list[Tokens], answers: list[Tokens]) -> None:
    """One plain forward over as many tokens as differ, and one per decoded place without history."""
    tokens, places = unique_tokens(prompts, [[answer] for answer in answers])
    width = sum(map(len, prompts)) // len(prompts)
    backbone, vocabulary = model.get_decoder(), model.config.vocab_size
    rows = max(1, round((tokens - sum(places)) / width))
    for at in range(0, rows, GENERATE_ROWS):
        backbone(input_ids=torch.randint(50, vocabulary, (min(GENERATE_ROWS, rows - at), width)), use_cache=False)
    for live in places:
        hidden = backbone(input_ids=torch.randint(50, vocabulary, (live, 1)), use_cache=False).last_hidden_state
        model.get_output_embeddings()(hidden).argmax(-1)


def cell(args: argparse.Namespace) -> dict[str, Any]:
    """All sides in turn in one process."""
    set_up_process()
    keep_freed_memory()
    shape = QUICK if args.quick else FULL
    engine = make_engine(args.size, trained=True)
    merged = make_engine(args.size, trained=True)._model.merge_and_unload()
    answers = grammar()
    clocks: dict[str, list[float]] = {}
    for repeat in range(args.repeats):
        prompts = make_prompts(shape, SIZES[args.size]["vocab_size"], repeat)
        with clocked(clocks, "generate"):
            theirs = answer_by_generate(merged, prompts, shape)
        with clocked(clocks, "candor"):
            ours = answer_on_tree(engine, prompts, shape)
        with clocked(clocks, "all_answers"):
            score_all_answers(engine, prompts, answers)
        with clocked(clocks, "floor"):
            floor(merged, prompts, ours)
        different = sum(a != b for a, b in zip(theirs, ours, strict=True))
        # Greedy decoding may part ways where two tokens are equally likely up to rounding.
        if sum(map(len, theirs)) != sum(map(len, ours)) or different > len(prompts) // 50:
            raise SystemExit(f"{different} of {len(prompts)} answers differ from generate's")
    return {"seconds": clocks, "prompts": shape.prompts, "completion_tokens": sum(map(len, ours))}


def main() -> None:
    """Run in a process of its own, print the table, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller shape, less than a minute; keeps nothing")
    parser.add_argument("--size", choices=list(SIZES), help="default: small, or tiny with --quick")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.size = args.size or ("tiny" if args.quick else "small")
    if args.cell:
        print(json.dumps(cell(args)))
        return
    started = time.monotonic()
    flags = ["--quick"] if args.quick else []
    result = run_cell(__file__, "--cell", "--size", args.size, "--repeats", str(args.repeats), *flags)
    seconds = result["seconds"]

    def ratio(over: str, under: str) -> float:
        return median([a / b for a, b in zip(seconds[over], seconds[under], strict=True)])

    result["ratios"] = {
        "generate_over_candor": ratio("generate", "candor"),
        "generate_over_all_answers": ratio("generate", "all_answers"),
        "candor_over_floor": ratio("candor", "floor"),
    }
    result["medians"] = {side: median(values) for side, values in seconds.items()}
    for side, value in result["medians"].items():
        print(f"{side:12s} {value:7.2f} s")
    for name, value in result["ratios"].items():
        print(f"{name.replace('_over_', ' / '):28s} {value:5.2f}")
    print(f"measured in {time.monotonic() - started:.0f} s")
    if not args.quick:
        save(f"evaluate_{args.size}", {"machine": machine(), **result})


if __name__ == "__main__":
    main()
