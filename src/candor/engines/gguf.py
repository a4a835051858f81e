"""A model in one GGUF file as a folder that transformers loads: weights unpacked, with tokenizer and chat template.

transformers reads such files itself (with the package ``gguf``), but anew each time, which takes a minute, and it keeps
the weights packed. Unpacked once, a model loads like any other, and trains in the precision that a recipe asks for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

from candor import files
from candor.engines.foreign import read_plainly
from candor.errors import ModelError
from candor.files import atomic_folder, write_json
from candor.progress import Reporter
from candor.sandbox.model import cache_folder

logger = logging.getLogger(__name__)

ABOUT: Final = "candor.json"
"""In the folder of an unpacked model: where it came from."""

SPLIT_AS_READ: Final = frozenset({"default", "llama-bpe", "gpt-2", "qwen2", "tekken"})
"""Ways to split text before merging (``tokenizer.ggml.pre``) that transformers knows by the architecture."""


def is_gguf(name: str) -> bool:
    """Whether a recipe's name of a model is that of a GGUF file.

    >>> is_gguf("models/some.Q4_1.gguf"), is_gguf("owner/name")
    (True, False)
    """
    return name.lower().endswith(".gguf")


def unpacked(path: Path, reporter: Reporter) -> Path:
    """Folder of a GGUF file's model in the user's cache; made where it is not there yet.

    Raises:
        ModelError: there is no such file, it cannot be read, or the cache cannot be written.
    """
    if not path.is_file():
        raise ModelError(f"model.name: no such file {path}")
    digest = files.sha256(path)
    folder = cache_folder() / "models" / f"gguf-{digest[:16]}"
    if not (folder / ABOUT).is_file():
        unpack(path, folder, {"file": path.name, "sha256": digest}, reporter)
    return folder


def unpack(path: Path, folder: Path, about: dict[str, Any], reporter: Reporter) -> None:
    """Write a GGUF file's model into a folder, whole or not at all.

    Args:
        path: the file.
        folder: to be made; bfloat16 weights, tokenizer, generation settings.
        about: JSON values to keep beside them, of where the model came from.
        reporter: told that it is being done.

    Raises:
        ModelError: the file cannot be read, or the folder cannot be written.
    """

    def not_read(why: str) -> ModelError:
        return ModelError(f"{path}: no GGUF model that can be loaded: {why}")

    reporter.say(f"unpacking {path.name} (once)")
    with read_plainly(not_read):
        tokenizer, model = _read(path)
    try:
        with atomic_folder(folder) as target:
            tokenizer.save_pretrained(target)
            model.save_pretrained(target)
            for file in target.iterdir():
                file.chmod(0o644)  # the weights are written private
            write_json(target / ABOUT, about)
    except OSError as error:
        raise ModelError(f"cannot keep the model in {folder} ({error}); set CANDOR_CACHE to another folder") from error


def _read(path: Path) -> tuple[Any, Any]:
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    place = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**place, trust_remote_code=False)
    _split_as_trained(path, tokenizer)
    # Versions that can keep weights packed do so unless told; earlier ones unpack them anyway.
    packing = getattr(transformers, "GgufConfig", None)
    extra = {} if packing is None else {"quantization_config": packing(dequantize=True)}
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.bfloat16, trust_remote_code=False, **extra)
    # What is saved is an ordinary model, and must not be taken for a packed one.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
        model.is_quantized = False
    model.config._name_or_path = ""
    return tokenizer, model


def _split_as_trained(path: Path, tokenizer: Any) -> None:
    """Split text before merging as the model's own tokenizer does, which transformers does not read from the file."""
    from gguf import GGUFReader

    field = GGUFReader(path).fields.get("tokenizer.ggml.pre")
    way = "default" if field is None else str(field.contents())
    if way in SPLITS:
        tokenizer.backend_tokenizer.pre_tokenizer = SPLITS[way]()
    elif way not in SPLIT_AS_READ:
        logger.warning(
            "%s: its tokenizer splits text in a way (%s) that is not known here; some words may become other tokens "
            "than in training",
            path.name,
            way,
        )


def _digits_alone() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


SPLITS: Final[dict[str, Callable[[], Any]]] = {"smollm": _digits_alone}
"""From ``tokenizer.ggml.pre`` to what does it; SmolLM's tokenizer on the hub is made of the same two parts."""
