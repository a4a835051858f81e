from __future__ import annotations

from pathlib import Path

import pytest
from own_module import write_module
from typer.testing import CliRunner, Result

from candor.cli.main import app

SOURCE = """
import numpy as np


def good(label, gold):
    return np.where(label == gold, 1.0, -1.0)


def pays_for_silence(label):
    return np.where(label < 0, 1.0, 0.0)


def one_number(label, probs):
    return 1.0


def not_finite(confidence):
    return np.log(confidence - 0.5)


def neighbours(label, clean):
    return label - label.mean()


def by_chance(label, clean):
    return np.random.rand(len(label))


def asks_too_much(label, claim):
    return label * 0.0


def writes(label, clean):
    label[0] = 2
    return label * 1.0


def share(label):
    return (label == 2).mean()


def first(label):
    return label[0]


def rows(count):
    return [{"claim": f"C{n}", "evidence": "E", "label": ("PASS", "FAIL", "NA")[n % 3]} for n in range(count)]


def bad_rows():
    return [{"claim": "C", "evidence": "E", "label": "PASS"}, {"claim": "", "evidence": "E", "label": "PASS"}]
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return write_module(SOURCE, "checked", tmp_path, monkeypatch)


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments])


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("good", "reward: {own: [{term: MODULE:good, weight: 1.0, part: label}]}"),
        ("share", "evaluation: {metrics: [MODULE:share]}"),
        ("rows --option count=6", "6 examples: 2 PASS, 2 FAIL, 2 NA"),
    ],
)
def test_what_is_right_says_how_a_recipe_names_it(module: str, what: str, words: str) -> None:
    result = check(*f"{module}:{what}".split())
    assert result.exit_code == 0, result.stdout
    assert words.replace("MODULE", module) in result.stdout
    assert "failed" not in result.stdout
    assert "SHA-256" in result.stdout


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("one_number", "200 answers need an array of 200 numbers"),
        ("not_finite --as reward", "numbers are not finite"),
        ("neighbours", "depends on the answers beside it"),
        ("by_chance", "other numbers when asked again"),
        ("asks_too_much", "takes claim, which nothing gives it"),
        ("writes", "it raises on made-up answers"),
        ("first --as metric", "changes from call to call, or with the order"),
        ("bad_rows", "1 bad row is left out"),
    ],
)
def test_what_is_wrong_fails_and_says_what(module: str, what: str, words: str) -> None:
    result = check(*f"{module}:{what}".split())
    assert result.exit_code == 1, result.stdout
    assert f"failed: {words}" in result.stdout or words in result.stdout


def test_a_reward_that_pays_for_silence_is_pointed_out(module: str) -> None:
    result = check(f"{module}:pays_for_silence", "--as", "reward")
    assert result.exit_code == 0
    assert "look:   an answer without a label can earn more" in result.stdout


def test_a_prompt_is_shown_with_a_claim_in_it(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("Say.\nClaim: {claim}\nEvidence: {evidence}\n")
    result = check(str(path))
    assert "Claim: The claim." in result.stdout
    assert "look:   it does not ask for LABEL= and CONF=" in result.stdout


def test_what_is_not_there_is_an_error(module: str) -> None:
    assert check(f"{module}:nothing").exit_code != 0
    assert check(f"{module}:good", "--as", "nonsense").exit_code == 2
