"""What the page says in words: summary, findings, warnings, audit, how it was made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from candor.report import wording
from candor.report.arms import Arm, Comparison, comparisons
from candor.report.runs import SavedRun
from candor.report.tables import Cell, Group, Row, Table

_BADGES = {
    "holds": ("Holds", "good"),
    "does_not_hold": ("Does not hold", "bad"),
    "undecided": ("Undecided", ""),
    "not_comparable": ("Not comparable", ""),
    "holds_by_shortcut": ("Holds by a shortcut", ""),
}
_MET = {"holds": "met", "does_not_hold": "not met", "undecided": "undecided"}

_NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class FindingCard:
    """What the runs of one arm found of a hypothesis.

    Attributes:
        title: the hypothesis, with the arm's name when there are several.
        hypothesis, arm: the two apart; the arm is empty when there is one.
        badge: the finding in two or three words.
        tone: ``good``, ``bad`` or nothing where the runs cannot say.
        texts, against: sentences; with several seeds those that differ in numbers alone stand once.
        evidence: the numbers of every seed.
    """

    title: str
    hypothesis: str
    arm: str
    badge: str
    tone: str
    texts: tuple[str, ...]
    evidence: tuple[str, ...]
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What every arm found of one hypothesis."""

    title: str
    cards: tuple[FindingCard, ...]


def hypotheses(arms: Sequence[Arm]) -> list[Hypothesis]:
    """The hypotheses that the runs say something of, each with the findings of all arms side by side."""
    return [Hypothesis(cards[0].hypothesis, tuple(cards)) for cards in _finding_cards(arms) if cards]


def _finding_cards(arms: Sequence[Arm]) -> list[list[FindingCard]]:
    hypotheses = dict.fromkeys(
        finding["hypothesis"] for arm in arms for run in arm.runs for finding in run.results.get("findings", ())
    )
    rows = []
    for hypothesis in hypotheses:
        cards = []
        for arm in arms:
            found = [
                (run.name.removeprefix(f"{arm.name}/"), finding)
                for run in arm.runs
                for finding in run.results.get("findings", ())
                if finding["hypothesis"] == hypothesis
            ]
            if found:
                cards.append(_card(found, arm.name if len(arms) > 1 else ""))
        rows.append(cards)
    return rows


def warnings(runs: Sequence[SavedRun]) -> list[str]:
    """What the results and the audits warn of, beyond what the findings list against themselves.

    Each sentence stands once, with the runs it is about when there are several.
    """
    return said_by([(run.name, text) for run in runs for text in _warnings(run)], of=len(runs))


def said_by(sentences: Sequence[tuple[str, str]], *, of: int) -> list[str]:
    """Equal sentences of several runs as one.

    >>> said_by([("a", "It fell."), ("b", "It fell."), ("b", "It rose.")], of=2)
    ['It fell. (all 2 runs)', 'It rose. (b)']
    """
    names_of: dict[str, dict[str, None]] = {}
    for name, text in sentences:
        names_of.setdefault(text, {})[name] = None
    if of == 1:
        return list(names_of)
    return [f"{text} ({_runs(list(names), of)})" for text, names in names_of.items()]


def said_alike(sentences: Sequence[tuple[str, str]], *, of: int) -> list[str]:
    """Sentences of several runs that are equal but for their numbers as one, with the numbers of the first.

    >>> said_alike([("a", "x fell by 3."), ("b", "x fell by 4."), ("b", "y rose.")], of=2)
    ['x fell by 3. (a; with other numbers b)', 'y rose. (b)']
    >>> said_alike([("a", "It fell."), ("b", "It fell.")], of=2)
    ['It fell. (all 2 runs)']
    >>> said_alike([("a", "x1 fell."), ("a", "x2 fell.")], of=1)
    ['x1 fell.', 'x2 fell.']
    """
    said: Counter[tuple[str, str]] = Counter()
    alike: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for name, text in dict.fromkeys(sentences):
        form = _NUMBER.sub("0", text)
        # A run's own sentences stay apart, whatever they have in common.
        alike.setdefault((form, said[name, form]), []).append((name, text))
        said[name, form] += 1
    merged = []
    for group in alike.values():
        first = group[0][1]
        same = [name for name, text in group if text == first]
        others = [name for name, text in group if text != first]
        names = _runs(same, of)
        if others:
            names += f"; with other numbers {wording.listed(others)}"
        merged.append(f"{first} ({names})" if of > 1 else first)
    return merged


