"""``candor power`` from the command line."""

from __future__ import annotations

import json

import pytest

from candor.cli.main import main
from candor.metrics.power import plan


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["power", *arguments])
    return int(ended.value.code or 0)


def test_a_plan_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("0.1", "--discordant", "0.3") == 0
    expected = plan(0.1, discordant=0.3)
    assert capsys.readouterr().out.splitlines() == [
        "To see a rise of 10 points in 80 of 100 repetitions, if the models differ on 30 % of the examples:",
        f"  NA examples   at least {expected.examples}",
        f"  resamples     at least {expected.resamples}",
    ]


def test_seeds_that_are_too_few_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("0.15", "--margin", "0.1", "--seeds", "3", "--seed-spread", "0.1") == 0
    out = capsys.readouterr().out
    assert "as one of more than 10 points" in out
    assert "With 3 seeds that differ by 10 points: no number of examples is enough; more seeds are needed." in out


def test_a_plan_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("0.2", "--seeds", "5", "--seed-spread", "0.02", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["discordant"] == pytest.approx(0.4)
    assert found["examples_with_seeds"] > found["examples"] > 50


def test_what_is_out_of_range_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("0.1", "--margin", "0.2") == 1
    assert capsys.readouterr().err == "error: margin is 0.2; needs at least 0 and below the effect\n"
