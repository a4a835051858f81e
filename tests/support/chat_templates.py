"""Chat templates in the forms that families of models use, each rebuilt in its shortest form, on toy tokenizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken
from toy import byte_tokenizer

_TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}@{% endif %}"
)
_R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% elif m.role == 'system' %}{{ m.content }}{% else %}"
    "{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}@{% endif %}"
)
_NEMOTRON = (
    "{% set ns = namespace(on=true) %}{% for m in messages %}{% if '/no_think' in m.content %}{% set ns.on = false %}"
    "{% endif %}{% endfor %}{% for m in messages %}{{ '<SPECIAL_10>' + m.role + '\\n' + m.content.replace("
    "'/no_think', '').strip() + '\\n' }}{% if m.role == 'assistant' %}{{ '<SPECIAL_12>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<SPECIAL_11>Assistant\\n' + ('<think>\\n' if ns.on else '<think></think>') }}"
    "{% endif %}"
)
_HARMONY = (
    "{{ '<|start|>system<|message|>Date: ' + strftime_now('%Y-%m-%d') + '\\nReasoning: ' + "
    "(reasoning_effort if reasoning_effort is defined else 'medium') + '<|end|>' }}{% for m in messages %}"
    "{% if m.role == 'assistant' %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}"
    "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
_GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}"
    "{% endif %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim + "
    "'<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
_LLAMA3 = (
    "{{ bos_token }}{% set day = date_string if date_string is defined else strftime_now('%d %b %Y') %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + day + '<|eot_id|>' }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
_MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)
_SWITCH = "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}"


@dataclass(frozen=True)
class Family:
    """A chat template.

    Attributes:
        template: its source.
        added: control tokens, of which every other is listed as special.
        ending: what stands behind the prompt's own words when no thought is wanted.
        end: the token that ends a turn.
        trims: whether white space at a message's ends is taken off.
    """

    template: str
    added: tuple[str, ...]
    ending: str
    end: str
    trims: bool = False


_IM = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")
_IM_TAIL = "<|im_end|>\n<|im_start|>assistant\n"
_R1_TOKENS = ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "<think>", "</think>")
EMPTY = "<think>\n\n</think>\n\n"

FAMILIES: dict[str, Family] = {
    "qwen2.5": Family(_TURNS.replace("@", ""), _IM, _IM_TAIL, "<|im_end|>"),
    "qwen3": Family(_TURNS.replace("@", _SWITCH + "{% endif %}"), _IM, _IM_TAIL + EMPTY, "<|im_end|>"),
    "qwen3.5": Family(
        _TURNS.replace("@", _SWITCH + "{% else %}{{ '<think>\\n' }}{% endif %}"), _IM, _IM_TAIL + EMPTY, "<|im_end|>"
    ),
    "qwen3-thinking": Family(_TURNS.replace("@", "{{ '<think>\\n' }}"), _IM, _IM_TAIL + EMPTY, "<|im_end|>"),
    "olmo-think": Family(_TURNS.replace("@", "{{ '<think>' }}"), _IM, _IM_TAIL + EMPTY, "<|im_end|>"),
    "thinking by another name": Family(
        _TURNS.replace("@", "{{ '<seed:think>' }}"),
        ("<|im_start|>", "<|im_end|>", "<seed:think>", "</seed:think>"),
        _IM_TAIL + "<seed:think>\n</seed:think>\n",
        "<|im_end|>",
    ),
    "r1 distill": Family(
        _R1.replace("@", "{{ '<think>\\n' }}"), _R1_TOKENS, "<｜Assistant｜>" + EMPTY, "<｜end▁of▁sentence｜>"
    ),
    "r1 distill, first": Family(_R1.replace("@", ""), _R1_TOKENS, "<｜Assistant｜>" + EMPTY, "<｜end▁of▁sentence｜>"),
    "deepseek-v3.1": Family(
        _R1.replace("@", "{{ '<think>' if thinking is defined and thinking else '</think>' }}"),
        _R1_TOKENS,
        "<｜Assistant｜></think>",
        "<｜end▁of▁sentence｜>",
    ),
    "nemotron": Family(
        _NEMOTRON,
        ("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>", "<think>", "</think>"),
        "\n<SPECIAL_11>Assistant\n<think></think>",
        "<SPECIAL_12>",
        trims=True,
    ),
    "gpt-oss": Family(
        _HARMONY,
        ("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"),
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|return|>",
    ),
    "gemma": Family(
        _GEMMA,
        ("<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>\n<start_of_turn>model\n",
        "<end_of_turn>",
        trims=True,
    ),
    "llama 3": Family(
        _LLAMA3,
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
        trims=True,
    ),
    "mistral": Family(_MISTRAL, ("[INST]", "[/INST]"), " [/INST]", "<eos>"),
}


def chat_tokenizer(name: str) -> Any:
    """A byte tokenizer with a family's control tokens and chat template, and with a BOS of its own."""
    from tokenizers.processors import TemplateProcessing

    family = FAMILIES[name]
    tokenizer = byte_tokenizer()
    tokens = [
        AddedToken(content, special=index % 2 == 0, normalized=False) for index, content in enumerate(family.added)
    ]
    tokenizer.add_tokens(tokens)
    tokenizer.add_special_tokens({"bos_token": "<bos>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    tokenizer.chat_template = family.template
    return tokenizer
