"""Random small models of every family, and the plain forward they are compared with."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from peft import LoraConfig, get_peft_model

VOCABULARY = 64
WINDOW = 9

_SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "head_dim": 8,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
    # With the usual 0.02 a random model is nearly uniform, and errors would hide.
    "initializer_range": 0.1,
}
_ALTERNATING = ["sliding_attention", "full_attention"] * 2
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
# Three layers of linear attention, and one of full.
_LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}

CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**_SHAPE),
    "mistral": lambda: transformers.MistralConfig(**_SHAPE, sliding_window=WINDOW),
    "qwen2": lambda: transformers.Qwen2Config(**_SHAPE),
    "qwen3": lambda: transformers.Qwen3Config(**_SHAPE, tie_word_embeddings=True),
    "qwen3-sliding": lambda: transformers.Qwen3Config(
        **_SHAPE, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=0, layer_types=_ALTERNATING
    ),
    "qwen3_moe": lambda: transformers.Qwen3MoeConfig(**_SHAPE, **_EXPERTS, num_experts=4, decoder_sparse_step=1),
    "gemma2": lambda: transformers.Gemma2Config(**_SHAPE, sliding_window=WINDOW, query_pre_attn_scalar=8),
    "gemma3": lambda: transformers.Gemma3TextConfig(
        **_SHAPE, sliding_window=WINDOW, query_pre_attn_scalar=8, layer_types=_ALTERNATING
    ),
    "phi3": lambda: transformers.Phi3Config(**_SHAPE, sliding_window=WINDOW),
    "gpt_oss": lambda: transformers.GptOssConfig(
        **_SHAPE,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=WINDOW,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    ),
    "qwen3_5": lambda: transformers.Qwen3_5TextConfig(**_SHAPE, **_LINEAR),
    "qwen3_next": lambda: transformers.Qwen3NextConfig(**_SHAPE, **_LINEAR, **_EXPERTS, num_experts=4),
}
"""How to configure each family."""

HYBRID = ("qwen3_5", "qwen3_next")
"""Families some of whose layers carry a state along a sequence, so that they have no prefix tree."""
TREE = tuple(family for family in CONFIGS if family not in HYBRID)

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
LINEAR = ["in_proj_qkv", "in_proj_z", "out_proj"]
_TARGETS = {
    "phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    "qwen3_moe": ATTENTION,
    "gpt_oss": ATTENTION,
    "qwen3_5": [*ATTENTION, *MLP, *LINEAR],
    "qwen3_next": ATTENTION,
}
EXPERT_PARAMETERS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]


def make_model(
    family: str,
    *,
    lora: bool = True,
    rank: int = 4,
    experts: bool = False,
    dtype: torch.dtype = torch.float32,
    **overrides: Any,
) -> Any:
    """A random model of the family with a random LoRA adapter; the same one every time."""
    config = CONFIGS[family]()
    for name, value in overrides.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "sinks" in name or "router" in name or name.endswith("gate.weight"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            elif "experts" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    if lora:
        settings = LoraConfig(
            r=rank,
            lora_alpha=8,
            lora_dropout=0.0,
            target_modules=_TARGETS.get(family, ATTENTION + MLP),
            target_parameters=EXPERT_PARAMETERS if experts else None,
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(model, settings)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def plain_logprobs(
    model: Any, prompt: tuple[int, ...], continuation: tuple[int, ...], temperature: float
) -> torch.Tensor:
    """Log-probability of each token of a continuation, from one ordinary forward of the whole sequence."""
    logits = model(input_ids=torch.tensor([prompt + continuation]), use_cache=False).logits[0].float()
    at = torch.log_softmax(logits[len(prompt) - 1 : -1] / temperature, dim=-1)
    return at.gather(1, torch.tensor(continuation)[:, None])[:, 0]


def adapter_gradients(model: Any) -> dict[str, torch.Tensor]:
    """Gradient of every trained parameter, by name; zeros where none arrived. Clears them."""
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    model.zero_grad()
    return gradients
