"""The sandbox's base model: how it is made, the same bits each time, and where it lies.

A small Llama is warm-started on lessons (:mod:`candor.sandbox.lessons`): it learns the answer's form, the biased
verdict and the all but empty confidence, while auxiliary heads on its hidden states make it work out what a verdict
needs. The heads are thrown away. Deterministic: one thread, fixed seeds, deterministic kernels; the caller's random
state and torch settings are restored.

The model that the default configuration makes comes with the package (:data:`PACKAGED`): it saves three minutes, and
everyone's experiments start from the same weights, which another processor would round differently. Any other is made
on first use and kept in the user's cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from candor import files
from candor.errors import ModelError
from candor.prompts import templates
from candor.sandbox.lessons import HEADS, IGNORED, Lesson, make_lessons
from candor.sandbox.tokenizer import TEMPLATES, make_tokenizer
from candor.types import LABELS

Progress: TypeAlias = Callable[[int, int, float], None]
"""Called after each step with steps done, steps in all, and the loss."""

LABEL_TOKEN: Final = 1
"""Place of the label among the tokens of an answer, after ``LABEL=``."""

HEAD_LAYERS: Final[dict[str, tuple[int, ...]]] = {
    "recurs": (2, 3),
    "number": (1,),
    "difference": (3,),
    "echo": (3,),
    "stance": (2, 3),
}
"""After which layers the auxiliary heads sit: early enough for the last layer to gather what they ask for."""


@dataclass(frozen=True, slots=True)
class BaseModelConfig:
    """What makes the base model; every value takes part in the name it is cached under.

    Attributes:
        seed: of weights, lessons and their order.
        hidden_size, layers, heads, intermediate_size: of the Llama.
        steps, batch_size: optimiser steps, and lessons in each.
        matrix_learning_rate: peak, for the matrices inside the layers (orthogonalised momentum).
        learning_rate: peak, for embeddings, norms and heads (AdamW).
        warm_up_steps: learning rates rise linearly over so many steps.
        decay_share: learning rates fall linearly over this last share of the steps, to ``final_share`` of the peak.
        form_weight: weight of the answer's tokens other than the label.
        knowledge_weight: weight of the head that reads the true posterior where the label is emitted.
        verdict_layers: hidden states, counted from the last, from which the model's own output head must read the
            verdict as well; so the model has decided before its last layers, as large models have (the "logit lens"
            of nostalgebraist, 2020), and the rest of the answer can attend to what was decided.
        honest_share: share of the later half of the lessons whose confidence says what the verdict is worth.
        head_weights: weight of each auxiliary question.
        window: lessons are sorted by length within so many batches, which saves padding.
    """

    seed: int = 0
    hidden_size: int = 64
    layers: int = 6
    heads: int = 4
    intermediate_size: int = 192
    steps: int = 640
    batch_size: int = 48
    matrix_learning_rate: float = 0.02
    learning_rate: float = 5e-3
    warm_up_steps: int = 50
    decay_share: float = 0.5
    final_share: float = 0.02
    form_weight: float = 0.3
    knowledge_weight: float = 1.0
    verdict_layers: tuple[int, ...] = (-3, -2)
    honest_share: float = 0.25
    head_weights: tuple[tuple[str, float], ...] = (
        ("recurs", 1.0),
        ("number", 0.5),
        ("difference", 0.5),
        ("echo", 0.5),
        ("stance", 0.12),
    )
    window: int = 4


DEFAULT: Final = BaseModelConfig()

PACKAGED: Final = Path(__file__).parent / "base_models"
"""Base models that come with candor, in folders named as in the cache."""


def cache_folder() -> Path:
    """Where candor keeps what it can make again: ``CANDOR_CACHE``, else ``candor`` in the user's cache folder."""
    if named := os.environ.get("CANDOR_CACHE"):
        return Path(named).expanduser()
    user_cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(user_cache) if user_cache else Path.home() / ".cache") / "candor"


