"""Commands that use a trained model: what they ask for, hand on and say in words."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import candor.verifier as verifier_package
from candor.cli.main import main
from candor.cli.verify import _in_words
from candor.metrics.threshold import Choice
from candor.types import Label
from candor.verifier import Verdict, export, hub
from candor.verifier.abstention import Abstention

RULE = Abstention(0.1, 0.9, ("wiki", "climate"), Choice(0.8, 100, 60, 2, 0.09, None))
VERDICT = Verdict(Label.FAIL, 0.85, (0.1, 0.75, 0.15), 0.99, None, 0)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was loaded, in place of a model that always gives the same verdict."""
    calls: list[Any] = []

    class Fake:
        abstention: Abstention | None = Abstention(0.1, 0.9, ("wiki",), Choice(None, 5, 0, 0, None, "too few"))

        @classmethod
        def load(cls, source: str, **options: Any) -> Fake:
            calls.append((source, options))
            return cls()

        def verify(self, claim: str, evidence: list[str]) -> Verdict:
            calls.append((claim, evidence))
            return VERDICT

    monkeypatch.setattr(verifier_package, "Verifier", Fake)
    return calls


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--claim", "c"], "missing: a run folder, an exported folder, or a model"),
        (["--run", "r"], "give one claim, or a file of claims, and not both"),
        (["f.jsonl", "--claim", "c", "--run", "r"], "give one claim, or a file of claims, and not both"),
        (["f.jsonl", "--run", "r"], "missing: where to write the verdicts of a file"),
    ],
)
def test_what_is_missing_is_asked_for_before_anything_is_loaded(
    arguments: list[str], words: str, loaded: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("verify", *arguments) == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert loaded == []


def test_one_claim_as_json(loaded: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--run", "r", "--claim", "c", "-e", "one", "-e", "two", "--risk", "0.2", "--json"]
    assert run("verify", *arguments) == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == VERDICT.as_json()
    (source, options), asked = loaded
    assert (source, options["risk"], options["template"]) == ("r", 0.2, None)
    assert asked == ("c", ["one", "two"])
    # The model's rule accepts nothing, and that is said.
    assert "no answer will be accepted at a risk of 0.1: too few" in " ".join(output.err.split())


def words_of(verdict: Verdict, rule: Abstention | None) -> list[str]:
    verifier: Any = SimpleNamespace(abstention=rule)
    return _in_words(verdict, verifier).splitlines()


def test_a_verdict_in_words() -> None:
    first, *bars = words_of(VERDICT, None)
    assert first == "FAIL  the evidence refutes the claim; stated confidence 0.85"
    assert [bar.split()[0] for bar in bars] == ["PASS", "FAIL", "NA"]
    assert [bar.split()[-1] for bar in bars] == ["0.100", "0.750", "0.150"]
    assert [bar.count("█") for bar in bars] == [2, 18, 4]


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        (Label.PASS, "the evidence supports the claim"),
        (Label.FAIL, "the evidence refutes the claim"),
        (Label.NA, "the evidence does not say"),
    ],
)
def test_each_label_means_something(label: Label, meaning: str) -> None:
    assert meaning in words_of(Verdict(label, 0.5, (0.2, 0.3, 0.5), 1.0, None, 0), None)[0]


@pytest.mark.parametrize(
    ("accepted", "dropped", "last"),
    [
        (True, 0, "accepted at a risk of at most 0.1 (on claims like those of wiki, climate)"),
        (False, 0, "I don't know: below what may be accepted at a risk of 0.1"),
        (True, 2, "the last 2 evidence sentences were cut: the prompt was too long"),
    ],
)
def test_whether_to_take_it_and_what_was_cut(accepted: bool, dropped: int, last: str) -> None:
    verdict = Verdict(Label.NA, 0.5, (0.2, 0.3, 0.5), 1.0, accepted, dropped)
    assert words_of(verdict, RULE)[-1] == last


@pytest.mark.parametrize(("flag", "kind"), [([], "adapter"), (["--merged"], "merged model")])
def test_export_says_what_it_wrote(
    flag: list[str], kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(export, "export_run", lambda run, out, **options: calls.append((run, out, options["merged"])))
    assert run("export", "r", "--out", "o", *flag) == 0
    assert calls == [(Path("r"), Path("o"), bool(flag))]
    assert capsys.readouterr().out == f"{kind} and model card in o\n"


@pytest.mark.parametrize(("flag", "private"), [([], True), (["--public"], False)])
def test_what_is_pushed_is_private_unless_told(
    flag: list[str], private: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def push(folder: Path, repo: str, **options: Any) -> str:
        calls.append((folder, repo, options))
        return "https://hub/me/mine"

    monkeypatch.setattr(hub, "push_folder", push)
    assert run("push", "f", "me/mine", *flag) == 0
    assert calls == [(Path("f"), "me/mine", {"private": private, "endpoint": None})]
    assert capsys.readouterr().out == "https://hub/me/mine\n"
