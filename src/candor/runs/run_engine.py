"""The engine of a run: loaded with the weights that a stage asks for, and the model that the run was begun with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from candor.engines import parallel
from candor.engines.base import Engine
from candor.engines.load import SANDBOX, load_engine, noted_base, pinned, sandbox_model
from candor.engines.named import identity
from candor.errors import RunError
from candor.files import read_json, write_json
from candor.progress import Reporter
from candor.prompts.encoding import rendered_sha256
from candor.prompts.templates import Template
from candor.recipe.recipe import Recipe
from candor.run_folder import AnsweredBy, RunFolder

Weights = AnsweredBy | Literal["untaught"]
"""A fresh adapter (``base``), one that begins as the warm start, or the trained one; ``untaught`` is a fresh one before
the warm start, which all arms and seeds have in common."""


class RunEngine:
    """One engine for all stages of a run: it is loaded anew only where a stage needs other weights."""

    def __init__(self, folder: RunFolder, recipe: Recipe, seed: int, template: Template, reporter: Reporter) -> None:
        """Take what decides the model; nothing is loaded yet."""
        self._folder = folder
        self._recipe = recipe
        self._seed = seed
        self._template = template
        self._reporter = reporter
        self._engine: Engine | None = None
        self._weights: Weights | None = None

    def holding(self, weights: Weights) -> Engine:
        """The engine with these weights.

        Raises:
            RunError: they are not there yet, or the model is not the one that the run was begun with.
        """
        if weights == "warm" and not self._folder.warm_start.adapter.is_dir():
            raise RunError(f"{self._folder}: no warm start to go on from; run the stage warm first")
        if self._engine is None or self._weights != weights:
            self._engine = self._load(weights)
            self._weights = weights
        return self._engine

    def to_train(self, weights: Weights) -> Engine:
        """The engine with these weights, for a training that changes them.

        Raises:
            RunError: as :meth:`holding`.
        """
        engine = self.holding(weights)
        self._weights = None
        return engine

    def is_now(self, weights: Weights) -> None:
        """Say what a training has made of the weights."""
        self._weights = weights

    def _load(self, weights: Weights) -> Engine:
        model = pinned(self._folder, self._recipe.model)
        engine = load_engine(
            model,
            self._recipe.engine,
            seed=self._recipe.data.seed if weights == "untaught" else self._seed,
            adapter=self._folder.adapter if weights == "trained" else True,
            reporter=self._reporter,
            warm_start=self._folder.warm_start.adapter if weights == "warm" else None,
        )
        rendered = rendered_sha256(self._template, engine.tokenizer)
        described = engine.describe() | {"base": self._base_name(model.revision), "rendered_sha256": rendered}
        self._check_same(described)
        self._reporter.say(
            f"{described['model']}: {described['parameters']:,} parameters, {described['dtype']} on "
            f"{described['device']}, {described['path']} path"
        )
        if parallel.is_main():
            write_json(self._folder.engine, described)
        return engine

    def _base_name(self, revision: str | None) -> str:
        """What tells the base model from others of the same name: other versions make another sandbox model."""
        name = self._recipe.model.name
        if name == SANDBOX:
            return sandbox_model(self._reporter).name
        return identity(name) or f"{name}@{revision}"

    def _check_same(self, described: Mapping[str, Any]) -> None:
        """Refuse to go on with another base model than the run was begun with, or with prompts of another form."""
        before = read_json(self._folder.engine) if noted_base(self._folder) is not None else {}
        another = "choose another folder with --out, or remove this one"
        noted = before.get("base", described["base"])
        if noted != described["base"] and not noted.endswith("@None"):  # as runs of before note a folder
            raise RunError(
                f"{self._folder} was begun with the base model {noted}, and here it is {described['base']}; {another}"
            )
        if before.get("dtype", described["dtype"]) != described["dtype"]:
            raise RunError(
                f"{self._folder} was begun in {before['dtype']}, and on this machine model.dtype: "
                f"{self._recipe.model.dtype} is {described['dtype']}; go on where it was begun, or {another}"
            )
        if before.get("rendered_sha256", described["rendered_sha256"]) != described["rendered_sha256"]:
            raise RunError(
                f"{self._folder} was begun with prompts of another form: the model's tokenizer or chat template has "
                f"changed since; {another}"
            )
