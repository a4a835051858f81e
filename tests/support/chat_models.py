"""A small model that knows nothing, with a family's chat template and ends of turns."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from chat_templates import FAMILIES, chat_tokenizer


def save_chat_model(folder: Path, name: str) -> Path:
    """Save a Qwen3 of toy size with a family's tokenizer; its settings name two tokens that end a turn."""
    tokenizer = chat_tokenizer(name)
    tokenizer.eos_token = FAMILIES[name].end
    tokenizer.pad_token = FAMILIES[name].added[-1]
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    other = tokenizer.convert_tokens_to_ids(FAMILIES[name].added[2])
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, other]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
