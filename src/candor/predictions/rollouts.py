"""Predictions from the answers that another trainer wrote down: verl's, SkyRL's and verifiers' files of answers.

verl (0.9) writes ``STEP.jsonl`` under ``trainer.validation_data_dir`` with ``input`` and ``output`` in each row, SkyRL
(0.3) ``dumped_evals/.../DATASET.jsonl`` with ``input_prompt`` and ``output_response``. Neither keeps the id of a claim,
so a row is of the claim whose prompt stands in it. verifiers (0.4) writes ``traces.jsonl``, an episode in each row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from candor.errors import DataError
from candor.files import parse_json
from candor.predictions.file import Header, read_prediction, write_predictions
from candor.predictions.kept import claims_of
from candor.prompts import templates
from candor.prompts.control import disarm_unseen
from candor.recipe.data import TableForm
from candor.types import Example

_KEYS: Final = (("input", "output"), ("input_prompt", "output_response"))
_END: Final = re.compile(r"(?:\s*(?:<\|[^|<>]{1,40}\|>|</s>|<eos>|<end_of_turn>))+\s*$")
"""Tokens that end a turn, which SkyRL leaves in the text; no answer in the asked form ends with one."""
_SHOWN: Final = 3
_MOST_SCANS: Final = 100
"""Texts that are searched for every prompt once it is known what stands around one; more are of other claims."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file: predictions, and rows that belong to none of the claims."""

    rows: int
    others: int


def predictions_from_rollouts(
    data: Path,
    rollouts: Path,
    out: Path,
    *,
    model: str,
    template: str,
    form: TableForm | None = None,
) -> Taken:
    """Write predictions from a trainer's answers to the claims of a file.

    Label probabilities are not in such files; figures of p(label) are left out of comparisons.

    Args:
        data: the claims.
        rollouts: one answer to each, at temperature 0; rows of other claims may stand between.
        out: the file to write.
        model: who answered, for the header.
        template: name of the prompt template that the claims were asked with.
        form: how a table of claims is read.

    Raises:
        DataError: a file cannot be read, ``out`` is there already, a row is none of a trainer's, or a claim has no
            answer or several.
        PromptError: there is no such template.
    """
    if out.exists():
        raise DataError("is there already; remove it or name another with --out", file=out)
    asked = templates.get(template)
    with claims_of(data, form, None) as claims:
        examples, dataset = list(claims.examples), claims.dataset or data.stem
    answers, others = _by_claim(examples, asked, _rows(rollouts), rollouts)
    header = Header(
        model=model,
        template=asked.name,
        template_sha256=asked.sha256,
        dataset=dataset,
        split="test",
        seed=0,
    )
    predictions = [
        read_prediction(example, answer.text, asked, stopped=answer.stopped, label_probs=None)
        for example, answer in zip(examples, answers, strict=True)
    ]
    write_predictions(out, header, predictions)
    return Taken(len(predictions), others)


@dataclass(frozen=True, slots=True)
class _Answer:
    prompt: str
    text: str
    stopped: bool


def _rows(path: Path) -> list[_Answer]:
    found = []
    if not path.is_file():
        raise DataError("no such file", file=path)
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise DataError(f"not JSON ({error})", file=path, line=number) from error
        if not isinstance(row, Mapping):
            raise DataError(f"a row must be an object, not {row!r:.40}", file=path, line=number)
        found.append(_traced(row, path, number) if "traces" in row else _told(row, path, number))
    if not found:
        raise DataError("no answers in it", file=path)
    return found


def _told(row: Mapping[str, Any], path: Path, number: int) -> _Answer:
    """A row of verl's or SkyRL's."""
    for keys in _KEYS:
        prompt, text = (row.get(key) for key in keys)
        if isinstance(prompt, str) and isinstance(text, str):
            # A reason other than the model's own end is a cut; verl tells none.
            return _Answer(_plain(prompt), _END.sub("", text), row.get("stop_reason") in (None, "stop"))
    wanted = ", ".join(" and ".join(map(repr, keys)) for keys in _KEYS)
    raise DataError(f"neither verl's, SkyRL's nor verifiers': a row has {wanted} or 'traces'", file=path, line=number)


