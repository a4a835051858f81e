"""What the task files name: where claims come from, how an answer is read, and the figures over all answers.

Prompt, reading of answers and figures are those of ``candor predict`` and ``candor compare``. The harness passes what
stands in ``metadata`` (of the task file and of ``--metadata``) to the functions that load claims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from candor.data.inputs import read_file
from candor.data.splits import make_splits
from candor.errors import DataError
from candor.metrics.summary import summary
from candor.prompts import templates
from candor.prompts.answers import parse
from candor.prompts.control import disarm_unseen
from candor.recipe.data import DataConfig
from candor.types import Example, Label, Prediction

COUNTS: Final = {"PASS": 250, "FAIL": 250, "NA": 500}
"""Claims of each label: the held-out sets of the published study."""


def claims(
    source: str,
    template: str = "verdict",
    data_dir: str | None = None,
    examples: str | None = None,
    seed: int = 0,
    **_: Any,
) -> dict[str, Any]:
    """Load a dataset as the harness wants it, with the split ``test``.

    Args:
        source: ``fever``, ``vitaminc`` or ``climatefever``.
        template: name of the prompt template.
        data_dir: where official files lie; default as for every command.
        examples: a file of claims to take instead, such as a run's ``data/test.jsonl``; of other datasets in it
            nothing is taken.
        seed: decides which claims are drawn from official files.

    Raises:
        DataError: the files are missing or cannot be read.
        PromptError: there is no such template, or it asks for reasoning first.
    """
    import datasets

    if examples is not None:
        found = [example for example in read_file(Path(examples)).examples if example.dataset == source]
        if not found:
            raise DataError(f"no claims of the dataset {source!r} in it", file=examples)
    else:
        config = {"seed": seed, "sources": {source: {"kind": source}}, "train": {}, "test": {source: COUNTS}}
        drawn = make_splits(
            DataConfig.model_validate(config | {"on_shortage": "shrink"}),
            data_dir=None if data_dir is None else Path(data_dir),
        )
        found = list(dict(drawn.items())["test"][source])
    chosen = templates.get_direct(template)  # the tasks' max_gen_toks is that of an answer alone
    return {"test": datasets.Dataset.from_list([_document(example, chosen) for example in found])}


def _document(example: Example, template: templates.Template) -> dict[str, Any]:
    return {
        "id": example.id,
        "dataset": example.dataset,
        "group": example.group,
        "claim": example.claim,
        "evidence": list(example.evidence),
        "gold": example.label.value,
        "template": template.name,
        "prompt": template.render(disarm_unseen(example)),  # the harness has the tokenizer
    }


def fever(**options: Any) -> dict[str, Any]:
    """Claims of FEVER; arguments as of :func:`claims`."""
    return claims("fever", **options)


def vitaminc(**options: Any) -> dict[str, Any]:
    """Claims of VitaminC; arguments as of :func:`claims`."""
    return claims("vitaminc", **options)


def climatefever(**options: Any) -> dict[str, Any]:
    """Claims of ClimateFEVER; arguments as of :func:`claims`."""
    return claims("climatefever", **options)


def process_results(document: dict[str, Any], results: Sequence[str]) -> dict[str, Prediction]:
    """Read one answer; every figure is told the same."""
    answer = parse(results[0], templates.get(document["template"]))
    prediction = Prediction(
        id=document["id"],
        dataset=document["dataset"],
        group=document["group"],
        claim=document["claim"],
        evidence=tuple(document["evidence"]),
        gold=Label(document["gold"]),
        raw=results[0],
        label=answer.label,
        confidence=answer.confidence,
        validity=answer.validity,
    )
    return dict.fromkeys(("accuracy", "na_recall", "brier_score", "ece", "auroc", "invalid_rate"), prediction)


def _figure(name: str) -> Callable[[Sequence[Prediction]], float]:
    def figure(predictions: Sequence[Prediction]) -> float:
        return float(summary(predictions, resamples=1)[name].value)

    figure.__name__ = name
    return figure


accuracy = _figure("accuracy")
na_recall = _figure("na_recall")
brier_score = _figure("brier")
ece = _figure("ece")
auroc = _figure("auroc")
invalid_rate = _figure("invalid_rate")
