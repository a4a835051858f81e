"""Run folders made up for tests: the documented files with plausible numbers, written in a moment."""

from __future__ import annotations

import copy
import json
import math
import random
from pathlib import Path
from typing import Any

from places import DATA_FILES

from candor.files import write_json, write_jsonl, write_text
from candor.predictions.file import Header, write_predictions
from candor.types import LABELS, Label, Prediction, Validity

RESULTS = DATA_FILES / "results_run.json"

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>{{ 7 * 7 }} \u2028"
"""What a claim or a model may hold. If any of it were taken as markup, ``window.hacked`` would exist."""

TERMS = ("accuracy", "shaping", "calibration", "alignment", "false_na", "consistency", "format")

RECIPE = "name: made-up\nseeds: [0]\ntrain:\n  steps: 60\n"


def results(*, role_of: dict[str, str] | None = None, shift: float = 0.0) -> dict[str, Any]:
    """The documented example of a run's results; ``shift`` is added to every trained share and difference."""
    value: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    for item in value["comparisons"]:
        if role_of is not None:
            item["role"] = role_of.get(item["dataset"], "out_of_domain")
        for name in ("na_recall", "accuracy", "macro_f1", "auroc"):
            item["metrics"]["trained"][name]["value"] += shift
            item["differences"][name]["value"] += shift
    return copy.deepcopy(value)


