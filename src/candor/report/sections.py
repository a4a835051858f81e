"""What the page says in words: summary, verdicts, warnings, audit, how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from candor.report import wording
from candor.report.arms import Arm, Comparison, comparisons, datasets_of, overall
from candor.report.runs import Run
from candor.report.tables import Cell, Group, Row, Table


@dataclass(frozen=True, slots=True)
class VerdictCard:
    """A claim as judged in one arm.

    Attributes:
        title: the claim, with the arm's name when there are several.
        badge: the judgement in two or three words.
        tone: ``good``, ``bad`` or nothing where the runs cannot say.
        texts, evidence, against: sentences; those of several seeds begin with the run's name.
    """

    title: str
    badge: str
    tone: str
    texts: tuple[str, ...]
    evidence: tuple[str, ...]
    against: tuple[str, ...]


def summary(arms: Sequence[Arm]) -> list[str]:
    """One sentence per arm: what the trained model does where it was trained, against the base model."""
    return [sentence for arm in arms if (sentence := _summary(arm, named=len(arms) > 1))]


def verdict_cards(arms: Sequence[Arm]) -> list[VerdictCard]:
    """The verdicts of every arm, claim by claim."""
    claims = dict.fromkeys(
        verdict["claim"] for arm in arms for run in arm.runs for verdict in run.results.get("verdicts", ())
    )
    cards = []
    for claim in claims:
        for arm in arms:
            found = [
                (run.name if len(arm.runs) > 1 else "", verdict)
                for run in arm.runs
                for verdict in run.results.get("verdicts", ())
                if verdict["claim"] == claim
            ]
            if found:
                cards.append(_card(found, arm.name if len(arms) > 1 else ""))
    return cards


def warnings(runs: Sequence[Run]) -> list[str]:
    """What the results and the audit warn of, each once."""
    found: list[str] = []
    for run in runs:
        name = f"{run.name}: " if len(runs) > 1 else ""
        found += [f"{name}{text}" for text in run.results.get("warnings", ())]
        for item in comparisons(run):
            if item is not run.results:
                found += [f"{name}{item['dataset']}: {text}" for text in item.get("warnings", ())]
            if item.get("allowed"):
                found.append(
                    f"{name}{item['dataset']}: the two files differ in their {wording.listed(item['allowed'])}; "
                    "this was allowed on request."
                )
            if item.get("conventions") == "paper":
                found.append(f"{name}{item['dataset']}: rows were dropped and paired by the study's rules.")
        found += [f"{name}{text}" for text in run.audit.get("warnings") or ()]
    return list(dict.fromkeys(found))


def facts(runs: Sequence[Run], arms: Sequence[Arm]) -> list[tuple[str, str]]:
    """What was run, in a few words each; what is not known is left out."""
    items = [item for run in runs for item in comparisons(run)]
    models = _unique(item["base"].get("model") for item in items)
    prompts = _unique(item["base"].get("template") for item in items)
    steps = _unique(f"{len(run.steps):,}" for run in runs if run.steps)
    seeds = _unique(run.results.get("run", {}).get("seed", run.manifest.get("seed")) for run in runs)
    rows = [f"{item['rows']['used']:,} on {item['dataset']}" for item in items]
    found = [
        ("Model", wording.listed(models)),
        ("Trained on", wording.listed(_unique(name for arm in arms for name in arm.trained_on))),
        ("Training steps", wording.listed(steps)),
        ("Seed" if len(seeds) == 1 else "Seeds", wording.listed(seeds)),
        ("Prompt", wording.listed(prompts)),
        ("Examples", ", ".join(dict.fromkeys(rows))),
        ("Runs", str(len(runs)) if len(runs) > 1 else ""),
    ]
    return [(name, value) for name, value in found if value]


def durations(runs: Sequence[Run]) -> Table | None:
    """Seconds of training by stage (``seconds_<stage>`` of the log), summed over steps."""
    stages = list(dict.fromkeys(key for run in runs for row in run.steps for key in row if key.startswith("seconds_")))
    if not stages:
        return None
    rows = []
    for run in runs:
        spent = {stage: sum(row.get(stage) or 0.0 for row in run.steps) for stage in stages}
        total = sum(spent.values()) or 1.0
        cells = [Cell(f"{seconds:.1f}", f"{seconds / total:.0%}") for seconds in spent.values()]
        rows.append(Row(run.name, tuple(cells)))
    names = tuple(stage.removeprefix("seconds_").replace("_", " ") for stage in stages)
    return Table("durations", "Seconds by stage, summed over steps", ("Run", *names), (Group("", tuple(rows)),))


def audit_tables(runs: Sequence[Run]) -> list[Table]:
    """Score of each shortcut on each dataset; the same audit of several runs is shown once."""
    tables: list[Table] = []
    for run, audit in _audits(runs):
        groups = []
        for dataset, content in _mapping(audit.get("datasets")).items():
            shortcuts = _mapping(_mapping(content).get("shortcuts"))
            rows = [
                Row(
                    str(name).replace("_", " "),
                    (
                        Cell(
                            wording.number("accuracy", found.get("value")),
                            wording.interval("accuracy", found.get("interval")),
                        ),
                        Cell(_count(found.get("n"))),
                    ),
                )
                for name, found in ((name, _mapping(value)) for name, value in shortcuts.items())
                if isinstance(found.get("value"), int | float | None)
            ]
            if rows:
                groups.append(Group(str(dataset), tuple(rows)))
        if groups:
            caption = "Accuracy of each shortcut" + (f" ({run.name})" if len(runs) > 1 else "")
            tables.append(
                Table(f"audit-{len(tables)}", caption, ("Shortcut", "Accuracy, %", "Examples"), tuple(groups))
            )
    return tables


def audit_rest(runs: Sequence[Run]) -> dict[str, Any]:
    """Everything else that the audits hold, by dataset or key."""
    rest: dict[str, Any] = {}
    for run, audit in _audits(runs):
        name = f"{run.name}: " if len(runs) > 1 else ""
        for dataset, content in _mapping(audit.get("datasets")).items():
            others = {key: value for key, value in _mapping(content).items() if key != "shortcuts"}
            if others:
                rest[f"{name}{dataset}"] = others
        for key, value in audit.items():
            if key not in ("datasets", "warnings"):
                rest[f"{name}{key}"] = value
    return rest


def provenance(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Recipe, manifest, prediction files and statistical settings of every run."""
    return [
        {
            "name": run.name,
            "facts": run.results.get("run", {}),
            "manifest": run.manifest,
            "recipe": run.recipe_text,
            "files": {item["dataset"]: _files(item) for item in comparisons(run)},
        }
        for run in runs
    ]


