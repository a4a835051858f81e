"""What all benchmarks share: a model, a tokenizer, the study's shape of work, and clocks.

Times are CPU seconds of one thread: two runs on a machine that others use too can still be compared. Every
comparison runs both sides in turn within one process, and reports medians of ratios.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers

from candor.data.sources.load import load_source
from candor.engines.base import Tokens
from candor.engines.local.engine import LocalEngine
from candor.prompts.encoding import common_prefix_length, encode
from candor.prompts.probe import LABEL_PROBE, Probe
from candor.prompts.templates import get
from candor.recipe.data import VitamincSource
from candor.recipe.engine import EngineConfig

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "performance"

BOS, EOS, PAD, UNKNOWN, CUE = 0, 1, 2, 3, 4
"""Special tokens; every prompt ends with the cue for the answer."""

ANCHOR = (5, 6)
LABELS = (7, 8, 9)
ANSWER_LENGTH = 14
PROBE = Probe("w5x w6x ", ("w7x", "w8x", "w9x"))
"""The same anchor and labels as text."""

SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "head_dim": 16,
        "vocab_size": 512,
    },
    "medium": {
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 384,
        "head_dim": 32,
        "vocab_size": 2048,
    },
    "small": {
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 768,
        "head_dim": 32,
        "vocab_size": 4096,
    },
    "large": {
        "hidden_size": 576,
        "num_hidden_layers": 12,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "head_dim": 64,
        "vocab_size": 16384,
    },
}

LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
RANK = 32


@dataclass(frozen=True)
class Shape:
    """Size of the work: by default the study's."""

    prompts: int = 32
    group_size: int = 8
    header: int = 280
    own: tuple[int, int] = (60, 150)
    completion: int = ANSWER_LENGTH
    temperature: float = 0.2


def set_up_process() -> None:
    """One thread, no subnormals, no chatter."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    transformers.logging.set_verbosity_error()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def make_tokenizer(vocab_size: int) -> Any:
    """One word per token, ``w17x`` for token 17, so that text and ids are the same thing."""
    words = Tokenizer(models.WordLevel({f"w{i}x": i for i in range(vocab_size)}, unk_token=f"w{UNKNOWN}x"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token=f"w{BOS}x",
        eos_token=f"w{EOS}x",
        pad_token=f"w{PAD}x",
        unk_token=f"w{UNKNOWN}x",
    )


def text_of(tokens: Sequence[int]) -> str:
    """Text that the tokenizer turns into these tokens."""
    return " ".join(f"w{token}x" for token in tokens)


def make_model(size: str, *, trained: bool, attention: str = "sdpa") -> Any:
    """A random Qwen3, without an adapter; the same one every time.

    Args:
        size: a key of ``SIZES``.
        trained: the output layer makes it answer in a form: always the same words, of which the label and the two
            digits of the confidence vary, and then the end token. Otherwise all completions differ and none ends.
        attention: transformers' attention implementation.
    """
    config = transformers.Qwen3Config(
        **SIZES[size],
        max_position_embeddings=4096,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        # A direction that all hidden states have in common lets the head rule tokens in or out whatever came before.
        common = torch.randn(embeddings.shape[1])
        common /= common.norm()
        # Large embeddings keep a token recognisable through all layers.
        embeddings.mul_(0.5 / embeddings.std()).add_(0.25 * embeddings.shape[1] ** 0.5 * common)
        head -= torch.outer(head @ common, common)
        head[EOS] = -common
        if trained:
            _teach_form(embeddings, head, common)
    model.generation_config.eos_token_id = EOS
    model.generation_config.pad_token_id = PAD
    return model.eval()


def _teach_form(embeddings: torch.Tensor, head: torch.Tensor, common: torch.Tensor) -> None:
    """Make each word of the form call for the next one, at temperature 0.2 with the given probabilities."""
    first, second = (30, 31, 32, 33), (40, 41, 42)
    steps: dict[int, list[tuple[int, float]]] = {
        CUE: [(ANCHOR[0], 1.0)],
        ANCHOR[0]: [(ANCHOR[1], 1.0)],
        ANCHOR[1]: list(zip(LABELS, (0.8, 0.15, 0.05), strict=True)),
        **{label: [(10, 1.0)] for label in LABELS},
        **{word: [(word + 1, 1.0)] for word in range(10, 15)},
        15: list(zip(first, (0.6, 0.25, 0.1, 0.05), strict=True)),
        **{digit: list(zip(second, (0.5, 0.3, 0.2), strict=True)) for digit in first},
        **{digit: [(16, 1.0)] for digit in second},
        16: [(17, 1.0)],
        17: [(EOS, 1.0)],
    }
    allowed = {target for targets in steps.values() for target, _ in targets}
    head.mul_(0.01).sub_(common)
    head[sorted(allowed)] = 0.0
    own = embeddings - torch.outer(embeddings @ common, common)
    for source, targets in steps.items():
        direction = own[source] / own[source].norm()
        for target, probability in targets:
            # Hidden states are normalised to the square root of their width, most of it along their own token.
            scale = 0.85 * embeddings.shape[1] ** 0.5
            head[target] += (0.5 + 0.2 * float(np.log(probability)) / scale) * direction


def lora_config() -> LoraConfig:
    """The study's adapter: rank 32 on all linear layers."""
    return LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=LINEARS, task_type="CAUSAL_LM")