def base_model_folder(
    cache_dir: Path | None = None, progress: Progress | None = None, config: BaseModelConfig = DEFAULT
) -> Path:
    """Return a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load; make it if it is not there yet.

    The folder's name is a hash of everything that makes the model, so another version of candor makes its own. It
    appears whole or not at all, whatever kills the process and however many make it at once.

    Args:
        cache_dir: where to look and to keep it; by default first :data:`PACKAGED`, then :func:`cache_folder`.
        progress: called after each training step.
        config: what to make.

    Raises:
        ModelError: the cache cannot be written.
    """
    name = f"sandbox-base-{fingerprint(config)}"
    if cache_dir is None and (packaged := PACKAGED / name).is_dir():
        return packaged
    root = cache_folder() if cache_dir is None else cache_dir
    folder = root / name
    if folder.is_dir():
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=root, prefix=f".{folder.name}-"))
    except OSError as error:
        raise ModelError(
            f"cannot keep the sandbox's base model in {root} ({error.strerror}); set CANDOR_CACHE to a folder that "
            "can be written"
        ) from error
    try:
        tokenizer = make_tokenizer()
        model = train_base_model(tokenizer, config, progress)
        tokenizer.save_pretrained(building)
        transformers.utils.logging.disable_progress_bar()  # one small file; the caller shows progress of its own
        model.save_pretrained(building)
        building.chmod(0o755)  # mkdtemp makes it private
        # Another process may have been faster: its folder holds the same, and is kept.
        with contextlib.suppress(OSError):
            building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    if not folder.is_dir():
        raise ModelError(f"cannot put the sandbox's base model at {folder}; remove what is there and try again")
    return folder