def steps(count: int = 60, seed: int = 0) -> list[dict[str, Any]]:
    """A training log with every documented key."""
    generator = random.Random(seed)
    rows = []
    for step in range(count):
        progress = 1 - math.exp(-4 * step / count)

        def near(value: float, noise: float = 0.04) -> float:
            return value + generator.gauss(0, noise)

        accuracy = {"PASS": near(0.9 - 0.05 * progress), "FAIL": near(0.9), "NA": near(0.4 + 0.4 * progress)}
        mean = sum(accuracy.values()) / 3
        row: dict[str, Any] = {
            "step": step,
            "accuracy": mean,
            **{f"accuracy_{label}": value for label, value in accuracy.items()},
            "reward": near(3 * mean - 1.4),
            "zero_variance": min(1.0, max(0.0, near(0.3 + 0.3 * progress))),
            "invalid": max(0.0, near(0.05 * (1 - progress), 0.01)),
            "entropy": near(1.2 - 0.5 * progress),
            "kl": max(0.0, near(0.3 * progress, 0.01)),
            "sampler_gap": 0.0,
            "grad_norm": abs(near(0.8)),
            "learning_rate": 1e-3 * (1 - step / count),
            "tokens": 9000,
            "seconds_rollout": near(0.5),
            "seconds_update": near(1.1),
        }
        for place, term in enumerate(TERMS):
            row[f"reward_{term}"] = near(place / 10)
            for label, value in accuracy.items():
                row[f"reward_{term}_{label}"] = near(value - place / 5)
        rows.append(row)
    rows[count // 2]["warnings"] = ["more than half of the groups have no variance"]
    return rows


def predictions(dataset: str, *, stage: str, count: int, hostile: bool) -> list[Prediction]:
    """Answers of one model; the trained one is right more often. Ids, claims and gold labels agree."""
    rows = []
    for number in range(count):
        shared = random.Random(f"{dataset}-{number}")
        own = random.Random(f"{dataset}-{number}-{stage}")
        gold = LABELS[shared.choice((0, 1, 2, 2))]
        chance = {"base": {Label.NA: 0.4}, "trained": {Label.NA: 0.8}}[stage].get(gold, 0.88)
        label: Label | None = gold if own.random() < chance else own.choice([one for one in LABELS if one != gold])
        raw = f"LABEL={label}\nCONF=0.90\nRATIONALE="
        validity = Validity.CLEAN
        if stage == "base" and own.random() < 0.03:
            label, validity, raw = None, Validity.NONE, HOSTILE if hostile else "I would say that depends."
        claim = f"Person {number} was born in {1900 + number % 90} in a town by the river."
        rows.append(
            Prediction(
                id=f"{dataset}-{number}",
                dataset=dataset,
                group=f"group-{number}",
                claim=HOSTILE if hostile and number == 0 else claim,
                evidence=() if number % 7 == 0 else (f"Sentence {number} on the town.", "It lies by the river."),
                gold=gold,
                raw=raw,
                label=label,
                confidence=None if label is None else round(own.choice((0.6, 0.75, 0.9, 0.95)), 2),
                validity=validity,
            )
        )
    return rows


def in_old_words(values: dict[str, Any], schema: int) -> dict[str, Any]:
    """A run's results as schema 1 or 2 had them."""
    old: dict[str, Any] = json.loads(json.dumps(values))
    old["schema"] = schema
    for one in old["comparisons"]:
        one["schema"] = schema
        for key in ("calibration", "skill", "share_tests", "form_changes", "no_evidence"):
            del one[key]
    for one in old["findings"]:
        one["holds"] = {"holds": True, "does_not_hold": False}.get(one.pop("outcome"))
        one["evidence"] = [number["text"] for number in one.pop("numbers")]
    if schema == 1:
        old["verdicts"] = old.pop("findings")
        for one in old["verdicts"]:
            one["claim"] = one.pop("hypothesis")
    return old


def write_run(
    folder: Path,
    *,
    values: dict[str, Any] | None = None,
    count: int = 40,
    hostile: bool = False,
    seed: int = 0,
    leave_out: tuple[str, ...] = (),
    datasets: tuple[str, ...] = ("wiki", "revision", "climate"),
) -> Path:
    """Write a run folder; ``leave_out`` names files and folders that it lacks."""
    values = results() if values is None else values
    values["comparisons"] = [item for item in values["comparisons"] if item["dataset"] in datasets]
    values["run"]["seed"] = seed
    if hostile:
        values["run"]["name"] = HOSTILE
        values["findings"][0]["text"] = HOSTILE
        values["warnings"] = [HOSTILE]
    if "results.json" not in leave_out:
        write_json(folder / "results.json", values)
    if "recipe.yaml" not in leave_out:
        write_text(folder / "recipe.yaml", RECIPE + (f"description: {json.dumps(HOSTILE)}\n" if hostile else ""))
    if "manifest.json" not in leave_out:
        manifest = {
            "versions": {"candor": "0.1.0", "python": "3.11.2"},
            "git": {"commit": "0123abc", "dirty": False},
            "seed": seed,
            "data": [{"file": "wiki.jsonl", "sha256": "ab" * 32}],
            "notes": [HOSTILE] if hostile else [],
        }
        write_json(folder / "manifest.json", manifest)
    if "audit.json" not in leave_out:
        score = {"value": 0.71, "interval": [0.68, 0.74], "n": 1000}
        shortcuts = {name: {"accuracy": score, "na_accuracy": score} for name in ("claim_only", "no_evidence_is_na")}
        labels = {"PASS": 250, "FAIL": 250, "NA": 500}
        tokens = {"median": 61.5, "p95": 98.2, "max": 1204, "max_length": 1008, "too_long": 3, "sentences_cut": 7}
        found = {"shortcuts": shortcuts, "labels": labels, "prompt_tokens": tokens}
        audit = {
            "datasets": dict.fromkeys(datasets, found),
            "warnings": [HOSTILE if hostile else "wiki: no_evidence_means_na alone scores 71 %."],
        }
        write_json(folder / "audit.json", audit)
    if "train" not in leave_out:
        write_jsonl(folder / "train" / "metrics.jsonl", steps(seed=seed))
    for stage in ("base", "trained"):
        if f"predictions/{stage}" not in leave_out:
            for name in datasets:
                header = Header("made-up-model", "verdict", "cd" * 32, name, "test", seed)
                rows = predictions(name, stage=stage, count=count, hostile=hostile)
                write_predictions(folder / "predictions" / stage / f"{name}.jsonl", header, rows)
    return folder