def _summary(arm: Arm, *, named: bool) -> str:
    datasets = arm.trained_on or tuple(datasets_of([arm])[:1])
    parts = []
    for dataset in datasets:
        clauses = []
        for metric, phrase in (
            ("na_recall", "says NA to {} % of the claims that lack evidence"),
            ("accuracy", "judges {} % of all claims rightly"),
        ):
            base, trained = overall([arm], dataset, "base", metric), arm.spread(dataset, "trained", metric)
            if base is not None and trained is not None:
                before, after = wording.number(metric, base.mean), wording.number(metric, trained.mean)
                clauses.append(f"{phrase.format(after)} ({before} % before)")
        if clauses:
            parts.append(f"on {dataset} the trained model {wording.listed(clauses)}")
    if not parts:
        return ""
    text = "; ".join(parts)
    seeds = f" (means of {len(arm.runs)} seeds)" if len(arm.runs) > 1 else ""
    return f"{arm.name}: {text}{seeds}." if named else f"{text[0].upper()}{text[1:]}{seeds}."


def _card(found: Sequence[tuple[str, Mapping[str, Any]]], arm: str) -> VerdictCard:
    judged = [verdict["holds"] for _, verdict in found]
    hits, of = judged.count(True), len(judged)
    if None in judged and hits == 0 and False not in judged:
        badge, tone = "Cannot be judged", ""
    elif of == 1:
        badge, tone = ("Holds", "good") if judged[0] else ("Does not hold", "bad")
    else:
        badge = f"Holds in {hits} of {of} seeds"
        tone = "good" if hits == of else "bad" if hits == 0 else ""

    def sentences(key: str) -> tuple[str, ...]:
        texts = [(name, text) for name, verdict in found for text in verdict.get(key) or ()]
        return tuple(dict.fromkeys(f"{name}: {text}" if name else text for name, text in texts))

    first = found[0][1]
    return VerdictCard(
        title=f"{first['title']}: {arm}" if arm else first["title"],
        badge=badge,
        tone=tone,
        texts=tuple(f"{name}: {verdict['text']}" if name else verdict["text"] for name, verdict in found),
        evidence=sentences("evidence"),
        against=sentences("against"),
    )


def _audits(runs: Sequence[Run]) -> list[tuple[Run, Mapping[str, Any]]]:
    kept: list[tuple[Run, Mapping[str, Any]]] = []
    for run in runs:
        if run.audit and all(run.audit != audit for _, audit in kept):
            kept.append((run, run.audit))
    return kept


def _files(item: Comparison) -> dict[str, Any]:
    return {"rows": item["rows"], "base": item["base"], "trained": item["trained"], "statistics": item["settings"]}


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else wording.NOTHING


def _unique(values: Any) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value is not None))