def _runs(names: Sequence[str], of: int) -> str:
    return f"all {of} runs" if len(names) == of else wording.listed(names)


def facts(runs: Sequence[SavedRun], arms: Sequence[Arm]) -> list[tuple[str, str]]:
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
        ("Read without labels", wording.listed(_unique(name for run in runs for name in _unlabelled(run)))),
        ("Training steps", wording.listed(steps)),
        ("Seed" if len(seeds) == 1 else "Seeds", wording.listed(seeds)),
        ("Prompt", wording.listed(prompts)),
        ("Examples", ", ".join(dict.fromkeys(rows))),
        ("From outside", wording.listed(_unique(_outside(run) for run in runs))),
        ("Runs", str(len(runs)) if len(runs) > 1 else ""),
    ]
    return [(name, value) for name, value in found if value]


def _outside(run: SavedRun) -> str:
    """Functions of somebody else's that the run used, with the beginning of their source's hash."""
    found = [f"{one['kind']} {one['spec']} ({str(one['sha256'])[:12]})" for one in run.manifest.get("outside", [])]
    return ", ".join(found)


def _unlabelled(run: SavedRun) -> Sequence[str]:
    """Sources whose training prompts a run used without their labels."""
    found: Sequence[str] = run.results.get("run", {}).get("unlabelled", ())
    return found


def durations(runs: Sequence[SavedRun]) -> Table | None:
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


def audit_tables(runs: Sequence[SavedRun]) -> list[Table]:
    """Score of each shortcut on each dataset; the same audit of several runs is shown once."""
    tables: list[Table] = []
    audits = _audits(runs)
    for run, audit in audits:
        groups = []
        for dataset, content in _mapping(audit.get("datasets")).items():
            shortcuts = _mapping(_mapping(content).get("shortcuts"))
            rows = [Row(str(name).replace("_", " "), _shortcut(_mapping(found))) for name, found in shortcuts.items()]
            if rows:
                groups.append(Group(str(dataset), tuple(rows)))
        if groups:
            caption = "Accuracy of each shortcut" + (f" ({run.name})" if len(audits) > 1 else "")
            columns = ("Shortcut", "Three labels, %", "NA or not, %", "Examples")
            tables.append(Table(f"audit-{len(tables)}", caption, columns, tuple(groups)))
    return tables


def _shortcut(found: Mapping[Any, Any]) -> tuple[Cell, ...]:
    scores = [_mapping(found.get(key)) for key in ("accuracy", "na_accuracy")]
    cells = [
        Cell(wording.number("accuracy", score.get("value")), wording.interval("accuracy", score.get("interval")))
        for score in scores
    ]
    return (*cells, Cell(_count(scores[0].get("n"))))


def prompt_lengths(runs: Sequence[SavedRun]) -> Table | None:
    """How long the prompts of each dataset are in tokens, and what of them would be cut."""
    rows = []
    audits = _audits(runs)
    for run, audit in audits:
        for dataset, content in _mapping(audit.get("datasets")).items():
            tokens = _mapping(_mapping(content).get("prompt_tokens"))
            if tokens:
                name = str(dataset) + (f" ({run.name})" if len(audits) > 1 else "")
                keys = ("median", "p95", "max", "max_length", "too_long", "sentences_cut")
                found = [tokens.get(key) for key in keys]
                whole = [round(value) if isinstance(value, float) else value for value in found]
                rows.append(Row(name, tuple(Cell(_count(value)) for value in whole)))
    columns = ("Dataset", "Median", "95 %", "Longest", "Fit", "Too long", "Sentences cut")
    return Table("prompt-lengths", "Length of prompts in tokens", columns, (Group("", tuple(rows)),)) if rows else None