def fingerprint(config: BaseModelConfig = DEFAULT) -> str:
    """Hash of what makes the base model: configuration, the code that makes it, prompts."""
    parts = {
        "config": dataclasses.asdict(config),
        "sources": [files.sha256(source) for source in sorted(Path(__file__).parent.glob("*.py"))],
        "prompts": [templates.get(name).sha256 for name in TEMPLATES],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def train_base_model(tokenizer: Any, config: BaseModelConfig, progress: Progress | None = None) -> LlamaForCausalLM:
    """Train the base model. The same arguments give the same weights on the same machine, bit for bit."""
    lessons = make_lessons(tokenizer, config.steps * config.batch_size, config.seed, honest_share=config.honest_share)
    with _deterministic(config.seed), torch.enable_grad():
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=config.hidden_size,
                intermediate_size=config.intermediate_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                max_position_embeddings=4096,
                tie_word_embeddings=True,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
                bos_token_id=None,
                attn_implementation="sdpa",
            )
        ).train()
        classroom = _Classroom(model, tokenizer, config)
        inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
        inner_ids = {id(parameter) for parameter in inner}
        outer = [p for p in [*model.parameters(), *classroom.parameters()] if id(p) not in inner_ids]
        adamw = torch.optim.AdamW(outer, lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        muon = _Muon(inner)
        for step, batch in enumerate(_batches(lessons, config)):
            factor = _schedule(step, config)
            loss = classroom.loss(batch)
            adamw.zero_grad()
            for parameter in inner:
                parameter.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(outer, 1.0)
            for group in adamw.param_groups:
                group["lr"] = factor * config.learning_rate
            adamw.step()
            muon.step(factor * config.matrix_learning_rate)
            if progress is not None:
                progress(step + 1, config.steps, float(loss.detach()))
        return model.eval()


def _schedule(step: int, config: BaseModelConfig) -> float:
    rise = min(1.0, (step + 1) / config.warm_up_steps)
    fall = (config.steps - step) / (config.decay_share * config.steps)
    return rise * min(1.0, max(config.final_share, fall))


def _batches(lessons: Sequence[Lesson], config: BaseModelConfig) -> Iterator[Sequence[Lesson]]:
    rng = random.Random(f"candor batches {config.seed}")
    size = config.batch_size
    for start in range(0, len(lessons), config.window * size):
        window = sorted(lessons[start : start + config.window * size], key=lambda lesson: len(lesson.prompt))
        batches = [window[first : first + size] for first in range(0, len(window), size)]
        rng.shuffle(batches)
        yield from batches


class _Classroom(nn.Module):
    """The model's auxiliary heads, and the loss of a batch of lessons."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: Any, config: BaseModelConfig) -> None:
        super().__init__()
        # Held in a tuple so that the model's parameters are not counted as those of the heads.
        self._model = (model,)
        self._config = config
        self._labels = tokenizer.convert_tokens_to_ids([label.value for label in LABELS])
        self._pad = tokenizer.pad_token_id
        self.heads = nn.ModuleDict(
            {
                f"{name}{layer}": nn.Linear(config.hidden_size, HEADS[name])
                for name, layers in HEAD_LAYERS.items()
                for layer in layers
            }
        )
        self.knowledge = nn.ModuleList(nn.Linear(config.hidden_size, len(LABELS)) for _ in range(2))

    def loss(self, batch: Sequence[Lesson]) -> Tensor:
        (model,) = self._model
        # Rows are padded on the right, where a causal model does not look.
        rows = [lesson.prompt + lesson.answer[:-1] for lesson in batch]
        width = max(map(len, rows))
        tokens_B_T = torch.tensor(_pad(rows, width, self._pad))
        answer_B_A = torch.tensor([lesson.answer for lesson in batch])
        starts_B = torch.tensor([len(lesson.prompt) - 1 for lesson in batch])
        places_B_A = starts_B[:, None] + torch.arange(answer_B_A.shape[1])
        output = model.model(input_ids=tokens_B_T, use_cache=False, output_hidden_states=True)
        rows_B_1 = torch.arange(len(batch))[:, None]
        states_B_A_H = output.last_hidden_state[rows_B_1, places_B_A]

        logprobs_B_A_V = model.lm_head(states_B_A_H).log_softmax(-1)
        biased_B_L = torch.tensor([lesson.biased for lesson in batch])
        label_loss = -(biased_B_L * logprobs_B_A_V[:, LABEL_TOKEN][:, self._labels]).sum(-1).mean()
        for layer in self._config.verdict_layers:
            decided_B_H = output.hidden_states[layer][rows_B_1, places_B_A][:, LABEL_TOKEN]
            lens_B_V = model.lm_head(model.model.norm(decided_B_H)).log_softmax(-1)
            label_loss = label_loss - (biased_B_L * lens_B_V[:, self._labels]).sum(-1).mean()
        emitted_B_A = logprobs_B_A_V.gather(-1, answer_B_A[..., None])[..., 0]
        form_loss = (emitted_B_A[:, LABEL_TOKEN] - emitted_B_A.sum(1)).mean()
        posterior_B_L = torch.tensor([lesson.posterior for lesson in batch])
        # Asked before the last layer too: what only the last layer knows, no later token of the answer can look up,
        # and a confidence could not be learnt from it. Large models have many layers left behind their decisions.
        early_B_A_H = output.hidden_states[-2][rows_B_1, places_B_A]
        knowledge_loss = torch.zeros(())
        for head, states in zip(self.knowledge, (early_B_A_H, states_B_A_H), strict=True):
            known_B_L = head(states[:, LABEL_TOKEN]).log_softmax(-1)
            knowledge_loss = knowledge_loss - (posterior_B_L * known_B_L).sum(-1).mean() / len(self.knowledge)

        loss: Tensor = (
            label_loss + self._config.form_weight * form_loss + self._config.knowledge_weight * knowledge_loss
        )
        for name, weight in self._config.head_weights:
            targets_B_T = torch.tensor(_pad([lesson.targets[name] for lesson in batch], width, IGNORED))
            asked_B_T = targets_B_T != IGNORED
            if bool(asked_B_T.any()):
                for layer in HEAD_LAYERS[name]:
                    logits = self.heads[f"{name}{layer}"](output.hidden_states[layer][asked_B_T])
                    loss = loss + weight * functional.cross_entropy(logits, targets_B_T[asked_B_T])
        return loss


def _pad(rows: Sequence[list[int]], width: int, value: int) -> list[list[int]]:
    return [row + [value] * (width - len(row)) for row in rows]


class _Muon:
    """Momentum whose update is orthogonalised: several times fewer steps than AdamW for the matrices of a layer.

    Follows K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). Matrices of the same
    shape are taken in one batch, which on a CPU is what makes it cheap.
    """

    MOMENTUM: Final = 0.95
    COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)
    ITERATIONS: Final = 5

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._groups: dict[tuple[int, int], list[nn.Parameter]] = {}
        for parameter in parameters:
            rows, columns = parameter.shape
            self._groups.setdefault((rows, columns), []).append(parameter)
        self._momentum = {shape: torch.zeros(len(group), *shape) for shape, group in self._groups.items()}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        for shape, group in self._groups.items():
            gradients = torch.stack([parameter.grad for parameter in group if parameter.grad is not None])
            momentum = self._momentum[shape].lerp_(gradients, 1 - self.MOMENTUM)
            update = self._orthogonalise(gradients.lerp(momentum, self.MOMENTUM))
            scale = math.sqrt(max(1.0, shape[0] / shape[1]))
            for parameter, change in zip(group, update, strict=True):
                parameter.add_(change, alpha=-learning_rate * scale)

    def _orthogonalise(self, matrices: Tensor) -> Tensor:
        tall = matrices.shape[1] > matrices.shape[2]
        x: Tensor = matrices.mT if tall else matrices
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        first, second, third = self.COEFFICIENTS
        for _ in range(self.ITERATIONS):
            gram = x @ x.mT
            x = first * x + (second * gram + third * (gram @ gram)) @ x
        return x.mT if tall else x


@contextlib.contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """One thread, seeded, deterministic kernels, subnormals flushed; everything as before on leaving."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    smallest_normal = torch.tensor(np.finfo(np.float32).tiny)
    flushed = bool(smallest_normal / 2 == 0)  # torch can set this, but not say whether it is set
    with torch.random.fork_rng(devices=[]):
        try:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True)
            torch.set_flush_denormal(True)
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.set_flush_denormal(flushed)