def fill_adapter(model: Any) -> None:
    """Move the adapter away from zero, the same way every time."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.002 * torch.randn(parameter.shape, generator=generator))


@dataclass(frozen=True)
class Subject:
    """What is measured: a model and prompts for it.

    Attributes:
        name: for the table.
        model: makes the model without an adapter, the same every time.
        tokenizer: its tokenizer.
        shape: size of the work.
        prompts: from a seed to prompts that begin alike.
        text_of: text that the tokenizer turns into these tokens.
        probe: where labels are read.
    """

    name: str
    model: Callable[[], Any]
    tokenizer: Any
    shape: Shape
    prompts: Callable[[int], list[Tokens]]
    text_of: Callable[[Tokens], str]
    probe: Probe

    def adapted(self) -> Any:
        """The model with an adapter."""
        model = get_peft_model(self.model(), lora_config())
        fill_adapter(model)
        return model

    def engine(self) -> LocalEngine:
        """A local engine on that."""
        return LocalEngine(self.adapted(), self.tokenizer, config=EngineConfig(path="tree"))


def random_subject(size: str, shape: Shape, *, trained: bool) -> Subject:
    """The model of :func:`make_model` and prompts of random words."""
    vocabulary = SIZES[size]["vocab_size"]
    return Subject(
        name=size,
        model=lambda: make_model(size, trained=trained),
        tokenizer=make_tokenizer(vocabulary),
        shape=shape,
        prompts=lambda seed: make_prompts(shape, vocabulary, seed),
        text_of=text_of,
        probe=PROBE,
    )


def pretrained_subject(folder: Path, data: Path, shape: Shape, dtype: torch.dtype) -> Subject:
    """A pretrained model and VitaminC's claims in the prompt ``verdict``.

    Args:
        folder: model and tokenizer.
        data: folder with VitaminC's files.
        shape: how many prompts, completions and tokens.
        dtype: of the weights.
    """
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    examples = load_source("vitaminc", VitamincSource(kind="vitaminc", parts=("test",)), data_dir=data).examples

    def prompts(seed: int) -> list[Tokens]:
        chosen = np.random.default_rng(seed).choice(len(examples), shape.prompts, replace=False)
        encoded = (encode(get("verdict"), examples[i], tokenizer, max_tokens=2048) for i in chosen)
        return [each.tokens for each in encoded]

    return Subject(
        name=folder.name,
        model=lambda: transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(),
        tokenizer=tokenizer,
        shape=replace(shape, header=common_prefix_length(prompts(0))),
        prompts=prompts,
        text_of=tokenizer.decode,
        probe=LABEL_PROBE,
    )


def add_subject_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say what is measured."""
    parser.add_argument("--quick", action="store_true", help="a smaller shape, less than a minute; keeps nothing")
    parser.add_argument("--size", choices=list(SIZES), help="a random model; default: small, or tiny with --quick")
    parser.add_argument("--model", type=Path, help="folder of a pretrained model, in place of a random one")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="where VitaminC lies, for --model")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of a pretrained model")
    parser.add_argument("--prompts", type=int, help="prompts of a batch, where the shape's would take too long")