def audit_rest(runs: Sequence[SavedRun]) -> dict[str, Any]:
    """Everything else that the audits hold, by dataset or key."""
    rest: dict[str, Any] = {}
    audits = _audits(runs)
    for run, audit in audits:
        name = f"{run.name}: " if len(audits) > 1 else ""
        for dataset, content in _mapping(audit.get("datasets")).items():
            others = {key: value for key, value in _mapping(content).items() if key != "shortcuts"}
            if others:
                rest[f"{name}{dataset}"] = others
        common = {key: value for key, value in audit.items() if key not in ("datasets", "warnings")}
        if common:
            rest[f"{name}Over all datasets"] = common
    return rest


def provenance(runs: Sequence[SavedRun]) -> list[dict[str, Any]]:
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


def _warnings(run: SavedRun) -> Iterator[str]:
    findings = run.results.get("findings", ())
    return (text for text in _all_warnings(run) if not any(_is_said(text, finding) for finding in findings))


def _is_said(warning: str, finding: Mapping[str, Any]) -> bool:
    """Whether a finding says it, in its text or against itself; there its datasets stand in front."""
    said = warning.partition(": ")[2] or warning
    against = [sentence.partition(": ")[2] or sentence for sentence in finding["against"]]
    return said.rstrip(".") in finding["text"] or any(said.startswith(sentence.rstrip(".")) for sentence in against)


def _all_warnings(run: SavedRun) -> Iterator[str]:
    if not run.results:
        yield "There are no results yet."
    yield from run.results.get("warnings", ())
    for item in comparisons(run):
        dataset = item["dataset"]
        if item is not run.results:
            yield from (f"{dataset}: {text}" for text in item.get("warnings", ()))
        if item.get("allowed"):
            what = wording.listed(item["allowed"])
            yield f"{dataset}: the two files differ in their {what}; this was allowed on request."
        if item.get("conventions") == "paper":
            yield f"{dataset}: rows were dropped and paired by the study's rules."
    yield from run.audit.get("warnings") or ()


def _card(found: Sequence[tuple[str, Mapping[str, Any]]], arm: str) -> FindingCard:
    outcomes = [finding["outcome"] for _, finding in found]
    hits, of = outcomes.count("holds"), len(outcomes)
    if of == 1 or (len(set(outcomes)) == 1 and outcomes[0] not in ("holds", "does_not_hold")):
        badge, tone = _BADGES[outcomes[0]]
    else:
        badge = f"Holds in {hits} of {of} seeds"
        tone = "good" if hits == of else "bad" if hits == 0 and "does_not_hold" in outcomes else ""
    against = [(name, text) for name, finding in found for text in finding["against"]]
    numbers = [(name, _number_text(number)) for name, finding in found for number in finding["numbers"]]
    first = found[0][1]
    texts = said_alike([(name, finding["text"]) for name, finding in found], of=of)
    return FindingCard(
        title=f"{first['title']}: {arm}" if arm else first["title"],
        hypothesis=first["title"],
        arm=arm,
        badge=badge,
        tone=tone,
        texts=tuple(_with_arrows(line) for text in texts for line in text.splitlines()),
        evidence=tuple(map(_with_arrows, said_by(numbers, of=of))),
        against=tuple(said_alike(against, of=of)),
    )


def _with_arrows(text: str) -> str:
    # Two signs could be parted at the end of a line.
    return text.replace("->", "→")


def _number_text(number: Mapping[str, Any]) -> str:
    """A condition with its outcome; of results of an older schema the sentence as it stands."""
    if not number["dataset"]:
        return str(number["text"])
    return f"{number['dataset']}: {number['text']}: {_MET[number['outcome']]}"


def _audits(runs: Sequence[SavedRun]) -> list[tuple[SavedRun, Mapping[str, Any]]]:
    kept: list[tuple[SavedRun, Mapping[str, Any]]] = []
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
