"""Code from outside of the package: named in a recipe, found, hashed, and called by what its parameters are called."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from candor.errors import RecipeError
from candor.files import sha256

Kind: TypeAlias = Literal["reward", "metric", "dataset"]

GROUPS: Final[Mapping[Kind, str]] = {kind: f"candor.{kind}s" for kind in ("reward", "metric", "dataset")}
"""Entry points under which an installed package offers such functions."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A function from outside.

    Attributes:
        kind: what it is used as.
        spec: as the recipe names it.
        name: the function's, or the entry point's, under which logs and reports show it.
        function: itself.
        file: its module's source, where there is one.
        sha256: of that file, so that a run can tell that the code has changed.
    """

    kind: Kind
    spec: str
    name: str
    function: Callable[..., Any]
    file: str | None
    sha256: str | None

    @property
    def takes(self) -> list[str]:
        """Names of its parameters."""
        return list(inspect.signature(self.function).parameters)

    def call(self, **arguments: Any) -> Any:
        """Call it with those of the arguments that it takes, by their names."""
        takes = self.takes
        return self.function(**{name: value for name, value in arguments.items() if name in takes})

    def as_json(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"kind": self.kind, "spec": self.spec, "name": self.name, "file": self.file, "sha256": self.sha256}


@cache
def load_extension(kind: Kind, spec: str) -> Extension:
    """Find a function by ``module:function``, or by the name under which an installed package offers it.

    Modules are looked for where Python looks, and in the working directory.

    Raises:
        RecipeError: there is none, its module cannot be imported, or it is no function; names what is wrong.
    """
    module, colon, attribute = spec.partition(":")
    if not colon:
        module, attribute = _offered(kind, spec)
    try:
        found = _import(module)
    except Exception as error:  # whatever a module of somebody else's raises while it is imported
        missing = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        where = f"no module {module!r} here ({os.getcwd()}) or among what is installed" if missing else f"{error!r}"
        raise RecipeError(f"{spec}: cannot be imported: {where}") from error
    function: Any = found
    for part in attribute.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        there = [name for name, value in vars(found).items() if inspect.isfunction(value) and name[0] != "_"]
        raise RecipeError(f"{spec}: {module} has no function {attribute!r}; it has: {', '.join(there) or 'none'}")
    source = inspect.getsourcefile(found)
    hashed = sha256(Path(source)) if source is not None and Path(source).is_file() else None
    return Extension(kind, spec, short_name(spec), function, source, hashed)


def short_name(spec: str) -> str:
    """The name under which logs and reports show an extension.

    >>> short_name("my_module:Rewards.brevity"), short_name("brevity")
    ('brevity', 'brevity')
    """
    return spec.rpartition(":")[2].rpartition(".")[2]


def _offered(kind: Kind, name: str) -> tuple[str, str]:
    offered = {point.name: point.value for point in entry_points(group=GROUPS[kind])}
    if name not in offered:
        raise RecipeError(
            f"{name}: no installed package offers a {kind} of that name ({GROUPS[kind]}: "
            f"{', '.join(offered) or 'none'}); a function of one's own is written module:function"
        )
    module, _, attribute = offered[name].partition(":")
    return module, attribute


def _import(module: str) -> Any:
    """Import a module, the working directory last, so that nothing there takes the place of what is installed."""
    here = os.getcwd()
    if here in sys.path or "" in sys.path:
        return importlib.import_module(module)
    sys.path.append(here)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(here)