def subject_of(args: argparse.Namespace, quick: Shape, full: Shape, *, trained: bool) -> Subject:
    """What the options of :func:`add_subject_arguments` say."""
    shape = quick if args.quick else full
    shape = replace(shape, prompts=args.prompts) if args.prompts else shape
    if args.model:
        return pretrained_subject(args.model, args.data, shape, getattr(torch, args.dtype))
    return random_subject(subject_name(args), shape, trained=trained)


def subject_name(args: argparse.Namespace) -> str:
    """What the options' subject is called in file names."""
    if args.model:
        # Models by name lie in folders whose names end with a part of their hash.
        return f"{re.sub('-[0-9a-f]{8}$', '', args.model.name)}_{args.dtype}"
    return args.size or ("tiny" if args.quick else "small")


def arguments_of(args: argparse.Namespace) -> list[str]:
    """The same options for a process of its own."""
    given = ["--quick"] if args.quick else []
    for name in ("size", "model", "data", "dtype", "prompts"):
        value = getattr(args, name)
        given += [] if value is None else [f"--{name}", str(value)]
    return given


def make_prompts(shape: Shape, vocab_size: int, seed: int) -> list[tuple[int, ...]]:
    """Prompts that share a header (the same for every seed), each with tokens of its own and the cue."""
    header = np.random.default_rng(0).integers(50, vocab_size, shape.header).tolist()
    rng = np.random.default_rng(1000 + seed)
    lengths = rng.integers(shape.own[0], shape.own[1] + 1, shape.prompts)
    return [(*header, *rng.integers(50, vocab_size, int(n) - 1).tolist(), CUE) for n in lengths]


def unique_tokens(prompts: Sequence[Tokens], completions: Sequence[Sequence[Tokens]]) -> tuple[int, list[int]]:
    """Tokens of a step that differ in themselves or in what precedes them, except each completion's last.

    Returns:
        Their number, and how many of them stand at each place of the completions.
    """
    header = common_prefix_length(list(prompts))
    nodes = Counter(
        len(prefix)
        for group in completions
        for prefix in {completion[:end] for completion in group for end in range(1, len(completion))}
    )
    count = header + sum(len(prompt) - header for prompt in prompts) + nodes.total()
    return count, [nodes[place] for place in sorted(nodes)]


@contextmanager
def clocked(into: dict[str, list[float]], name: str) -> Iterator[None]:
    """Append the CPU seconds of the block to ``into[name]``."""
    start = time.process_time()
    yield
    into.setdefault(name, []).append(time.process_time() - start)


def median(values: Sequence[float]) -> float:
    """Median, for tables."""
    return float(np.median(values))


def run_cell(script: str, *arguments: str) -> dict[str, Any]:
    """Run a part of a benchmark in a process of its own and return what it prints last, as JSON."""
    command = [sys.executable, "-W", "ignore", script, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def keep_freed_memory() -> None:
    """Have the C library keep freed memory instead of returning it to the system (glibc only).

    Large tensors otherwise come as fresh pages every time, which the system has to clear first.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        m_trim_threshold, m_mmap_threshold = -1, -3
        library.mallopt(m_mmap_threshold, 2**30)
        library.mallopt(m_trim_threshold, 2**31 - 1)


def machine() -> dict[str, str]:
    """What the numbers were measured on."""
    import peft

    return {
        "processor": next(
            (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
            platform.processor(),
        ),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }


def save(name: str, result: dict[str, Any]) -> None:
    """Keep a result for the tables and plots of ``docs/performance.md``."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
