"""Small models in GGUF files, and wheels that hold them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

HIDDEN, LAYERS, HEADS, INNER = 16, 2, 2, 24
CHAT = "{% for m in messages %}<|s|>{{ m['content'] }}<|e|>{% endfor %}"


def write_gguf(path: Path, seed: int = 0, split: str = "smollm") -> dict[str, np.ndarray]:
    """Write a Llama with a byte-level tokenizer; return the weights whose layout is the same everywhere."""
    from gguf import GGUFWriter, TokenType
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens = ["<|e|>", "<|s|>", *bytes_to_unicode().values(), "ab", "12"]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL, TokenType.CONTROL, *[TokenType.NORMAL] * (len(tokens) - 2)])
    writer.add_token_merges(["a b", "1 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT)
    rng = np.random.default_rng(seed)

    def tensor(name: str, *shape: int) -> np.ndarray:
        values = rng.normal(0, 0.1, shape).astype(np.float32)
        writer.add_tensor(name, values)
        return values

    kept = {"model.embed_tokens.weight": tensor("token_embd.weight", len(tokens), HIDDEN)}
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k"):
            tensor(f"blk.{layer}.{name}.weight", HIDDEN, HIDDEN)
        own = f"model.layers.{layer}"
        kept[f"{own}.self_attn.v_proj.weight"] = tensor(f"blk.{layer}.attn_v.weight", HIDDEN, HIDDEN)
        kept[f"{own}.self_attn.o_proj.weight"] = tensor(f"blk.{layer}.attn_output.weight", HIDDEN, HIDDEN)
        kept[f"{own}.mlp.gate_proj.weight"] = tensor(f"blk.{layer}.ffn_gate.weight", INNER, HIDDEN)
        kept[f"{own}.mlp.up_proj.weight"] = tensor(f"blk.{layer}.ffn_up.weight", INNER, HIDDEN)
        kept[f"{own}.mlp.down_proj.weight"] = tensor(f"blk.{layer}.ffn_down.weight", HIDDEN, INNER)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(HIDDEN, dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept


def write_wheel(path: Path, member: str, content: bytes) -> Path:
    """Write an archive that holds one file, as a wheel does."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
    return path
