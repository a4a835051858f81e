"""Loading a causal language model and its tokenizer, and putting an adapter on it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from candor.engines.foreign import read_plainly
from candor.engines.hub import check_name
from candor.errors import ModelError
from candor.files import parse_json, sha256
from candor.recipe.engine import LoraConfig, ModelConfig
from candor.seals import Seal

logger = logging.getLogger(__name__)

LEAST_WIDTH_FOR_BFLOAT16: Final = 512
"""Hidden size from which products, and not what is done between them, take most of a CPU's time."""

NO_LIMIT: Final = 10**9
"""Tokenizers that do not know how long a text may be name some number far above this one."""

ADAPTER_WEIGHTS: Final = ("adapter_model.safetensors", "adapter_model.bin")
"""Files that PEFT writes an adapter's weights to."""

_KEYS_SHOWN: Final = 3
_TEXT_PART: Final = {
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^model\.language_model\.": "model.",
}
"""Where models that also see and hear keep the weights of the language model within them, and its own names."""


def adapter_sha256(adapter: Path | None) -> str | None:
    """Hex SHA-256 of an adapter's weights; ``None`` without an adapter, or where none lie in its folder."""
    for name in ADAPTER_WEIGHTS if adapter is not None else ():
        if adapter is not None and (adapter / name).is_file():
            return sha256(adapter / name)
    return None


def files_sha256(model: str) -> str | None:
    """Hash over names, sizes and times of the files of a model in a folder or file here; ``None`` of any other.

    It tells whether the weights may have changed without reading them, which takes a minute for large models.
    """
    path = Path(model)
    if not path.exists():
        return None
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return hashlib.sha256(repr(states).encode()).hexdigest()


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


def choose_dtype(name: str, device: torch.device, config: Any = None) -> torch.dtype:
    """Return the dtype of the base weights.

    Args:
        name: ``float32``, ``bfloat16``, or ``auto``: bfloat16 on a GPU, and on a CPU that multiplies in it, for a model
            that was saved so and is wide enough to gain by it; else float32. What the processor can do decides, and not
            a clock, so that a run goes on in the dtype that it was begun in.
        device: where the model runs.
        config: the model's configuration, where ``auto`` may look at it.
    """
    if name != "auto":
        return torch.bfloat16 if name == "bfloat16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16
    saved_so = getattr(config, "dtype", None) == torch.bfloat16
    wide = int(getattr(config, "hidden_size", None) or 0) >= LEAST_WIDTH_FOR_BFLOAT16
    return torch.bfloat16 if saved_so and wide and multiplies_in_bfloat16() else torch.float32


def multiplies_in_bfloat16() -> bool:
    """Whether the processor has matrix or dot products of bfloat16 numbers (AMX, AVX-512 BF16)."""
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in asked)


def load_tokenizer(name: str, *, revision: str | None = None, local_files_only: bool = False) -> Any:
    """Load a tokenizer from a folder or the hub; with ``local_files_only`` from what the hub's client has kept.

    Raises:
        ModelError: there is none; says what was tried.
    """
    from transformers import AutoTokenizer

    check_name(name)
    with read_plainly(lambda why: _not_loaded("tokenizer", name, why)):
        return AutoTokenizer.from_pretrained(
            name, revision=revision, local_files_only=local_files_only, trust_remote_code=False
        )


