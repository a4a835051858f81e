"""The model card of an exported model: what it is for, how it was made, how well it does, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from huggingface_hub import EvalResult, ModelCardData

from candor.prompts import templates
from candor.recipe.recipe import Recipe, to_yaml
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

ROLES: Final = {"in_domain": "trained on it", "out_of_domain": "not trained on it"}

_SAMPLE: Final = Example("", "", "the claim", ("its first evidence sentence", "its second"), Label.NA, "")


def model_card(recipe: Recipe, results: Mapping[str, Any] | None, about: Mapping[str, Any]) -> str:
    """Write the card.

    Args:
        recipe: of the run.
        results: the run's results, or ``None`` where base and trained model were not compared.
        about: what goes with the export.

    Returns:
        Markdown behind YAML that holds the figures as the hub's ``model-index``.
    """
    comparisons = [] if results is None else results["comparisons"]
    is_hub_id = not Path(recipe.model.name).exists() and recipe.model.name != "sandbox"
    data = ModelCardData(
        model_name=recipe.name,
        library_name="transformers" if about["merged"] else "peft",
        pipeline_tag="text-generation",
        base_model=recipe.model.name if is_hub_id else None,
        language="en",
        tags=["candor", "fact-verification", "calibration", "abstention", *([] if about["merged"] else ["lora"])],
        eval_results=[result for one in comparisons for result in _eval_results(one)] or None,
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {recipe.name}\n",
        f"{recipe.description}\n" if recipe.description else "",
        "A language model that judges a claim by the evidence shown with it: `PASS` (supported), `FAIL` (refuted) or "
        "`NA` (the evidence does not say), with a confidence that is meant as a probability.\n",
        _use(about),
        _figures(comparisons),
        _abstention(about),
        _training(recipe),
        _limits(recipe),
    ]
    return "\n".join(part for part in parts if part)


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


def _use(about: Mapping[str, Any]) -> str:
    prompt = templates.get(about["template"]).render(_SAMPLE)
    return (
        "## Use\n\n```python\nfrom candor import Verifier\n\n"
        'verifier = Verifier.load("this-folder")\n'
        'verdict = verifier.verify("the claim", ["its first evidence sentence", "its second"])\n```\n\n'
        f"{'The whole model: any runtime loads it.' if about['merged'] else 'A PEFT adapter.'} "
        f"Without candor, ask it with exactly this prompt:\n\n```text\n{prompt}```\n"
    )


def _figures(comparisons: list[Mapping[str, Any]]) -> str:
    if not comparisons:
        return "## Figures\n\nBase and trained model have not been compared.\n"
    head = "| test set | " + " | ".join(METRICS.values()) + " |"
    rows = [head, "| --- " * (len(METRICS) + 1) + "|"]
    for one in comparisons:
        cells = [
            f"{_number(one['metrics']['base'][name])} → {_number(one['metrics']['trained'][name])}" for name in METRICS
        ]
        rows.append(f"| {one['dataset']} ({ROLES[one['role']]}, n = {one['rows']['used']}) | {' | '.join(cells)} |")
    return (
        "## Figures\n\nBase model → this model, same examples and prompt, each figure with its 95 % interval.\n\n"
        + "\n".join(rows)
        + "\n"
    )


def _number(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "–"
    interval = figure["interval"]
    around = "" if interval is None else f" ({interval[0]:.3f}–{interval[1]:.3f})"
    return f"{figure['value']:.3f}{around}"


def _abstention(about: Mapping[str, Any]) -> str:
    rule = about["abstention"]
    if rule is None:
        return ""
    choice = rule["choice"]
    sources = ", ".join(rule["sources"])
    if choice["threshold"] is None:
        words = (
            f"No threshold on the stated confidence keeps errors at {rule['risk']:g} of accepted answers on "
            f"claims like those of {sources}: {choice['reason']}. At that risk every answer should read: I don't know."
        )
    else:
        words = (
            f"Answers with a stated confidence of {choice['threshold']:.2f} or more can be accepted: at most "
            f"{rule['risk']:g} of them are wrong on claims like those of {sources}, with probability "
            f"{rule['confidence']:g} ({choice['accepted']} of {choice['n']} validation answers accepted, "
            f"{choice['errors']} of them wrong). Below it, the answer should read: I don't know."
        )
    return f"## When to take an answer\n\n{words}\n"


def _training(recipe: Recipe) -> str:
    counts = ", ".join(
        f"{name} ({_count(count)})" for name, count in recipe.data.train.items() if name in recipe.trained_on()
    )
    others = (
        f" Prompts of {', '.join(recipe.unlabelled())} were read without their labels." if recipe.unlabelled() else ""
    )
    return (
        f"## Training\n\nBase model: {recipe.model.name}. Trained on {counts} for {recipe.train.steps} steps with "
        f"reward `{recipe.reward.preset}` and objective `{recipe.objective.preset}`, seed {recipe.seeds[0]}."
        f"{others}\n\n"
        f"<details><summary>The whole recipe</summary>\n\n```yaml\n{to_yaml(recipe)}```\n\n</details>\n"
    )


def _count(count: Any) -> str:
    if isinstance(count, Mapping):
        return " ".join(f"{number} {label}" for label, number in count.items())
    return str(count)


def _limits(recipe: Recipe) -> str:
    trained_on = ", ".join(recipe.trained_on())
    read = f", and on prompts of {', '.join(recipe.unlabelled())} without labels" if recipe.unlabelled() else ""
    return (
        "## Limits\n\n"
        "- It judges whether the evidence shown settles the claim, not whether the claim is true.\n"
        f"- The stated confidence was trained on {trained_on}{read}; elsewhere it means less, as the figures above "
        "show.\n"
        "- The threshold's guarantee is for claims like those of its validation sets, and for none that were chosen to "
        "mislead.\n"
        "- It was trained on single claims with a few sentences of evidence, in one wording of the prompt.\n"
    )
