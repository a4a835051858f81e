"""Tokenizers, a tiny model that has the habit of answering in form, and examples to train and test on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from candor.engines.base import Batch, ObjectiveResult, OptimiserStep, TokenScores
from candor.engines.local.engine import LocalEngine
from candor.means import Means
from candor.prompts import templates
from candor.recipe.engine import EngineConfig, LoraConfig, ModelConfig
from candor.recipe.recipe import Recipe, recipe_from
from candor.types import LABELS, Example, Label

# Tensors this small gain nothing from threads, and where others compute too, threads that wait cost seconds.
torch.set_num_threads(1)

EOS = "<eos>"
TEMPLATE = templates.get("sandbox")


def _wrap(tokenizer: Tokenizer, **names: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, clean_up_tokenization_spaces=False, **names
    )


def byte_tokenizer(
    merges: tuple[str, ...] = (), *, pieces: tuple[str, ...] = (), signs: str | None = None
) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which exactly the given strings are one token (each built up from its left).

    With ``signs`` it knows these ASCII signs alone and leaves out all others.
    """
    alphabet = dict(zip(range(256), _byte_letters(), strict=True))
    if signs is not None:
        alphabet = {byte: alphabet[byte] for byte in signs.encode("ascii")}
    vocabulary = [EOS, *sorted(alphabet.values())]
    rules: list[tuple[str, str]] = []
    for merge in merges:
        letters = [alphabet[byte] for byte in merge.encode()]
        for end in range(2, len(letters) + 1):
            left, right = "".join(letters[: end - 1]), letters[end - 1]
            if left + right not in vocabulary:
                vocabulary.append(left + right)
                rules.append((left, right))
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(vocabulary)}, merges=rules))
    # No regex: nothing keeps a merge from crossing signs and line breaks.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(piece, special=False, normalized=False) for piece in pieces])
    return _wrap(tokenizer)