def _traced(row: Mapping[str, Any], path: Path, number: int) -> _Answer:
    """An episode of verifiers': one claim, one answer of one model."""
    try:
        (trace,) = row["traces"]
        prompt = trace["task"]["data"]["prompt"]
        # A message without text has no such key: of a model that was cut in its thought, for one.
        said = [node["message"].get("content") or "" for node in trace["nodes"] if node["sampled"]]
        reasons = [call.get("finish_reason") for call in trace["calls"] if call.get("error") is None]
        ok = trace["ok"] and len(said) == 1 and isinstance(said[0], str) and isinstance(prompt, str)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"no episode as verifiers 0.4 writes it: {error!r}", file=path, line=number) from error
    if not ok:
        why = "; ".join(
            str(each.get("message", each)) for each in trace.get("errors") or [] if isinstance(each, Mapping)
        )
        raise DataError(
            f"no answer of one turn in this episode{f' ({why:.200})' if why else ''}; have it made again, "
            "e.g. with vf-eval's --resume",
            file=path,
            line=number,
        )
    return _Answer(_plain(prompt), said[0], reasons[-1:] != ["length"])


def _by_claim(
    examples: Sequence[Example], template: templates.Template, rows: Sequence[_Answer], path: Path
) -> tuple[list[_Answer], int]:
    """The answer of each example, and how many rows were of none."""
    of_prompt: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        of_prompt[_plain(template.render(disarm_unseen(example)))].append(index)
    # Behind a prompt no further sentence of evidence may follow: then it is the beginning of a longer one.
    goes_on = {
        prompt: _plain(template.item.format(number=len(examples[indices[0]].evidence) + 1, sentence=""))
        for prompt, indices in of_prompt.items()
    }
    given: dict[str, list[_Answer]] = defaultdict(list)
    around: set[tuple[str, str]] = set()
    scans = others = 0
    for row in rows:
        prompt = _within(row.prompt, of_prompt, around)
        if prompt is None and scans < _MOST_SCANS:
            scans += bool(around)
            prompt = _search(row.prompt, goes_on, around)
        if prompt is None:
            others += 1
        else:
            given[prompt].append(row)
    answers: dict[int, _Answer] = {}
    for prompt, indices in of_prompt.items():
        if len(given[prompt]) > len(indices):
            raise DataError(
                f"{len(given[prompt])} answers to {examples[indices[0]].id!r}; one is wanted: have one sampled for "
                "each claim, at temperature 0",
                file=path,
            )
        answers.update(zip(indices, given[prompt], strict=False))
    if missing := [example.id for index, example in enumerate(examples) if index not in answers]:
        more = ", ..." if len(missing) > _SHOWN else ""
        raise DataError(
            f"no answer to {len(missing)} of {len(examples)} claims ({', '.join(missing[:_SHOWN])}{more}); were they "
            f"asked with the template {template.name!r}?",
            file=path,
        )
    return [answers[index] for index in range(len(examples))], others


def _within(text: str, prompts: Mapping[str, Any], around: set[tuple[str, str]]) -> str | None:
    """The prompt in a text that has in front and behind what a text before had."""
    for front, behind in around:
        if text.startswith(front) and text.endswith(behind):
            found = text[len(front) : len(text) - len(behind)]
            if found in prompts:
                return found
    return None


def _search(text: str, goes_on: Mapping[str, str], around: set[tuple[str, str]]) -> str | None:
    """The longest prompt in a text; what a chat template puts around it is remembered."""
    for prompt in sorted((prompt for prompt in goes_on if prompt in text), key=len, reverse=True):
        front, _, behind = text.partition(prompt)
        if not goes_on[prompt] or not behind.startswith(goes_on[prompt]):
            around.add((front, behind))
            return prompt
    return None


def _plain(text: str) -> str:
    """A text without white space: tokenizers do not all give it back, and what spells a control token is broken up."""
    return "".join(text.split())
