"""``candor check``: whether a reward, metric, dataset or prompt of one's own does what candor expects of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import typer

from candor.cli.tables import ColumnOption, LabelOption, table_form
from candor.errors import CandorError, RecipeError
from candor.extensions import Extension, Kind, load_extension

Finding: TypeAlias = tuple[Literal["ok", "look", "failed"], str]
"""How it went, and what was tried or is wrong."""

REWARD_ARGUMENTS: Final = ("label", "confidence", "clean", "gold", "has_evidence", "probs")
METRIC_ARGUMENTS: Final = ("label", "confidence", "gold")
_EXIT_FAILED: Final = 1


def check(
    what: Annotated[str, typer.Argument(help="module:function, the name of an entry point, or a prompt's text file")],
    kind: Annotated[
        str | None, typer.Option("--as", metavar="reward|metric|dataset", help="Default: told by its parameters.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An argument of a dataset's function.")
    ] = None,
    column: ColumnOption = None,
    label: LabelOption = None,
) -> None:
    """Try a reward term, metric, dataset or prompt of one's own on made-up answers, before a run rests on it.

    Examples: candor check my_module:reward; candor check my_prompt.txt; candor check my_module:rows --option path=x.csv
    """
    if Path(what).suffix in (".txt", ".md"):
        findings = list(check_prompt(Path(what)))
    else:
        chosen = _kind(what, kind)
        extension = load_extension(chosen, what)
        where = f" in {extension.file}, SHA-256 {extension.sha256}" if extension.file else ""
        typer.echo(f"{chosen} {extension.name}{where}")
        if chosen == "dataset":
            findings = list(check_dataset(extension, _options(option or []), column, label))
        else:
            findings = list(check_reward(extension) if chosen == "reward" else check_metric(extension))
    for how, words in findings:
        typer.echo(f"{how + ':':8}{words}")
    if any(how == "failed" for how, _ in findings):
        raise typer.Exit(_EXIT_FAILED)


def _kind(what: str, told: str | None) -> Kind:
    if told is not None:
        for known in ("reward", "metric", "dataset"):
            if told == known:
                return known
        raise typer.BadParameter(f"{told!r} is none of reward, metric, dataset", param_hint="--as")
    found: dict[Kind, Extension] = {}
    problems = []
    for kind in ("reward", "metric", "dataset"):
        try:
            found[kind] = load_extension(kind, what)
        except RecipeError as error:
            problems.append(str(error))
    if not found:
        raise RecipeError(problems[0])
    if len(found) == 1:  # an entry point says itself what it is
        return next(iter(found))
    takes = found["reward"].takes
    if not set(takes) & set(REWARD_ARGUMENTS):
        return "dataset"
    if set(takes) - set(METRIC_ARGUMENTS):
        return "reward"
    value = found["metric"].call(**_made_up(6).arguments(METRIC_ARGUMENTS))
    return "metric" if value is None or (not getattr(value, "shape", ()) and not isinstance(value, list)) else "reward"


@dataclass(frozen=True)
class _Answers:
    """Made-up answers: every label with and without a confidence, and none."""

    values: dict[str, Any]

    def arguments(self, names: Sequence[str], rows: Any = slice(None)) -> dict[str, Any]:
        """Copies that cannot be written to."""
        found = {}
        for name in names:
            found[name] = self.values[name][rows].copy()
            found[name].setflags(write=False)
        return found


def _made_up(number: int) -> _Answers:
    import numpy as np

    rng = np.random.default_rng(0)
    label = rng.integers(-1, 3, number)
    confidence = np.where((label < 0) | (rng.random(number) < 0.1), np.nan, rng.integers(0, 101, number) / 100)
    return _Answers(
        {
            "label": label,
            "confidence": confidence,
            "clean": ~np.isnan(confidence) & (rng.random(number) < 0.9),
            "gold": rng.integers(0, 3, number),
            "has_evidence": rng.random(number) < 0.8,
            "probs": rng.dirichlet(np.ones(3), number),
        }
    )


def check_reward(extension: Extension) -> Iterator[Finding]:
    """One finite number for each answer, the same every time, of that answer alone."""
    import numpy as np

    yield from _parameters(extension, REWARD_ARGUMENTS)
    answers = _made_up(200)

    def of(rows: Any) -> Any:
        return np.asarray(extension.call(**answers.arguments(REWARD_ARGUMENTS, rows)), dtype=np.float64)

    everything = np.arange(200)
    try:
        values = of(everything)
        again, turned, single = of(everything), of(everything[::-1]), of(everything[:1])
    except Exception as error:  # whatever somebody else's function raises
        yield (
            "failed",
            f"it raises on made-up answers, some without a label (-1) or a confidence (NaN): {error!r}",
        )
        return
    if values.shape != (200,):
        yield "failed", f"200 answers need an array of 200 numbers; it returned shape {values.shape}"
        return
    bad = int((~np.isfinite(values)).sum())
    yield ("failed", f"{bad} of 200 numbers are not finite") if bad else ("ok", "one finite number for each answer")
    if not np.array_equal(values, again, equal_nan=True):
        yield "failed", "the same answers give other numbers when asked again: a run could not be repeated"
    elif not np.allclose(values, turned[::-1], equal_nan=True) or not np.allclose(values[:1], single, equal_nan=True):
        yield "failed", "an answer's number depends on the answers beside it, which a batch puts there by chance"
    else:
        yield "ok", "the same every time, and of each answer alone"
    silent, stated = answers.values["label"] < 0, answers.values["label"] >= 0
    if "label" in extension.takes and values[silent].max(initial=-np.inf) > values[stated].min(initial=np.inf):
        yield "look", "an answer without a label can earn more than one with: that teaches to break the form"
    part = "confidence" if "confidence" in extension.takes else "label"
    yield "ok", f"in a recipe: reward: {{own: [{{term: {extension.spec}, weight: 1.0, part: {part}}}]}}"


def check_metric(extension: Extension) -> Iterator[Finding]:
    """One number of answers in any order, the same every time."""
    import math

    import numpy as np

    yield from _parameters(extension, METRIC_ARGUMENTS)
    answers = _made_up(200)

    def of(rows: Any) -> float:
        value = extension.call(**answers.arguments(METRIC_ARGUMENTS, rows))
        return math.nan if value is None else float(value)

    order = np.random.default_rng(1).permutation(200)
    try:
        value, again, turned = of(np.arange(200)), of(np.arange(200)), of(order)
        few = of(np.arange(1))
    except Exception as error:  # whatever somebody else's function raises
        yield "failed", f"it raises on made-up answers: {error!r}; where it is undefined it returns None"
        return
    if math.isinf(value) or math.isinf(few):
        yield "failed", "it returned an infinite number; where it is undefined it returns None"
        return
    yield "ok", f"one number: {value:g} of 200 made-up answers"
    same = np.allclose([again, turned], value, equal_nan=True)
    if same:
        yield "ok", "the same every time and in any order"
    else:
        yield "failed", "it changes from call to call, or with the order of the answers"
    yield "ok", f"in a recipe: evaluation: {{metrics: [{extension.spec}]}}"


def check_dataset(
    extension: Extension, options: dict[str, Any], column: Sequence[str] | None, label: Sequence[str] | None
) -> Iterator[Finding]:
    """Rows that become examples, the same ones every time."""
    from candor.data.sources.load import load_source
    from candor.recipe.data import FunctionSource, TableForm

    form = table_form(column, label) or TableForm()
    config = FunctionSource(
        kind="function", load=extension.spec, options=options, columns=form.columns, labels=form.labels
    )
    try:
        loaded = load_source("checked", config, on_bad_row="skip")
        again = load_source("checked", config, on_bad_row="skip")
    except CandorError as error:
        yield "failed", str(error)
        return
    notes = loaded.notes()
    counts = ", ".join(f"{count} {name}" for name, count in notes["labels"].items())
    yield "ok", f"{notes['examples']} examples: {counts}"
    if loaded.skipped:
        yield "failed", loaded.skipped_in_words()
    if any(not count for count in notes["labels"].values()):
        yield "look", "a label is missing: what is not there cannot be learned"
    same = loaded.files == again.files
    if same:
        yield "ok", "the same rows every time"
    else:
        yield "failed", "other rows when asked again: a run could not be repeated"
    written = f", options: {options}" if options else ""
    yield "ok", f"in a recipe: data: {{sources: {{mine: {{kind: function, load: {extension.spec}{written}}}}}}}"


def check_prompt(path: Path) -> Iterator[Finding]:
    """A text that becomes a prompt; shows it with a claim in it."""
    from candor.prompts.own import template_from_text
    from candor.types import Example, Label

    template = template_from_text(path.stem, path.read_text(encoding="utf-8"))
    example = Example("1", "checked", "The claim.", ("First sentence.", "Second sentence."), Label.NA, "g")
    yield "ok", f"{len(template.instructions)} signs of instructions that all prompts share, SHA-256 {template.sha256}"
    asked = template.instructions + template.ending
    if "LABEL=" not in asked or "CONF=" not in asked:
        yield "look", "it does not ask for LABEL= and CONF=, the form of the answer; say how to answer"
    yield "ok", f"in a recipe: prompt: {{template: {{file: {path}}}}}; with a claim in it:\n{template.render(example)}"


def _parameters(extension: Extension, known: Sequence[str]) -> Iterator[Finding]:
    parameters = inspect.signature(extension.function).parameters
    unknown = [name for name, one in parameters.items() if name not in known and one.default is one.empty]
    if unknown:
        yield "failed", f"takes {', '.join(unknown)}, which nothing gives it; it may take {', '.join(known)}"
    else:
        yield "ok", f"takes {', '.join(parameters)}"


def _options(given: Sequence[str]) -> dict[str, Any]:
    from candor.recipe.yaml_text import load_yaml

    pairs = [one.partition("=") for one in given]
    for key, separator, _ in pairs:
        if not key or not separator:
            raise typer.BadParameter(f"{key!r}: expected KEY=VALUE", param_hint="--option")
    return {key: load_yaml(value) for key, _, value in pairs}
