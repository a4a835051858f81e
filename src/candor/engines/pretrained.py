"""Loading a causal language model and its tokenizer, and putting an adapter on it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError

from candor.errors import ModelError
from candor.recipe.engine import LoraConfig, ModelConfig

logger = logging.getLogger(__name__)

NO_LIMIT: Final = 10**9
"""Tokenizers that do not know how long a text may be name some number far above this one."""


_FILES_ARE_WRONG: Final = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,
)
"""What transformers, PEFT and the hub's client raise for files that are missing, damaged or of another kind."""


def choose_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is the GPU if there is one.

    Raises:
        ModelError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"model.device: no device {name!r}; take auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"model.device: {name!r} was asked for, but torch sees no GPU; take auto or cpu")
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the base weights: ``auto`` is bfloat16 on a GPU, float32 elsewhere."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def load_tokenizer(name: str, *, revision: str | None = None, local_files_only: bool = False) -> Any:
    """Load a tokenizer from a folder or the hub; with ``local_files_only`` from what the hub's client has kept.

    Raises:
        ModelError: there is none; says what was tried.
    """
    from transformers import AutoTokenizer

    with _said_plainly(lambda error: _not_loaded("tokenizer", name, error)):
        return AutoTokenizer.from_pretrained(
            name, revision=revision, local_files_only=local_files_only, trust_remote_code=False
        )


def load_model(config: ModelConfig, device: torch.device) -> Any:
    """Load the base model's weights onto ``device``. Quantised mixture weights (MXFP4) are unpacked to the dtype.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    dtype = choose_dtype(config.dtype, device)
    with _said_plainly(lambda error: _not_loaded("model", config.name, error)):
        model_config = AutoConfig.from_pretrained(config.name, revision=config.revision, trust_remote_code=False)
        extra: dict[str, Any] = {}
        quantisation = getattr(model_config, "quantization_config", None) or {}
        if quantisation.get("quant_method") == "mxfp4":
            from transformers import Mxfp4Config

            extra["quantization_config"] = Mxfp4Config(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            config.name,
            revision=config.revision,
            config=model_config,
            dtype=dtype,
            trust_remote_code=False,
            **extra,
        )
    model.requires_grad_(False)
    return model.to(device).eval()


def add_adapter(model: Any, config: LoraConfig, *, seed: int) -> Any:
    """Put a fresh LoRA adapter on the model; it changes nothing until it is trained.

    Args:
        model: a causal language model.
        config: rank, scale and targets.
        seed: of the adapter's random half.

    Raises:
        ModelError: a target names no module of the model.
    """
    from peft import LoraConfig as PeftLoraConfig
    from peft import get_peft_model

    peft_config = PeftLoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=0.0,
        target_modules=config.targets,
        target_parameters=config.parameters or None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), without_peft_noise():
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(model, peft_config, autocast_adapter_dtype=True)
        except ValueError as error:
            raise ModelError(f"model.lora: {error}") from error
    return as_float32(adapted)


def load_adapter(model: Any, path: Path) -> Any:
    """Put a saved PEFT adapter on the model.

    Raises:
        ModelError: the folder holds no adapter that fits the model.
    """
    from peft import PeftModel

    if not (path / "adapter_config.json").is_file():
        raise ModelError(f"{path}: no adapter here (no adapter_config.json); give the adapter folder of a run")

    def does_not_fit(error: Exception) -> ModelError:
        return ModelError(f"{path}: the adapter does not fit the model: {error}")

    with _said_plainly(does_not_fit), without_peft_noise():
        return as_float32(PeftModel.from_pretrained(model, str(path), is_trainable=True))


@contextlib.contextmanager
def without_peft_noise() -> Iterator[None]:
    """Keep quiet about a name that PEFT still uses and transformers is about to drop: nobody here can change it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        yield


def as_float32(adapted: Any) -> Any:
    """Keep adapters in float32 whatever the base weights: small updates vanish in bfloat16."""
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def longest_sequence(model: Any, tokenizer: Any, asked: int | None) -> int:
    """Longest sequence in tokens: what is asked for, but no more than the model was made for."""
    made_for = int(getattr(model.config, "max_position_embeddings", 0) or 0)
    tokenizer_limit = int(getattr(tokenizer, "model_max_length", 0) or 0)
    limits = [value for value in (made_for, tokenizer_limit) if 0 < value < NO_LIMIT]
    limit = min(limits) if limits else asked
    if limit is None:
        raise ModelError("model.max_length: neither model nor tokenizer says how long a sequence may be; set it")
    return limit if asked is None else min(asked, limit)


@contextlib.contextmanager
def _said_plainly(error_for: Callable[[Exception], ModelError]) -> Iterator[None]:
    """Turn what wrong or missing files raise into a :class:`ModelError`. Lack of memory is not their fault."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except _FILES_ARE_WRONG as error:
        raise error_for(error) from error
    except Exception as error:
        # The tokenizers library raises nothing more specific for a file that it cannot read.
        if type(error) is not Exception:
            raise
        raise error_for(error) from error


def _not_loaded(what: str, name: str, error: Exception) -> ModelError:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(name).is_dir():
        return ModelError(f"model.name: the folder {name} holds no {what} that can be loaded: {first_line}")
    return ModelError(
        f"model.name: no {what} {name!r}: no such folder, and the hub did not give it ({first_line}); "
        "check the name, the network, or give a folder with a downloaded model"
    )
