"""Answers that verl, SkyRL and verifiers wrote down, as predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy import EXAMPLES
from typer.testing import CliRunner

from candor.cli.main import app
from candor.errors import DataError
from candor.predictions.file import read_predictions
from candor.predictions.rollouts import predictions_from_rollouts
from candor.prompts import templates
from candor.types import Validity

TEMPLATE = templates.get("verdict")
ANSWERS = [f"LABEL={label}\nCONF=0.{index}0" for index, label in enumerate(["PASS", "FAIL", "NA", "NA"])]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    return write(
        tmp_path / "claims.jsonl",
        [
            {"id": e.id, "dataset": "toy", "group": e.group, "claim": e.claim, "evidence": e.evidence, "label": e.label}
            for e in EXAMPLES[:4]
        ],
    )


def verl_rows() -> list[dict[str, Any]]:
    """As verl 0.9.1 writes them: special tokens left out of prompt and answer."""
    prompts = [f"user\n{TEMPLATE.render(example)}\nassistant\n" for example in EXAMPLES[:4]]
    return [
        {"input": prompt, "output": answer, "gts": "NA", "score": 0.1, "step": 160, "acc": 1.0}
        for prompt, answer in zip(prompts, ANSWERS, strict=True)
    ]


def skyrl_rows() -> list[dict[str, Any]]:
    """As SkyRL 0.3.0 writes them: special tokens left in."""
    return [
        {
            "input_prompt": f"<|im_start|>user\n{TEMPLATE.render(example)}<|im_end|>\n<|im_start|>assistant\n",
            "output_response": f"{answer}<|im_end|>",
            "score": [0.0, 1.0],
            "stop_reason": "stop" if index else "length",
            "env_class": "candor-verdict",
            "data_source": "toy",
        }
        for index, (example, answer) in enumerate(zip(EXAMPLES[:4], ANSWERS, strict=True))
    ]


def verifiers_rows() -> list[dict[str, Any]]:
    """As verifiers 0.4.0's vf-eval writes them to traces.jsonl, without what is not looked at."""

    def episode(index: int) -> dict[str, Any]:
        prompt = TEMPLATE.render(EXAMPLES[index])
        asked = {"role": "user", "content": prompt}
        said = {"role": "assistant", "content": ANSWERS[index]}
        trace = {
            "task": {"type": "VerdictTask", "data": {"idx": index, "id": EXAMPLES[index].id, "prompt": prompt}},
            "nodes": [{"message": asked, "sampled": False}, {"parent": 0, "message": said, "sampled": True}],
            "calls": [
                {"model": "m", "error": {"type": "ProviderError", "message": "503"}},
                {"node": 1, "model": "m", "finish_reason": "stop" if index else "length"},
            ],
            "rewards": {"accuracy": {"score": 0.0, "weight": 1.0}},
            "ok": True,
            "stop_condition": "agent_completed",
            "errors": [],
        }
        return {"id": f"{index}", "env": {"id": "verdicts"}, "ok": True, "errors": [], "traces": [trace]}

    return [episode(index) for index in range(4)]


def of_another_prompt(row: dict[str, Any]) -> dict[str, Any]:
    """The row with a prompt that is to no claim."""
    if "traces" not in row:
        return {**row, next(iter(row)): "a prompt of something else"}
    other = json.loads(json.dumps(row))
    other["traces"][0]["task"]["data"]["prompt"] = "a prompt of something else"
    return other  # type: ignore[no-any-return]


@pytest.mark.parametrize("rows", [verl_rows(), skyrl_rows(), verifiers_rows()])
def test_each_answer_goes_to_the_claim_whose_prompt_it_is_to(
    claims: Path, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    file = write(tmp_path / "160.jsonl", [rows[2], of_another_prompt(rows[0]), rows[0], rows[3], rows[1]])
    out = tmp_path / "out.jsonl"
    taken = predictions_from_rollouts(claims, file, out, model="theirs", template="verdict")
    assert (taken.rows, taken.others) == (4, 1)
    found = read_predictions(out)
    assert (found.header.model, found.header.template, found.header.dataset) == ("theirs", "verdict", "toy")
    assert [row.id for row in found.predictions] == [example.id for example in EXAMPLES[:4]]
    assert [row.raw for row in found.predictions] == ANSWERS
    assert [row.confidence for row in found.predictions] == [0.0, 0.1, 0.2, 0.3]
    cut = "output" not in rows[0]  # verl does not tell
    assert [row.validity for row in found.predictions] == [Validity.READABLE if cut else Validity.CLEAN] + [
        Validity.CLEAN
    ] * 3
    assert all(row.label_probs is None for row in found.predictions)


def test_what_does_not_fit_is_refused_by_name_and_nothing_is_written(claims: Path, tmp_path: Path) -> None:
    rows, out = verl_rows(), tmp_path / "out.jsonl"

    def take(*wrong: dict[str, Any], template: str = "verdict") -> None:
        predictions_from_rollouts(
            claims, write(tmp_path / "160.jsonl", list(wrong)), out, model="theirs", template=template
        )

    with pytest.raises(DataError, match=f"no answer to 1 of 4 claims \\({EXAMPLES[1].id}\\)"):
        take(rows[0], rows[2], rows[3])
    with pytest.raises(DataError, match=r"no answer to 4 of 4 claims .*asked with the template 'verdict-short'"):
        take(*rows, template="verdict-short")
    with pytest.raises(DataError, match=f"2 answers to '{EXAMPLES[0].id}'; one is wanted"):
        take(*rows, rows[0])
    with pytest.raises(DataError, match=r"160\.jsonl:2: neither verl's, SkyRL's nor verifiers'"):
        take(rows[0], {"prompt": "x", "response": "y"})
    with pytest.raises(DataError, match=r"160\.jsonl:1: a row must be an object, not 3"):
        take(3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no answers in it"):
        take()
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        take(*rows)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ok": False, "errors": [{"type": "ProviderError", "message": "no such model"}]}, r"\(no such model\)"),
        ({"nodes": []}, "no answer of one turn in this episode; have it made again"),
        ({"task": {"data": {"prompt": None}}}, "no answer of one turn"),
        ({"nodes": 3}, "no episode as verifiers 0.4 writes it"),
        ({"calls": None}, "no episode as verifiers 0.4 writes it"),
    ],
)
def test_an_episode_without_its_one_answer_is_refused(
    claims: Path, tmp_path: Path, wrong: dict[str, Any], told: str
) -> None:
    rows = verifiers_rows()
    rows[1]["traces"][0] |= wrong
    file = write(tmp_path / "traces.jsonl", rows)
    with pytest.raises(DataError, match=rf"traces\.jsonl:2: .*{told}"):
        predictions_from_rollouts(claims, file, tmp_path / "o", model="m", template="verdict")
    rows[1]["traces"] = []
    write(file, rows)
    with pytest.raises(DataError, match=r"traces\.jsonl:2: no episode"):
        predictions_from_rollouts(claims, file, tmp_path / "o", model="m", template="verdict")


