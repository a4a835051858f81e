"""What this side knows of a service's model: its tokenizer and sizes, from the same name or folder; and the key."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Final

from candor.engines.pretrained import load_tokenizer
from candor.engines.tinker.sdk import NO_KEY
from candor.errors import ModelError
from candor.prompts.chat import stop_tokens
from candor.recipe.engine import EngineConfig, ModelConfig

logger = logging.getLogger(__name__)

HOSTED_KEY: Final = "TINKER_API_KEY"
SERVICE_ALPHA: Final = 32.0
"""Scale of adapters on SkyRL; the API has no word for it."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A base model without its weights.

    Attributes:
        tokenizer: made the token ids.
        config: the model's Hugging Face configuration.
        max_length: longest sequence that the recipe asks for.
        stop_token_ids: tokens that end a completion.
        parameters: of the base model.
        adapter_parameters: of an adapter on all linear layers but the output head; experts are not counted.
    """

    tokenizer: Any
    config: Any
    max_length: int | None
    stop_token_ids: frozenset[int]
    parameters: int
    adapter_parameters: int


def model_card(model: ModelConfig) -> ModelCard:
    """Read tokenizer and configuration, from a folder or the hub.

    Raises:
        ModelError: there are none, or the recipe asks for an adapter that a service cannot make.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    if model.lora.targets != "all-linear" or model.lora.parameters:
        raise ModelError(
            "model.lora: a Tinker service adapts all linear layers; set targets: all-linear and parameters: [], or use "
            "engine.kind=local"
        )
    if model.lora.alpha != SERVICE_ALPHA:
        logger.warning("model.lora.alpha has no effect on a Tinker service, which scales adapters itself")
    tokenizer = load_tokenizer(model.name, revision=model.revision)
    config = AutoConfig.from_pretrained(model.name, revision=model.revision, trust_remote_code=False)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    head = network.get_output_embeddings()
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    try:
        ends = GenerationConfig.from_pretrained(model.name, revision=model.revision).eos_token_id
    except OSError:  # a model without generation settings
        ends = None
    return ModelCard(
        tokenizer=tokenizer,
        config=config,
        max_length=model.max_length,
        stop_token_ids=stop_tokens(tokenizer, ends),
        parameters=sum(p.numel() for p in network.parameters()),
        adapter_parameters=model.lora.rank * sum(m.in_features + m.out_features for m in linear),
    )


def api_key(config: EngineConfig) -> str:
    """The key from the environment; a server of one's own gets none unless its recipe names a variable.

    Raises:
        ModelError: the variable is not set.
    """
    variable = config.key_variable or (HOSTED_KEY if config.base_url is None else None)
    if variable is None:
        return NO_KEY
    key = os.environ.get(variable, "")
    if not key:
        raise ModelError(f"the environment variable {variable} is not set; put the API key of the service into it")
    return key
