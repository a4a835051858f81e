"""What the engine does on one GPU, with random weights of true sizes: exactness, a step, verdicts, attention, a 20B.

    python benchmarks/gpu.py --out FOLDER            # at most nine minutes on one card; no weights are loaded
    python benchmarks/gpu.py --out FOLDER --smoke    # tiny models, on a CPU too: whether the script runs

Every section stands alone: what fails is written down and the next one goes on; what is not begun after the limit is
left out and said. ``FOLDER/gpu.json`` holds every number, ``FOLDER/gpu.md`` the tables.

* exactness: log-probabilities on the tree beside plain forwards, and how far those of sampler and update are apart.
* step: the study's shape on a model of SmolLM2-135M's size: seconds, kernels, the GPU's busy time and synchronisations
  of a rollout, a sampled update and an enumerated one, and the share of the card's peak arithmetic.
* verdicts: a second, all ends and four ends behind each label.
* attention: the tree's mask through ``flex_attention``, beside the levels that run today.
* large: a model of gpt-oss-20b's size: decoding 32 x 8, a backward pass of groups of growing length, peak memory.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from common import EOS, PROBE, Shape, machine, make_prompts, make_tokenizer

from candor.engines.answer_scores import open_answers, spread_ended
from candor.engines.base import Batch, Objective, ObjectiveResult, OptimiserStep, Sampling, Tokens, TokenScores
from candor.engines.local.engine import LocalEngine
from candor.engines.pretrained import add_adapter
from candor.means import Means
from candor.prompts.grammar import AnswerGrammar
from candor.recipe.engine import EngineConfig, LoraConfig

LIMIT_S = 500.0
"""No section begins later, so that all end within nine minutes."""

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bfloat16, as the makers' data sheets give it."""

STEP = OptimiserStep(0.0, 1.0)


@dataclass
class Report:
    """Rows of every section, and what did not come about."""

    smoke: bool
    device: torch.device
    started: float = field(default_factory=time.monotonic)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, section: str, **row: Any) -> None:
        """Keep and print a row."""
        self.rows.setdefault(section, []).append(row)
        print(section, json.dumps(row), flush=True)

    def run(self, name: str, section: Callable[[Report], None]) -> None:
        """Run a section, or say why not."""
        if time.monotonic() - self.started > LIMIT_S:
            self.add(name, left_out="no time was left")
            return
        try:
            section(self)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            self.add(name, failed=f"{type(error).__name__}: {str(error)[:300]}")
        finally:
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], Any], repeats: int = 3) -> float:
        """Median wall time of some work, after one run to warm up."""
        times = []
        for repeat in range(repeats + 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            if repeat:
                times.append(time.perf_counter() - start)
        return float(np.median(times))

    def peak_gib(self) -> float:
        """Most memory that was in use since the section began."""
        return round(torch.cuda.max_memory_allocated() / 2**30, 2) if self.device.type == "cuda" else 0.0


def engine(report: Report, config: Any, dtype: torch.dtype, **settings: Any) -> LocalEngine:
    """A local engine on random weights with an adapter that matters."""
    with torch.device(report.device):
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.generation_config.eos_token_id = EOS
    adapted = add_adapter(model.requires_grad_(False), LoraConfig(rank=32, alpha=32.0), seed=0).to(report.device)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.01)
    return LocalEngine(
        adapted, make_tokenizer(config.vocab_size), config=EngineConfig(path="tree", **settings), max_length=8192
    )


def small(smoke: bool, layers: int | None = None) -> Any:
    """SmolLM2-135M's shape."""
    return transformers.LlamaConfig(
        hidden_size=72 if smoke else 576,
        intermediate_size=128 if smoke else 1536,
        num_hidden_layers=layers or (2 if smoke else 30),
        num_attention_heads=9,
        num_key_value_heads=3,
        head_dim=64,
        vocab_size=1000 if smoke else 49152,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )


def large(smoke: bool) -> Any:
    """gpt-oss-20b's shape: transformers' defaults are those of the larger model."""
    if not smoke:
        return transformers.GptOssConfig(num_hidden_layers=24, num_local_experts=32)
    sizes = {"hidden_size": 96, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2}
    return transformers.GptOssConfig(num_hidden_layers=2, vocab_size=1000, num_local_experts=4, **sizes)


def work(report: Report) -> Shape:
    """The study's shape."""
    return Shape(prompts=4, header=40) if report.smoke else Shape()


