"""The command ``predict``: what it hands on, what it refuses, and what it tells of a server's answers."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from candor.cli.main import main
from candor.cli.predict import REFUSED_SHOWN, _key, _prices, _tell, _warn_of_open_key
from candor.errors import CandorError
from candor.predictions import local
from candor.predictions.endpoint import file
from candor.predictions.endpoint.client import Asking
from candor.predictions.endpoint.file import Asked
from candor.progress import Reporter
from candor.recipe.data import TableForm
from candor.shards import Shard


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["predict", *arguments])
    return int(ended.value.code or 0)


def asked(**changes: Any) -> Asked:
    values: dict[str, Any] = {
        "rows": 12,
        "resumed": 0,
        "refused": (),
        "written": True,
        "without_probs": 0,
        "contradicted": 0,
        "contradiction": None,
        "without_kwargs": 0,
        "cut": 0,
        "tokens_in": 1200,
        "tokens_out": 120,
        "uncounted": 0,
        "cost": None,
    }
    return Asked(**(values | changes))


def test_a_model_of_ones_own_gets_every_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = []

    def predict_file(data: Path, out: Path, **options: Any) -> int:
        given.append((data, out, {key: value for key, value in options.items() if key != "reporter"}))
        return 7

    monkeypatch.setattr(local, "predict_file", predict_file)
    more = ["--adapter", "a", "--template", "sandbox", "--batch-size", "3", "--max-new-tokens", "9", "--device", "cpu"]
    more += ["--chat", "system=Be brief.", "--chat", "date=2025-01-02", "--shard", "2/3", "--every-label"]
    assert run("c.csv", "-m", "m", "--out", "o.jsonl", *more) == 0
    assert capsys.readouterr().out == "7 predictions in o.jsonl\n"
    chat = {"system": "Be brief.", "date": datetime.date(2025, 1, 2)}
    options: dict[str, Any] = {
        "model": "m",
        "adapter": Path("a"),
        "template": "sandbox",
        "batch_size": 3,
        "max_new_tokens": 9,
        "every_label": True,
    }
    options |= {"device": "cpu", "chat": chat, "form": None, "shard": Shard(2, 3)}
    assert given == [(Path("c.csv"), Path("o.jsonl"), options)]


@pytest.mark.parametrize("endpoint", [False, True])
def test_a_tables_columns_and_labels_are_told(endpoint: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(local, "predict_file", lambda data, out, **options: given.append(options["form"]) or 1)
    monkeypatch.setattr(file, "predict_endpoint", lambda *args, **options: given.append(options["form"]) or asked())
    server = ["--endpoint", "https://h/v1"] if endpoint else []
    maps = ["--column", "claim=text", "--label", "yes=PASS"]
    assert run("c.csv", "-m", "m", "--out", "o.jsonl", *server, *maps) == 0
    assert given == [TableForm.model_validate({"columns": {"claim": "text"}, "labels": {"yes": "PASS"}})]


@pytest.mark.parametrize(("written", "code"), [(True, 0), (False, 1)])
def test_a_server_is_asked_as_told_and_open_claims_are_a_failure(
    written: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def predict_endpoint(data: Path, out: Path, asking: Asking, **options: Any) -> Asked:
        given.append((asking, options))
        return asked(written=written)

    monkeypatch.setattr(file, "predict_endpoint", predict_endpoint)
    monkeypatch.setenv("MY_KEY", " sk-1 ")
    more = ["--endpoint", "https://h/v1", "--api-key-env", "MY_KEY", "--concurrency", "2", "--retries", "1"]
    more += ["--requests-per-minute", "30", "--timeout", "5", "--refused-as-wrong", "--price-in", "2"]
    assert run("c.csv", "-m", "m", "--out", "o.jsonl", *more) == code
    ((asking, options),) = given
    assert asking == Asking("https://h/v1", "m", "sk-1", 32, 5.0, 1, 2, 30.0)
    assert options["refused_as_wrong"] is True
    assert (options["prices"].prefill, options["prices"].sample) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--endpoint", "http://h", "--adapter", "a"], "--adapter: no effect: the model is behind a server"),
        (["--endpoint", "http://h", "--every-label"], "--every-label: no effect: the model is behind a server"),
        (["--retries", "6", "--price-in", "1"], "--retries, --price-in: no effect: there is no --endpoint"),
        (["--from-rollouts", "r", "--batch-size", "9"], "--batch-size: no effect: nobody is asked for answers"),
        (["--from-rollouts", "r", "--endpoint", "http://h"], "--endpoint: no effect: nobody is asked for answers"),
    ],
)
def test_an_option_without_effect_is_refused(given: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("c.csv", "-m", "m", "--out", "o", *given) == 2
    assert words in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "is not set, or empty"), (" ", "is not set"), ("sk-é", "no key has"), ("a\nb", "no key")],
)
def test_a_key_that_is_none_is_not_sent(value: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(CandorError, match=words) as caught:
        _key("MY_KEY")
    assert "MY_KEY" in str(caught.value)
    assert _key(None) is None


@pytest.mark.parametrize(
    ("url", "key", "warned"),
    [
        ("http://far.example/v1", "k", True),
        ("https://far.example/v1", "k", False),
        ("http://far.example/v1", None, False),
        ("http://127.0.0.1:8000", "k", False),
        ("http://[::1]:8000", "k", False),
    ],
)
def test_a_key_that_goes_over_the_network_open_is_warned_of(url: str, key: str | None, warned: bool) -> None:
    console = Console(record=True, width=120)
    _warn_of_open_key(Asking(url, "m", key, 1, 1.0, 0, 1, None), Reporter(console))
    assert ("goes over the network unencrypted" in console.export_text()) is warned


def test_a_price_of_one_side_is_enough() -> None:
    assert _prices(None, None) is None
    prices = _prices(None, 3.0)
    assert prices is not None
    assert (prices.prefill, prices.sample) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (asked(), ["12 predictions in o.jsonl", "tokens: 1,200 in, 120 out"]),
        (asked(cost=0.00361), ["tokens: 1,200 in, 120 out; cost 0.0036 at the prices given"]),
        (asked(uncounted=2), ["tokens: 1,200 in, 120 out (2 answers came without a count)"]),
        (asked(without_probs=3), ["3 of 12 answers have no label probabilities"]),
        (asked(cut=4), ["4 answers were cut at 32 tokens; --max-new-tokens allows more"]),
        (asked(refused=(("a", "why"),)), ["1 claims were refused (a), counted as wrong"]),
        (
            asked(refused=tuple((f"c{n}", "why") for n in range(REFUSED_SHOWN + 1)), written=False),
            ["6 claims were refused (c0, c1, c2, c3, c4, ...), so o.jsonl is not written; the same command asks"],
        ),
    ],
)
def test_what_came_of_it_is_told(made: Asked, told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _tell(made, Path("o.jsonl"), 32)
    output = capsys.readouterr()
    for words in told:
        assert words in output.out + output.err
    assert ("predictions in" in output.out) is made.written
    assert ("refused" in output.err) is bool(made.refused)
