"""The model card of an exported model: what it is for, how it was made, how well it does, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from candor.engines.load import SANDBOX
from candor.engines.named import NAMED
from candor.recipe.recipe import Recipe, to_yaml
from candor.run_folder import SIDES
from candor.types import Example, Label

METRICS: Final = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "na_recall": "Recall of NA",
    "auroc": "AUROC of the stated confidence",
    "brier": "Brier score of the stated confidence",
    "ece": "Expected calibration error of the stated confidence",
}
"""Figures that the card gives, by their names in results."""

_LICENCES: Final = {"Apache-2.0": "apache-2.0"}
"""Of base models by name, as the hub writes them; an adapter of others is under their authors' terms."""

ROLES: Final = {"in_domain": "trained on it", "out_of_domain": "not trained on it"}

_SAMPLE: Final = Example("", "", "the claim", ("its first evidence sentence", "its second"), Label.NA, "")


def model_card(
    recipe: Recipe,
    results: Mapping[str, Any] | None,
    about: Mapping[str, Any],
    drawn: Mapping[str, Mapping[str, int]] | None = None,
) -> str:
    """Write the card.

    Args:
        recipe: of the run.
        results: the run's results, or ``None`` where base and trained model were not compared.
        about: what goes with the export.
        drawn: how many training examples of each label each source gave; as the recipe asked for where it is missing.

    Returns:
        Markdown (``card.md.j2``) behind YAML that holds the figures as the hub's ``model-index``.
    """
    comparisons = [] if results is None else results["comparisons"]
    train = {**recipe.data.counts("train"), **(drawn or {})}
    known = NAMED.get(recipe.model.name)
    base = recipe.model.name if known is None else known.hub
    has_hub_id = not Path(base).exists() and base != SANDBOX
    data = ModelCardData(
        model_name=recipe.name,
        library_name="transformers" if about["merged"] else "peft",
        pipeline_tag="text-generation",
        base_model=base if has_hub_id else None,
        license=_LICENCES.get(known.licence) if known is not None else None,
        language="en",
        tags=["candor", "fact-verification", "calibration", "abstention", *([] if about["merged"] else ["lora"])],
        eval_results=[result for one in comparisons for result in _eval_results(one)] or None,
    )
    card = ModelCard.from_template(
        data,
        template_str=files("candor.verifier").joinpath("card.md.j2").read_text(encoding="utf-8"),
        recipe=recipe,
        recipe_yaml=to_yaml(recipe),
        about=about,
        base=base,
        base_revision=recipe.model.revision if known is None else known.revision,
        peft=has_hub_id and not about["merged"],
        chat=recipe.prompt.rendered().chat.use,
        before="Warm start" if recipe.warm_start else "Base model",
        prompt=recipe.prompt.words().render(_SAMPLE),
        titles=list(METRICS.values()),
        figures=[_cells(one) for one in comparisons],
        counts=[f"{name} ({_count(n)})" for name, n in train.items() if name in recipe.trained_on()],
        unlabelled=", ".join(recipe.unlabelled()),
    )
    return f"{card}\n"


def _eval_results(comparison: Mapping[str, Any]) -> list[EvalResult]:
    found = comparison["metrics"]["trained"]
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Fact verification with abstention",
            dataset_type=comparison["dataset"],
            dataset_name=comparison["dataset"],
            dataset_split="test",
            metric_type=name,
            metric_name=title,
            metric_value=found[name]["value"],
        )
        for name, title in METRICS.items()
        if found[name]["value"] is not None
    ]


def _cells(comparison: Mapping[str, Any]) -> list[str]:
    """A test set's row: its name, then each figure of the base model and of this one."""
    base, trained = (comparison["metrics"][side] for side in SIDES)
    return [
        f"{comparison['dataset']} ({ROLES[comparison['role']]}, n = {comparison['rows']['used']})",
        *(f"{_number(base[name])} → {_number(trained[name])}" for name in METRICS),
    ]


def _number(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "–"
    interval = figure["interval"]
    around = "" if interval is None else f" ({interval[0]:.3f}–{interval[1]:.3f})"
    return f"{figure['value']:.3f}{around}"


def _count(count: Any) -> str:
    if isinstance(count, Mapping):
        return " ".join(f"{number} {label}" for label, number in count.items())
    return f"{count:.0%} of its claims" if isinstance(count, float) else str(count)