def load_model(config: ModelConfig, device: torch.device) -> Any:
    """Load the base model's weights onto ``device``. Quantised mixture weights (MXFP4) are unpacked to the dtype.

    Of a model that also sees or hears, the language model alone is loaded.

    Raises:
        ModelError: there is no such model, it cannot be loaded, or some of its weights are missing.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    check_name(config.name)
    transformers_logging.disable_progress_bar()
    _check_generation_settings(Path(config.name) / "generation_config.json")
    with read_plainly(lambda why: _not_loaded("model", config.name, why)):
        model_config = AutoConfig.from_pretrained(config.name, revision=config.revision, trust_remote_code=False)
        extra: dict[str, Any] = {}
        quantisation = getattr(model_config, "quantization_config", None) or {}
        if quantisation.get("quant_method") == "mxfp4":
            from transformers import Mxfp4Config

            extra["quantization_config"] = Mxfp4Config(dequantize=True)
        text_config = text_part(model_config)
        dtype = choose_dtype(config.dtype, device, text_config)
        if text_config is not model_config:
            extra["key_mapping"] = _TEXT_PART
        with _quiet(transformers_logging):
            model, found = AutoModelForCausalLM.from_pretrained(
                config.name,
                revision=config.revision,
                config=text_config,
                dtype=dtype,
                trust_remote_code=False,
                device_map={"": device},  # weight by weight, so that host memory never holds them all
                output_loading_info=True,
                **extra,
            )
    missing = sorted(found["missing_keys"])
    if missing:
        # Left at random, they would give a model that says nothing, and no error.
        kind = f"the language model within {model_config.model_type}" if text_config is not model_config else "it"
        raise ModelError(f"model.name: {config.name} lacks weights of {kind}: {_some(missing)}")
    model.requires_grad_(False)
    return model.eval()


def _check_generation_settings(path: Path) -> None:
    """Refuse settings that transformers would pass over in silence, and with them the tokens that end an answer."""
    if path.is_file():
        try:
            settings = parse_json(path.read_bytes())
        except ValueError as error:
            raise ModelError(f"{path}: not JSON ({error}); mend it, or remove it") from error
        if not isinstance(settings, dict):
            raise ModelError(f"{path}: not a JSON object; mend it, or remove it")


def text_part(config: Any) -> Any:
    """The configuration of the language model within a composite one; of any other model its own."""
    whole = getattr(config, "text_config", None)
    if whole is None or not hasattr(config, "get_text_config"):
        return config
    text = config.get_text_config(decoder=True)
    if getattr(config, "tie_word_embeddings", None) is not None:
        text.tie_word_embeddings = config.tie_word_embeddings  # whether there is an output head is said of the whole
    return text


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
    """Put a saved LoRA adapter on the model, without the dropout that it may have been trained with.

    Raises:
        ModelError: the folder holds no LoRA adapter, or one that does not fit the model in every part.
    """
    from peft import PeftConfig, PeftModel, PeftType, set_peft_model_state_dict

    if not (path / "adapter_config.json").is_file():
        raise ModelError(f"{path}: no adapter here (no adapter_config.json); give the adapter folder of a run")
    weights = adapter_weights(path)

    def does_not_fit(why: str) -> ModelError:
        return ModelError(f"{path}: the adapter does not fit the model: {why}")

    with read_plainly(does_not_fit), without_peft_noise():
        config = PeftConfig.from_pretrained(str(path))
        if config.peft_type != PeftType.LORA:
            raise ModelError(f"{path}: an adapter of the kind {config.peft_type.value}; only LoRA can be used")
        if config.lora_dropout:
            logger.info("%s: trained with dropout %s, which has no effect here", path, config.lora_dropout)
            config.lora_dropout = 0.0
        adapted = PeftModel.from_pretrained(model, str(path), config=config, is_trainable=True)
        # PEFT only warns of what does not fit, and the base model would answer in the adapter's name.
        result = set_peft_model_state_dict(adapted, weights)
    own = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    missing, foreign = sorted(own & set(result.missing_keys)), sorted(result.unexpected_keys)
    if missing or foreign:
        parts = [f"it lacks {_some(missing)}"] * bool(missing)
        parts += [f"the model has no {_some(foreign)}"] * bool(foreign)
        raise ModelError(f"{path}: the adapter does not fit the model: {'; '.join(parts)}")
    return as_float32(adapted)


def adapter_weights(path: Path, device: str = "cpu") -> dict[str, torch.Tensor]:
    """The weights in a PEFT folder, by name; the hub is never asked.

    Raises:
        ModelError: there are none, or they cannot be read.
        DamagedError: the folder was sealed, and is not what was written.
    """
    from peft import load_peft_weights

    if not any((path / name).is_file() for name in ADAPTER_WEIGHTS):
        # PEFT would take the folder's name for one on the hub.
        raise ModelError(f"{path}: an adapter without weights (no {ADAPTER_WEIGHTS[0]}); copy the folder whole")
    Seal(path).check()
    with read_plainly(lambda why: ModelError(f"{path}: the adapter's weights cannot be read: {why}")):
        return dict(load_peft_weights(str(path), device=device))


def _some(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - _KEYS_SHOWN
    return ", ".join(names[:_KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")


@contextlib.contextmanager
def _quiet(transformers_logging: Any) -> Iterator[None]:
    """Keep transformers from printing a page on weights, where what is missing is an error anyhow."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


@contextlib.contextmanager
def without_peft_noise() -> Iterator[None]:
    """Keep quiet about a name that PEFT still uses and transformers is about to drop: nobody here can change it.

    Keys that an adapter lacks are an error here, and need no warning.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys", category=UserWarning)
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
    made_for = int(getattr(text_part(model.config), "max_position_embeddings", 0) or 0)
    tokenizer_limit = int(getattr(tokenizer, "model_max_length", 0) or 0)
    limits = [value for value in (made_for, tokenizer_limit) if 0 < value < NO_LIMIT]
    limit = min(limits) if limits else asked
    if limit is None:
        raise ModelError("model.max_length: neither model nor tokenizer says how long a sequence may be; set it")
    return limit if asked is None else min(asked, limit)


def _not_loaded(what: str, name: str, why: str) -> ModelError:
    if Path(name).is_dir():
        return ModelError(f"model.name: the folder {name} holds no {what} that can be loaded: {why}")
    return ModelError(
        f"model.name: no {what} {name!r}: no such folder, and the hub did not give it ({why}); "
        "check the name, the network, or give a folder with a downloaded model"
    )