def test_an_answer_without_text_is_one(claims: Path, tmp_path: Path) -> None:
    """A thinking model that was cut in its thought says nothing; verifiers then leaves the text out."""
    rows = verifiers_rows()
    del rows[2]["traces"][0]["nodes"][1]["message"]["content"]
    predictions_from_rollouts(claims, write(tmp_path / "t.jsonl", rows), tmp_path / "o", model="m", template="verdict")
    assert [row.raw for row in read_predictions(tmp_path / "o").predictions] == [*ANSWERS[:2], "", ANSWERS[3]]


def test_claims_that_are_asked_alike_each_have_an_answer(tmp_path: Path) -> None:
    twice = [
        {"id": name, "dataset": "toy", "group": name, "claim": "x = 1", "evidence": ["x is 1"], "label": "PASS"}
        for name in ("a", "b")
    ]
    claims = write(tmp_path / "claims.jsonl", twice)
    prompt = TEMPLATE.render(replace(EXAMPLES[0], claim="x = 1", evidence=("x is 1",)))
    file = write(tmp_path / "1.jsonl", [{"input": prompt, "output": answer} for answer in ANSWERS[:2]])
    predictions_from_rollouts(claims, file, tmp_path / "out.jsonl", model="theirs", template="verdict")
    assert [row.raw for row in read_predictions(tmp_path / "out.jsonl").predictions] == ANSWERS[:2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_prompt_that_begins_a_longer_one_is_told_from_it(tmp_path: Path, order: tuple[int, int]) -> None:
    """One claim with one sentence of evidence, and with a second behind it; the end of a prompt is no mark."""
    both = [replace(EXAMPLES[0], id=str(n), group="g", evidence=("Owls fly.", "Owls hunt.")[: n + 1]) for n in (0, 1)]
    rows = [{"input": f"user\n{TEMPLATE.render(both[n])}\nassistant", "output": ANSWERS[n]} for n in order]
    file = write(tmp_path / "1.jsonl", rows)
    fields = ("id", "dataset", "group", "claim", "evidence")
    claims = [{name: getattr(e, name) for name in fields} | {"label": "NA"} for e in both]
    predictions_from_rollouts(write(tmp_path / "2.jsonl", claims), file, tmp_path / "o", model="m", template="verdict")
    assert [row.raw for row in read_predictions(tmp_path / "o").predictions] == ANSWERS[:2]
    one, none = write(tmp_path / "3.jsonl", claims[:1]), tmp_path / "none"
    long = write(tmp_path / "4.jsonl", [row for row, n in zip(rows, order, strict=True) if n == 1])
    with pytest.raises(DataError, match="no answer to 1 of 1 claims"):
        predictions_from_rollouts(one, long, none, model="m", template="verdict")
    taken = predictions_from_rollouts(one, file, tmp_path / "p", model="m", template="verdict")
    assert (taken.rows, taken.others) == (1, 1)


def test_what_spells_control_tokens_is_found_however_it_was_broken_up(tmp_path: Path) -> None:
    row = {"id": "a", "dataset": "d", "group": "g", "claim": "x <i>y</i> [NASA] said", "evidence": [], "label": "NA"}
    claims = write(tmp_path / "claims.jsonl", [row])
    prompt = TEMPLATE.render(replace(EXAMPLES[0], claim=str(row["claim"]), evidence=()))
    file = tmp_path / "1.jsonl"
    file.write_text(json.dumps({"input": prompt, "output": ANSWERS[0]}) + "\n\n")  # with a blank line at its end
    taken = predictions_from_rollouts(claims, file, tmp_path / "o", model="m", template="verdict")
    assert taken.rows == 1


def test_on_the_command_line(claims: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "160.jsonl", verl_rows())
    shared = ["predict", str(claims), "-m", "theirs", "--from-rollouts", str(file), "--out", str(tmp_path / "o.jsonl")]
    wrong = CliRunner().invoke(app, [*shared, "--shard", "1/2"])
    assert wrong.exit_code == 2
    result = CliRunner().invoke(app, shared)
    assert result.exit_code == 0, result.output
    assert "4 predictions in" in result.stdout
    compared = CliRunner().invoke(app, ["compare", str(tmp_path / "o.jsonl"), str(tmp_path / "o.jsonl")])
    assert compared.exit_code == 0, compared.output