def grammar() -> AnswerGrammar:
    """All 303 answers in words of their own."""
    answers = tuple(
        (5, 6, label, 10, 11, 12, 20 + c // 100, 13, 20 + c // 10 % 10, 20 + c % 10, EOS)
        for label in (7, 8, 9)
        for c in range(101)
    )
    return AnswerGrammar(answers, (2,) * 303, (3,) * 303, (10,) * 303)


def completions(shape: Shape, length: int, vocabulary: int) -> list[list[Tokens]]:
    """Random ones, as many as the shape has."""
    rng = np.random.default_rng(3)
    return [
        [tuple(rng.integers(50, vocabulary, length).tolist()) for _ in range(shape.group_size)]
        for _ in range(shape.prompts)
    ]


def likelihood(scores: TokenScores, part: slice) -> ObjectiveResult:
    """A loss with a gradient for every token."""
    return ObjectiveResult(-scores.logprobs_P_C_T.sum(), Means())


def exactness(report: Report) -> None:
    """The tree beside plain forwards, and the sampler beside the update."""
    for dtype in (torch.float32, torch.bfloat16):
        torch.backends.cuda.matmul.allow_tf32 = False
        config = small(report.smoke, layers=2 if report.smoke else 4)
        tree = engine(report, config, dtype)
        plain = LocalEngine(tree._model, tree.tokenizer, config=EngineConfig(path="plain"), max_length=8192)
        shape = Shape(prompts=4, header=40)
        prompts, vocabulary = make_prompts(shape, config.vocab_size, 0), config.vocab_size
        answers = [group[:2] for group in completions(shape, 14, vocabulary)]
        ours, theirs = tree.logprobs(prompts, answers), plain.logprobs(prompts, answers)
        apart = max(
            float(np.abs(a - b).max()) for g, h in zip(ours, theirs, strict=True) for a, b in zip(g, h, strict=True)
        )
        rollouts = tree.rollout(prompts, 8, Sampling(0.2, 14, 1), PROBE)
        again = tree.logprobs(prompts, [[r.tokens for r in group] for group in rollouts], temperature=0.2)
        gaps = np.concatenate(
            [
                np.abs(np.array(r.logprobs) - s)
                for g, h in zip(rollouts, again, strict=True)
                for r, s in zip(g, h, strict=True)
            ]
        )
        report.add(
            "exactness",
            dtype=str(dtype),
            tree_to_plain_max=apart,
            sampler_gap_mean=float(gaps.mean()),
            sampler_gap_max=float(gaps.max()),
        )


def step(report: Report) -> None:
    """Parts of a step, timed and counted."""
    for dtype in (torch.bfloat16, torch.float32):
        model = engine(report, small(report.smoke), dtype)
        shape = work(report)
        vocabulary = model._model.config.vocab_size
        prompts, sampled = make_prompts(shape, vocabulary, 0), completions(shape, 14, vocabulary)
        enumerated = [open_answers(grammar(), spread_ended(4))] * len(prompts)
        parts: dict[str, Callable[[], Any]] = {
            "rollout": lambda m=model, p=prompts: m.rollout(p, 8, Sampling(1.0, 14, 1), PROBE),
            "update, sampled": lambda m=model, p=prompts, c=sampled: _update(m, p, c),
            "update, enumerated": lambda m=model, p=prompts, c=enumerated: _update(m, p, c),
        }
        for name, part in parts.items():
            row = {"dtype": str(dtype), "part": name, "seconds": report.seconds(part), "peak_gib": report.peak_gib()}
            report.add("step", **row, **_counted(report, part))
        tokens = sum(model._path.count(prompts, sampled).own_P)
        frozen = sum(p.numel() for n, p in model._model.named_parameters() if not p.requires_grad and "embed" not in n)
        peak = next((flops for name, flops in PEAK_FLOPS.items() if name in model.describe()["device"]), None)
        if peak and dtype is torch.bfloat16:
            # Frozen weights take a product forward and one backward, two operations for each weight and token.
            share = 4 * frozen * tokens / report.seconds(parts["update, sampled"]) / peak
            report.add("step", dtype=str(dtype), part="share of the card's peak in an update", share=share)


def _update(model: LocalEngine, prompts: list[Tokens], continuations: list[Any]) -> None:
    objective: Objective = likelihood
    model.update(Batch(prompts, continuations), objective, STEP)


def _counted(report: Report, part: Callable[[], Any]) -> dict[str, Any]:
    """Kernels, busy time and synchronisations of one run; nothing without a GPU."""
    if report.device.type != "cuda":
        return {}
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        part()
        report.wait()
    events = seen.events() or []
    kernels = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
    waits = [event for event in events if event.name in ("cudaStreamSynchronize", "cudaDeviceSynchronize")]
    busy = sum(event.device_time_total for event in kernels) / 1e6
    return {"kernels": len(kernels), "gpu_busy_s": busy, "synchronisations": len(waits)}


def verdicts(report: Report) -> None:
    """Whole verdicts in batches of 256 prompts."""
    model = engine(report, small(report.smoke), torch.bfloat16)
    shape = Shape(prompts=8 if report.smoke else 256, header=work(report).header)
    prompts = make_prompts(shape, model._model.config.vocab_size, 0)
    whole = grammar()
    for name, answers in (("every end", whole.answers), ("four ends a label", open_answers(whole, spread_ended(4)))):
        took = report.seconds(lambda a=answers: model.logprobs(prompts, [a] * len(prompts)))
        report.add("verdicts", scored=name, per_second=len(prompts) / took, peak_gib=report.peak_gib())


def attention(report: Report) -> None:
    """The tree's mask, in preorder a query sees k <= q <= last[k], through one compiled kernel."""
    if report.device.type != "cuda":
        report.add("attention", left_out="flex_attention has no backward pass on a CPU")
        return
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    last = _last_of_each(7168, 280)
    last = last.to(report.device)
    count = len(last)
    mask = create_block_mask(lambda b, h, q, k: (k <= q) & (q <= last[k]), None, None, count, count, device=last.device)
    compiled = torch.compile(flex_attention, dynamic=False)
    for queries, keys in ((9, 3), (64, 8)):
        q, k, v = (
            torch.randn(1, heads, count, 64, device=last.device, dtype=torch.bfloat16, requires_grad=True)
            for heads in (queries, keys, keys)
        )

        def forward(q: Any = q, k: Any = k, v: Any = v) -> Any:
            return compiled(q, k, v, block_mask=mask, enable_gqa=True)

        row = {"forward_s": report.seconds(forward), "both_s": report.seconds(lambda f=forward: f().sum().backward())}
        report.add("attention", heads=[queries, keys], sparsity=float(mask.sparsity()), **row)


def _last_of_each(count: int, header: int) -> torch.Tensor:
    """Last token below each token of a header, and prompts with eight completions of 13 tokens each, in preorder."""
    last = torch.full((count,), count - 1)
    rng, at = np.random.default_rng(0), header
    while at < count:
        own = int(rng.integers(60, 151))
        end = min(count, at + own + 8 * 13)
        last[at : min(at + own, count)] = end - 1
        for start in range(at + own, end, 13):
            last[start : start + 13] = min(start + 12, count - 1)
        at = end
    return last


def twenty_billion(report: Report) -> None:
    """Decoding, and backward passes of growing groups until the memory ends."""
    model = engine(report, large(report.smoke), torch.bfloat16)
    shape = work(report)
    vocabulary = model._model.config.vocab_size
    prompts = make_prompts(shape, vocabulary, 0)
    report.add("large", part="built", peak_gib=report.peak_gib(), checkpointing=model.describe()["checkpointing"])
    new = 4 if report.smoke else 24
    took = report.seconds(lambda: model.rollout(prompts, 8, Sampling(1.0, new, 1), PROBE), repeats=1)
    report.add("large", part=f"decode {shape.prompts} x 8", s_per_token=took / new, peak_gib=report.peak_gib())
    for length in (8,) if report.smoke else (64, 512):
        many = completions(shape, length, vocabulary)
        for count in (1, shape.prompts):
            if time.monotonic() - report.started > LIMIT_S:
                report.add("large", part=f"update {count} x 8 x {length}", left_out="no time was left")
                continue
            start = time.perf_counter()
            _update(model, prompts[:count], many[:count])
            report.wait()
            seconds = time.perf_counter() - start
            report.add("large", part=f"update {count} x 8 x {length}", seconds=seconds, peak_gib=report.peak_gib())


def tables(rows: dict[str, list[dict[str, Any]]]) -> str:
    """Every section as a Markdown table."""
    text = []
    for section, of in rows.items():
        names = list(dict.fromkeys(name for row in of for name in row))
        text += [f"### {section}", "", "| " + " | ".join(names) + " |", "| --- " * len(names) + "|"]
        text += ["| " + " | ".join(_shown(row.get(name, "")) for name in names) + " |" for row in of] + [""]
    return "\n".join(text)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Run every section and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.md")
    parser.add_argument("--smoke", action="store_true", help="tiny models, on a CPU too")
    args = parser.parse_args()
    if not args.smoke and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; --smoke runs the script on tiny models")
    report = Report(args.smoke, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    args.out.mkdir(parents=True, exist_ok=True)
    sections = (exactness, step, verdicts, attention, twenty_billion)
    for section in sections:
        report.run(section.__name__, section)
        (args.out / "gpu.json").write_text(json.dumps({"machine": machine(), "rows": report.rows}, indent=1) + "\n")
        (args.out / "gpu.md").write_text(tables(report.rows))


if __name__ == "__main__":
    main()
