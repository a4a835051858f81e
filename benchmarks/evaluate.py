"""Greedy answers to 256 prompts: candor beside transformers' ``generate``, and beside all answers at once.

    python benchmarks/evaluate.py            # some minutes on one core
    python benchmarks/evaluate.py --quick    # a smaller shape, less than a minute
    python benchmarks/evaluate.py --model FOLDER --data FOLDER --prompts 32    # a pretrained model on VitaminC's claims

``generate`` runs padded batches of 64 on the adapter merged into the weights, and gives text alone. candor gives
the same tokens (this is checked) and the probabilities of the three labels. "all answers" scores a grammar of 303
answers under each prompt instead of decoding one; "verdict" scores their ends behind four confidences of each label,
as a Verifier does. The floor is a plain forward over as many tokens as differ.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import torch
from common import (
    ANCHOR,
    EOS,
    LABELS,
    Shape,
    Subject,
    add_subject_arguments,
    arguments_of,
    clocked,
    keep_freed_memory,
    machine,
    median,
    run_cell,
    save,
    set_up_process,
    subject_name,
    subject_of,
    unique_tokens,
)

from candor.engines.answer_scores import open_answers, spread_ended
from candor.engines.base import Sampling, Tokens
from candor.engines.local.engine import LocalEngine
from candor.prompts.grammar import AnswerGrammar, answer_grammar
from candor.prompts.templates import get

QUICK = Shape(prompts=32, header=60, own=(20, 40))
FULL = Shape(prompts=256)
GENERATE_ROWS = 64
"""The fastest of 8, 16, 32, 64 and 128 here, or within noise of it."""

TREE_PROMPTS = 256
"""The fastest of 64, 128 and 256; ``candor predict`` takes 64 unless told otherwise, in 6 % more time."""


def grammar(subject: Subject, *, pretrained: bool) -> AnswerGrammar:
    """Three labels and 101 confidences, each answer with an end token: those of the prompt, or made of random words."""
    if pretrained:
        return answer_grammar(get("verdict"), subject.tokenizer)
    answers = tuple(
        (*ANCHOR, label, 10, 11, 12, 20 + confidence // 100, 13, 20 + confidence // 10 % 10, 20 + confidence % 10, EOS)
        for label in LABELS
        for confidence in range(101)
    )
    return AnswerGrammar(answers, (2,) * 303, (3,) * 303, (len(answers[0]) - 1,) * 303)


def answer_on_tree(engine: LocalEngine, prompts: list[Tokens], subject: Subject) -> list[Tokens]:
    """Greedy completions with their label probes."""
    answers = []
    for at in range(0, len(prompts), TREE_PROMPTS):
        part = prompts[at : at + TREE_PROMPTS]
        sampling = Sampling(0.0, subject.shape.completion)
        answers += [r.tokens for (r,) in engine.rollout(part, 1, sampling, subject.probe)]
    return answers


def score_answers(engine: LocalEngine, prompts: list[Tokens], answers: Sequence[Tokens]) -> None:
    """Log-probability of every answer under every prompt."""
    for at in range(0, len(prompts), TREE_PROMPTS):
        part = prompts[at : at + TREE_PROMPTS]
        engine.logprobs(part, [answers] * len(part))


@torch.no_grad()
def answer_by_generate(model: Any, prompts: list[Tokens], subject: Subject) -> list[Tokens]:
    """Greedy completions from padded batches."""
    answers: list[Tokens] = []
    pad = subject.tokenizer.pad_token_id
    for at in range(0, len(prompts), GENERATE_ROWS):
        part = prompts[at : at + GENERATE_ROWS]
        width = max(map(len, part))
        ids = torch.tensor([[pad] * (width - len(prompt)) + list(prompt) for prompt in part])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in part])
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=subject.shape.completion,
            do_sample=False,
            pad_token_id=pad,
        )
        answers += [tuple(token for token in row[width:].tolist() if token != pad) for row in out]
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
    subject = subject_of(args, QUICK, FULL, trained=True)
    engine, merged = subject.engine(), subject.adapted().merge_and_unload()
    whole = grammar(subject, pretrained=args.model is not None)
    opened = open_answers(whole, spread_ended(4))
    clocks: dict[str, list[float]] = {}
    for repeat in range(args.repeats):
        prompts = subject.prompts(repeat)
        with clocked(clocks, "generate"):
            theirs = answer_by_generate(merged, prompts, subject)
        with clocked(clocks, "candor"):
            ours = answer_on_tree(engine, prompts, subject)
        with clocked(clocks, "all_answers"):
            score_answers(engine, prompts, whole.answers)
        with clocked(clocks, "verdict"):
            score_answers(engine, prompts, opened)
        with clocked(clocks, "floor"):
            floor(merged, prompts, ours)
        different = sum(a != b for a, b in zip(theirs, ours, strict=True))
        # Greedy decoding may part ways where two tokens are equally likely up to rounding.
        if not args.model and (sum(map(len, theirs)) != sum(map(len, ours)) or different > len(prompts) // 50):
            raise SystemExit(f"{different} of {len(prompts)} answers differ from generate's")
    return {"seconds": clocks, "prompts": subject.shape.prompts, "completion_tokens": sum(map(len, ours))}


def main() -> None:
    """Run in a process of its own, print the table, keep the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_subject_arguments(parser)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cell", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(cell(args)))
        return
    started = time.monotonic()
    result = run_cell(__file__, "--cell", *arguments_of(args), "--repeats", str(args.repeats))
    seconds = result["seconds"]

    def ratio(over: str, under: str) -> float:
        return median([a / b for a, b in zip(seconds[over], seconds[under], strict=True)])

    result["ratios"] = {
        "generate_over_candor": ratio("generate", "candor"),
        "generate_over_all_answers": ratio("generate", "all_answers"),
        "generate_over_verdict": ratio("generate", "verdict"),
        "all_answers_over_verdict": ratio("all_answers", "verdict"),
        "candor_over_floor": ratio("candor", "floor"),
    }
    result["medians"] = {side: median(values) for side, values in seconds.items()}
    for side, value in result["medians"].items():
        print(f"{side:12s} {value:7.2f} s")
    for name, value in result["ratios"].items():
        print(f"{name.replace('_over_', ' / '):28s} {value:5.2f}")
    print(f"measured in {time.monotonic() - started:.0f} s")
    if not args.quick:
        save(f"evaluate_{subject_name(args)}", {"machine": machine(), **result})


if __name__ == "__main__":
    main()