def _byte_letters() -> list[str]:
    """The letter that byte-level tokenizers write for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(other)) for byte in range(256)]


def sentencepiece_tokenizer(*, normalised: bool) -> PreTrainedTokenizerFast:
    """Like Llama's: a mark for each space, one more in front of every text, and bytes for what is unknown."""
    words = ["▁LABEL", "LABEL", "PASS", "FAIL", "NA", "CONF", "▁so", "0.", "=P", "▁the"]
    letters = ["▁", *"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789=.:"]
    vocabulary = ["<unk>", EOS, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    rules = []
    for word in words:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                vocabulary.append(word[:end])
                rules.append((word[: end - 1], word[end - 1]))
    tokenizer = Tokenizer(
        models.BPE(
            vocab={word: i for i, word in enumerate(vocabulary)},
            merges=rules,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    if normalised:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return _wrap(tokenizer, unk_token="<unk>")


def toy_tokenizer(signs: str | None = None) -> PreTrainedTokenizerFast:
    """Bytes, and the parts of an answer: an answer has seven tokens with its end."""
    pieces = ("Claim: ", "Evidence: ", "Answer:\n", "LABEL=", "PASS", "FAIL", "NA", "\nCONF=", "0.")
    return byte_tokenizer(pieces=pieces, signs=signs)


def example(index: int, *, evidence: tuple[str, ...] | None = None, label: Label | None = None) -> Example:
    """A small claim; every third has no evidence."""
    shown = (f"x is {index % 7}", "ab") if index % 3 else ()
    gold = LABELS[index % 3] if label is None else label
    return Example(f"e{index}", "toy", f"x = {index % 5}", shown if evidence is None else evidence, gold, f"g{index}")


EXAMPLES = [example(index) for index in range(10)]


def save_toy_model(folder: Path, family: str = "llama", *, signs: str | None = None) -> Path:
    """Make a model, teach it the form of answers (at times after a word of its own), and save it with its tokenizer."""
    tokenizer = toy_tokenizer(signs)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 24,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 12,
        "max_position_embeddings": 160,
        "initializer_range": 0.1,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": tokenizer.eos_token_id,
    }
    if family == "qwen3_5":  # three layers of linear attention and one of full
        shape |= {"num_hidden_layers": 4, "linear_num_key_heads": 2, "linear_num_value_heads": 2}
        shape |= {"linear_key_head_dim": 12, "linear_value_head_dim": 12}
    families = {
        "llama": transformers.LlamaConfig,
        "qwen3": transformers.Qwen3Config,
        "qwen3_5": transformers.Qwen3_5TextConfig,
    }
    config = families[family](**shape)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    asked = [torch.tensor(tokenizer(TEMPLATE.render(e))["input_ids"]) for e in EXAMPLES]
    for _ in range(60):
        rows = []
        for prompt in (asked[i] for i in rng.integers(len(asked), size=8)):
            answer = TEMPLATE.render_answer(LABELS[rng.integers(3)], rng.integers(101) / 100)
            if rng.random() < 0.3:
                answer = "so " + answer
            rows.append(torch.cat([prompt, torch.tensor([*tokenizer(answer)["input_ids"], tokenizer.eos_token_id])]))
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
        model(input_ids=ids.clamp(min=0), labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def toy_engine(folder: Path, *, seed: int = 0, trained: bool = True, **config: Any) -> LocalEngine:
    """An engine on a saved toy model, its adapter moved away from zero so that it matters."""
    model = ModelConfig(name=str(folder), device="cpu", lora=LoraConfig(rank=4, alpha=8.0))
    engine = LocalEngine.from_config(model, EngineConfig(**config), seed=seed)
    if trained:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in engine._model.named_parameters():
            if "lora_B" in name:
                parameter.data.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        engine._path.refresh()
    return engine


def service_engine(folder: Path, url: str, *, adapter: Path | bool = True, **config: Any) -> Any:
    """The same kind of engine, on a Tinker server that runs a saved toy model."""
    from candor.engines.tinker.engine import TinkerEngine

    model = ModelConfig(name=str(folder), lora=LoraConfig(rank=4, alpha=32.0))
    return TinkerEngine.from_config(
        model,
        EngineConfig(kind="tinker", base_url=url, **({"patience_s": 120.0, "loss": "sequence_mean"} | config)),
        adapter=adapter,
    )


def trained_state(folder: Path, url: str, state: Path) -> Path:
    """Train an adapter on a Tinker server until it matters; return where it is noted."""
    engine = service_engine(folder, url, loss="measured")
    tokenizer = engine.tokenizer
    prompts = [tuple(tokenizer(TEMPLATE.render(e))["input_ids"]) for e in EXAMPLES[:4]]
    answer = (*tokenizer(TEMPLATE.render_answer(Label.NA, 0.5))["input_ids"], tokenizer.eos_token_id)

    def unlikelihood(scores: TokenScores, part: slice) -> ObjectiveResult:
        return ObjectiveResult(0.1 * scores.logprobs_P_C_T.sum(), Means())

    engine.update(Batch(prompts, [[answer]] * 4), unlikelihood, OptimiserStep(0.004, 1.0))
    engine.save(state)
    engine.close()
    return state


def toy_recipe(folder: Path, *overrides: str) -> Recipe:
    """A few short steps on the toy model."""
    values = {
        "name": "toy",
        "model": {"name": str(folder), "device": "cpu", "lora": {"rank": 4, "alpha": 8.0}},
        "engine": {"path": "plain"},
        "prompt": {"template": "sandbox"},
        "data": {
            "sources": {"toy": {"kind": "sandbox", "domain": "wiki"}},
            "train": {"toy": 4},
            "validation": {"toy": 4},
        },
        "sampling": {"group_size": 3, "max_new_tokens": 10},
        "train": {"steps": 6, "prompts_per_step": 4, "checkpoint_every": 2, "optimiser": {"learning_rate": 0.01}},
        "evaluation": {"max_new_tokens": 10, "batch_size": 4},
    }
    return recipe_from(values, overrides)


def with_unlabelled(prompts_per_step: int) -> tuple[str, ...]:
    """Overrides that add a second source, whose labels are not looked at."""
    return (
        "data.sources.other={kind: sandbox, domain: climate}",
        "data.train.other=4",
        f"train.unlabelled={{sources: [other], prompts_per_step: {prompts_per_step}}}",
    )


SAMPLED = (
    "objective={kind: sampled, credit: split, log_gold: 1.0, confidence_weight: 2.0}",
    "engine.path=tree",
)
"""Overrides for the sampled objective; on the tree, so that both paths are trained on."""
