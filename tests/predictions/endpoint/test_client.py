"""Predictions from a chat server: whatever it does, every claim is answered once, and the key stays a secret."""

from __future__ import annotations

import email.utils
import json
import math
import time
from pathlib import Path

import chat_server
import pytest
from chat_server import NONSENSE, ChatServer, serve_chat
from filelock import FileLock
from pytest_httpserver import HTTPServer

from candor.cli.main import main
from candor.predictions.endpoint import client
from candor.predictions.endpoint.label_probs import listed_label_probs
from candor.predictions.file import read_predictions
from candor.types import Label, Validity

KEY = "sk-very-secret-1234"
CLAIMS = 12


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> ChatServer:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(client, "FIRST_WAIT", 0.01)
    return serve_chat(httpserver)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    path = tmp_path / "claims.jsonl"
    rows = [
        {"id": f"c{i}", "dataset": "d", "group": f"g{i}", "claim": f"claim {i}", "evidence": ["e"], "label": label}
        for i, label in enumerate(("PASS", "FAIL", "NA") * (CLAIMS // 3))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ask(server: ChatServer, claims: Path, *more: str, url: str = "", debug: bool = False) -> int:
    arguments = ["predict", str(claims), "--endpoint", url or server.url, "-m", "some-model", *more]
    arguments += ["--out", str(claims.parent / "out.jsonl")]
    with pytest.raises(SystemExit) as ended:
        main([*(["--debug"] if debug else []), *arguments])
    return int(ended.value.code or 0)


def every_claim_once(server: ChatServer) -> bool:
    return server.asked == {f"claim {i}": 1 for i in range(CLAIMS)}


def test_answers_and_their_probabilities(server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(server, claims, "--price-in", "2", "--price-out", "10") == 0
    told = capfd.readouterr().out
    assert "tokens: 1,200 in, 120 out; cost 0.0036 at the prices given" in told
    assert "no label probabilities" not in told
    file = read_predictions(claims.parent / "out.jsonl")
    assert [row.id for row in file.predictions] == [f"c{i}" for i in range(CLAIMS)]
    assert file.header.model == f"some-model at {server.url}"
    row = file.predictions[0]
    assert (row.label, row.confidence, row.validity, row.gold) == (Label.NA, 0.4, Validity.CLEAN, Label.PASS)
    weights = [math.exp(-1.5), math.exp(-2.5), math.exp(-0.5)]
    assert row.label_probs == pytest.approx([w / sum(weights) for w in weights])
    assert every_claim_once(server)
    assert not (claims.parent / "out.jsonl.part").exists()
    assert server.keys == {None}
    assert server.most_at_once <= 8
    assert server.bodies[0]["temperature"] == 0


def test_the_file_is_a_side_of_a_comparison(server: ChatServer, claims: Path) -> None:
    assert ask(server, claims, "-q") == 0
    out = str(claims.parent / "out.jsonl")
    with pytest.raises(SystemExit) as ended:
        main(["compare", out, out, "--resamples", "2000"])
    assert not ended.value.code


@pytest.mark.parametrize("fault", [429, 500, 503, 408, "drop", "hang"])
def test_what_passes_is_tried_again(server: ChatServer, claims: Path, fault: int | str) -> None:
    server.faults = [(fault, {})] * 3
    assert ask(server, claims, "--timeout", "0.4", "-q") == 0
    assert len(server.bodies) == CLAIMS + 3
    assert every_claim_once(server)


@pytest.mark.parametrize("fault", NONSENSE)
def test_what_is_no_answer_is_never_taken_for_one(server: ChatServer, claims: Path, fault: str) -> None:
    server.faults = [(fault, {})] * 2
    assert ask(server, claims, "-q") == 0
    assert len(server.bodies) == CLAIMS + 2
    assert every_claim_once(server)
    assert {row.label for row in read_predictions(claims.parent / "out.jsonl").predictions} == {Label.NA}


@pytest.mark.parametrize("fault", [fault for fault in NONSENSE if fault != "too long"])
def test_a_claim_that_is_never_answered_is_refused_in_one_line(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    server.faults = [(None, {})] * 3 + [(fault, {})] * 3  # type: ignore[list-item]
    assert ask(server, claims, "--concurrency", "1", "--retries", "2") == 1
    told = capfd.readouterr().err
    # What a server compressed wrongly did not arrive, so it says nothing of the claim.
    words = "did not answer in 3 attempts" if fault == "no gzip" else "c3: refused: no answer in 3 attempts"
    assert told.count(words) == 1
    assert "Traceback" not in told
    assert not (claims.parent / "out.jsonl").exists()


def test_nothing_that_a_server_says_moves_the_cursor(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\u202eno [/b] [red]"
    server.replies = {
        "claim 6\n": (400, {"error": {"message": evil}}),
        "claim 7\n": (200, {"choices": [{"message": {"content": "", "refusal": evil}}]}),
        "claim 8\n": (403, {"error": evil}),
    }
    assert ask(server, claims) == 1
    told = "".join(capfd.readouterr())
    assert "\\x1b[2J" in told
    assert "[/b] [red]" in told
    assert not {sign for sign in told if ord(sign) < 32 and sign != "\n"} | {"\x9b", "\u202e"} & set(told)
    server.replies = {"": (401, {"error": evil})}
    assert ask(server, claims) == 1
    assert "\x1b" not in capfd.readouterr().err


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured_by_all(server: ChatServer, claims: Path, as_date: bool) -> None:
    wait = email.utils.formatdate(time.time() + 3, usegmt=True) if as_date else "0.6"
    server.faults = [(429, {"Retry-After": wait})]
    assert ask(server, claims, "--concurrency", "1", "-q") == 0
    assert server.times[1] - server.times[0] > 0.55
    assert every_claim_once(server)


@pytest.mark.parametrize("wait", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_retry_after_of_nothing_does_not_end_the_growing_wait(
    server: ChatServer, claims: Path, monkeypatch: pytest.MonkeyPatch, wait: str
) -> None:
    monkeypatch.setattr(client, "FIRST_WAIT", 0.3)
    server.faults = [(429, {"Retry-After": wait})]
    assert ask(server, claims, "--concurrency", "1", "-q") == 0
    assert server.times[1] - server.times[0] > 0.14


def test_a_server_that_asks_for_too_much_patience_has_run_out_of_quota(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.faults = [(429, {"Retry-After": "3600"})] * 50
    assert ask(server, claims, "--concurrency", "1", "-q") == 1
    assert "asks to come back in 3600 seconds" in capfd.readouterr().err
    assert len(server.bodies) == 1
    # Without another attempt there is nothing to wait for.
    assert ask(server, claims, "--concurrency", "1", "--retries", "0", "-q") == 1
    assert "did not answer in 1 attempts; the last failed with HTTP 429" in capfd.readouterr().err


def test_the_rate_is_bounded(server: ChatServer, claims: Path) -> None:
    assert ask(server, claims, "--requests-per-minute", "1200", "-q") == 0
    assert server.times[-1] - server.times[0] > 0.05 * (CLAIMS - 1) - 0.04


def test_concurrency_is_bounded(server: ChatServer, claims: Path) -> None:
    server.seconds = 0.05
    assert ask(server, claims, "--concurrency", "3", "-q") == 0
    assert server.most_at_once == 3


def test_fields_that_a_server_does_not_take_are_left_out(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.refuses = {"logprobs", "temperature", "max_tokens"}
    assert ask(server, claims) == 0
    told = capfd.readouterr()
    assert told.err.count("does not take log-probabilities") == 1
    assert told.err.count("does not take a temperature") == 1
    assert "12 of 12 answers have no label probabilities" in told.out
    assert server.bodies[-1].keys() == {"model", "messages", "max_completion_tokens"}
    assert every_claim_once(server)
    assert read_predictions(claims.parent / "out.jsonl").predictions[0].label_probs is None


def test_a_refusal_that_only_quotes_a_field_changes_no_other_question(server: ChatServer, claims: Path) -> None:
    echo = {"temperature": 0, "logprobs": True, "messages": [{"role": "user", "content": "..."}]}
    server.replies = {
        "claim 2\n": (400, {"error": {"message": "filtered: 'global temperature is rising' and logprobs"}}),
        "claim 3\n": (422, {"detail": [{"loc": ["body", "messages"], "msg": "too long", "input": echo}]}),
        "claim 4\n": (400, {"error": {"message": "Unsupported parameter: 'temperature'"}}),  # and refused without it
    }
    assert ask(server, claims, "--concurrency", "1", "-q", "--refused-as-wrong") == 0
    assert len(server.bodies) == CLAIMS  # what is answered is known from the first claim on
    assert all({"temperature", "logprobs", "top_logprobs", "max_tokens"} <= body.keys() for body in server.bodies)
    rows = read_predictions(claims.parent / "out.jsonl").predictions
    assert [row.id for row in rows if row.label is None] == ["c2", "c3", "c4"]


@pytest.mark.parametrize(
    "refused", [{"logprobs"}, {"top_logprobs"}, {"temperature"}, {"max_tokens"}, {"max_tokens", "logprobs"}, {"seed"}]
)
def test_no_more_is_left_out_than_the_server_refuses(server: ChatServer, claims: Path, refused: set[str]) -> None:
    server.refuses = refused
    assert ask(server, claims, "-q") == 0
    sent = {"temperature", "logprobs", "top_logprobs", "max_tokens"}
    if refused & {"logprobs", "top_logprobs"}:
        sent -= {"logprobs", "top_logprobs"}
    if "max_tokens" in refused:
        sent = sent - {"max_tokens"} | {"max_completion_tokens"}
    assert server.bodies[-1].keys() == {"model", "messages"} | sent - refused
    assert server.bodies[-1].get("top_logprobs", 20) == 20
    # Every rung once, and what was given up needlessly once: the other claims are asked for once.
    assert len(server.bodies) <= CLAIMS + 7
    assert {claim: count for claim, count in server.asked.items() if count > 1}.keys() <= {"claim 0"}


CHAT = ("--chat", "system=Be: brief", "--chat", "chat_template_kwargs.enable_thinking=false")


def test_the_chat_is_told_the_server_and_noted(server: ChatServer, claims: Path) -> None:
    assert ask(server, claims, "-q", *CHAT) == 0
    assert len(server.bodies) == CLAIMS
    for body in server.bodies:
        assert body["chat_template_kwargs"] == {"enable_thinking": False}
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert body["messages"][0]["content"] == "Be: brief"
    header = read_predictions(claims.parent / "out.jsonl").header
    assert header.chat == {"system": "Be: brief", "kwargs": {"enable_thinking": False}}
    (claims.parent / "out.jsonl").unlink()
    assert ask(server, claims, "-q") == 0
    plain = read_predictions(claims.parent / "out.jsonl").header
    assert plain.chat is None
    assert plain.template_sha256 != header.template_sha256


def test_a_server_that_refuses_the_chats_variables_is_asked_without_which_is_told_and_noted(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.refuses = {"chat_template_kwargs", "temperature"}
    assert ask(server, claims, *CHAT) == 0
    told = capfd.readouterr()
    assert told.err.count("does not take chat_template_kwargs") == 1
    assert "12 of 12 answers came without the chat_template_kwargs asked for" in told.out
    assert server.bodies[-1].keys() == {"model", "messages", "max_tokens", "logprobs", "top_logprobs"}
    header = read_predictions(claims.parent / "out.jsonl").header
    assert header.chat is not None
    assert header.chat["answers_without_kwargs"] == CLAIMS


@pytest.mark.parametrize("key", ["date=2026-02-03", "enable_thinking=true", "chat_template=none", "nonsense=1"])
def test_what_no_server_can_be_told_of_a_chat_is_refused_before_it_is_asked(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], key: str
) -> None:
    assert ask(server, claims, "--chat", key) == 1
    assert "it can be told system and chat_template_kwargs" in " ".join(capfd.readouterr().err.split())
    assert not server.bodies


def test_a_claim_that_is_refused_in_every_form_leaves_the_others_theirs(server: ChatServer, claims: Path) -> None:
    server.refuses, server.refuses_words = {"temperature"}, {"claim 0\n", "claim 1\n"}
    assert ask(server, claims, "--concurrency", "1", "-q", "--refused-as-wrong") == 0
    rows = read_predictions(claims.parent / "out.jsonl").predictions
    assert [row.id for row in rows if row.label is None] == ["c0", "c1"]
    assert all(row.label_probs for row in rows[2:])
    assert server.bodies[-1].keys() == {"model", "messages", "max_tokens", "logprobs", "top_logprobs"}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (("--leave-out", "temperature"), {"max_tokens", "logprobs", "top_logprobs"}),
        (("--leave-out", "top_logprobs"), {"max_tokens", "temperature", "logprobs"}),
        (("--leave-out", "logprobs,max_tokens"), {"temperature"}),
        (("--leave-out", "logprobs", "--leave-out", "temperature, max_tokens"), set()),
    ],
)
def test_a_person_can_leave_fields_out(
    server: ChatServer, claims: Path, given: tuple[str, ...], sent: set[str]
) -> None:
    assert ask(server, claims, "-q", *given) == 0
    assert all(body.keys() == {"model", "messages"} | sent for body in server.bodies)
    assert len(server.bodies) == CLAIMS


def test_what_cannot_be_left_out_is_told(server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(server, claims, "--leave-out", "model") == 2
    assert "top_logprobs, logprobs, temperature, max_tokens" in " ".join(capfd.readouterr().err.split())
    server.faults = [(503, {})]
    assert ask(server, claims, "--retries", "0", "-q") == 1
    assert ask(server, claims, "--leave-out", "temperature", "-q") == 1  # answers of two kinds in one file
    assert "differs in left_out" in capfd.readouterr().err


def test_probabilities_that_contradict_their_answers_are_none_and_counted(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_server, "ALTERNATIVES", [("N", 0.6), ("PASS", 0.3), ("FAIL", 0.1)])
    assert ask(server, claims) == 0
    told = capfd.readouterr().out
    assert "12 of 12 answers came with log-probabilities that cannot be theirs (a log-probability is above 0)" in told
    rows = read_predictions(claims.parent / "out.jsonl").predictions
    assert {(row.label, row.label_probs) for row in rows} == {(Label.NA, None)}


def test_a_server_with_fewer_alternatives_is_asked_for_fewer(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.most_alternatives = 5
    assert ask(server, claims, "--concurrency", "1") == 0
    assert [body["top_logprobs"] for body in server.bodies] == [20] + [5] * CLAIMS
    told = capfd.readouterr()
    assert told.err.count("does not take more than 5 alternatives to a token") == 1
    assert "no label probabilities" not in told.out


@pytest.mark.parametrize(
    ("given", "told"), [(("--price-in", "2"), "cost 0.0024"), (("--price-out", "10"), "cost 0.0012"), ((), "120 out\n")]
)
def test_a_price_may_be_known_of_one_side_or_of_none(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], given: tuple[str, ...], told: str
) -> None:
    assert ask(server, claims, "-q", *given) == 0
    assert told in capfd.readouterr().out


def test_a_server_without_logprobs_says_so_by_their_absence(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.logprobs, server.finish = False, "length"
    assert ask(server, claims) == 0
    told = capfd.readouterr().out
    assert "12 of 12 answers have no label probabilities" in told
    assert "12 answers were cut at 32 tokens" in told
    assert {row.validity for row in read_predictions(claims.parent / "out.jsonl").predictions} == {Validity.READABLE}


def test_an_outage_keeps_what_is_there_and_the_same_command_goes_on(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.faults = [(None, {})] * 5 + [(503, {})] * 3  # type: ignore[list-item]
    out = claims.parent / "out.jsonl"
    assert ask(server, claims, "--concurrency", "1", "--retries", "2", "-q") == 1
    assert not out.exists()
    part = out.with_name("out.jsonl.part")
    lines = part.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    part.write_bytes(b"".join(lines[:-1]) + lines[-1][:17])  # as a kill in the middle of a line leaves it
    server.asked.clear()
    assert ask(server, claims, "-q") == 0
    assert server.asked == {f"claim {i}": 1 for i in range(4, CLAIMS)}
    assert "tokens: 1,200 in, 120 out" in capfd.readouterr().out
    assert len(read_predictions(out).predictions) == CLAIMS


def test_a_part_of_other_work_is_not_mixed_in(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.faults = [(503, {})]
    assert ask(server, claims, "--retries", "0", "-q") == 1
    assert ask(server, claims, "--max-new-tokens", "64", "-q") == 1
    assert "differs in max_new_tokens" in capfd.readouterr().err


def test_refused_claims_are_named_and_stay_open_unless_they_may_count(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.refuses_words = {"claim 7"}
    assert ask(server, claims) == 1
    told = capfd.readouterr().err
    assert "c7: refused: HTTP 400" in told
    assert "1 claims were refused (c7)" in told
    assert ask(server, claims, "-q", "--refused-as-wrong") == 0
    assert server.asked == {f"claim {i}": 1 for i in range(CLAIMS) if i != 7}
    row = read_predictions(claims.parent / "out.jsonl").predictions[7]
    assert (row.id, row.label, row.validity) == ("c7", None, Validity.NONE)


@pytest.mark.parametrize(("status", "requests"), [(400, 5 + 4 + 4), (403, 5)])
@pytest.mark.parametrize("flags", [(), ("--refused-as-wrong",)])
def test_a_server_that_refuses_every_claim_is_asked_a_few_and_nothing_is_written(
    server: ChatServer,
    claims: Path,
    capfd: pytest.CaptureFixture[str],
    status: int,
    requests: int,
    flags: tuple[str, ...],
) -> None:
    server.replies = {"": (status, {"error": {"message": "model not found"}})}
    assert ask(server, claims, "-q", *flags) == 1
    # Where a field could be meant, the first claim in every form, and the others in the poorest.
    assert len(server.bodies) == requests
    assert "refused all of the first 5 claims, the last with: HTTP" in capfd.readouterr().err
    claims.write_text("".join(claims.read_text().splitlines(keepends=True)[:2]), encoding="utf-8")
    (claims.parent / "out.jsonl.part").unlink()
    assert ask(server, claims, "-q", *flags) == 1
    assert not (claims.parent / "out.jsonl").exists()


def test_a_few_refusals_in_front_do_not_stop_the_rest_nor_a_later_start(server: ChatServer, claims: Path) -> None:
    server.replies = {f"claim {i}\n": (403, {"error": {"message": "moderated"}}) for i in (0, 1, 2, 3, 7, 8)}
    assert ask(server, claims, "-q") == 1
    assert server.asked == {f"claim {i}": 1 for i in (4, 5, 6, 9, 10, 11)}
    assert ask(server, claims, "-q", "--refused-as-wrong") == 0  # now every claim that is asked for is refused
    rows = read_predictions(claims.parent / "out.jsonl").predictions
    assert [row.id for row in rows if row.label is None] == ["c0", "c1", "c2", "c3", "c7", "c8"]


def withheld(message: dict[str, str] | None, finish: str) -> tuple[int, dict[str, object]]:
    return 200, {"choices": [{"message": message, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (withheld({"content": "LABEL=PA"}, "content_filter"), "content_filter"),
        (withheld(None, "content_filter"), "content_filter"),
        (withheld({"content": "", "refusal": "I will not say."}, "stop"), "I will not say."),
    ],
)
def test_a_withheld_answer_is_a_refusal(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], reply: tuple[int, dict[str, object]], why: str
) -> None:
    server.replies = {"claim 7\n": reply}
    assert ask(server, claims) == 1
    told = capfd.readouterr().err
    assert "c7: refused: the answer" in told
    assert why in told
    assert not (claims.parent / "out.jsonl").exists()


def test_half_a_surrogate_pair_is_written_as_a_replacement(server: ChatServer, claims: Path) -> None:
    content = "LABEL=NA\nCONF=0.40 \ud83d and \U0001f600"
    server.replies = {"claim 7\n": (200, {"choices": [{"message": {"content": content}}]})}
    assert ask(server, claims, "-q") == 0
    row = read_predictions(claims.parent / "out.jsonl").predictions[7]
    assert (row.raw, row.label) == ("LABEL=NA\nCONF=0.40 \ufffd and \U0001f600", Label.NA)


def test_two_processes_do_not_ask_for_the_same_file(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lock = claims.parent / "out.jsonl.lock"
    with FileLock(lock):
        assert ask(server, claims, "-q") == 1
    told = capfd.readouterr().err
    assert "out.jsonl: another process is at work on it" in told
    assert not server.bodies
    assert ask(server, claims, "-q") == 0
    assert not lock.exists()


@pytest.mark.parametrize("status", [401, 404])
def test_what_no_question_can_mend_stops_at_once(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    server.faults = [(status, {})] * 50
    assert ask(server, claims, "--concurrency", "2", "-q") == 1
    assert len(server.bodies) <= 4
    assert f"HTTP {status}" in capfd.readouterr().err


def test_the_key_is_sent_and_shown_nowhere(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    server.faults = [(500, {}), (401, {})]
    assert ask(server, claims, "--api-key-env", "A_KEY", "--concurrency", "1", debug=True) == 1
    url = server.url.replace("http://", f"http://user:{KEY}@") + f"/v1?key={KEY}"
    assert ask(server, claims, "--api-key-env", "A_KEY", url=url, debug=True) == 1  # the part is another server's
    (claims.parent / "out.jsonl.part").unlink()
    assert ask(server, claims, "--api-key-env", "A_KEY", url=url, debug=True) == 0
    assert f"Bearer {KEY}" in server.keys
    told = capfd.readouterr()
    assert "[key]" in told.err
    written = "".join(path.read_text() for path in claims.parent.iterdir())
    assert KEY not in told.out + told.err + written


def test_secrets_across_the_cut_of_a_message_and_in_the_address_are_hidden(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    said = "x" * 290 + KEY
    server.replies = {"claim 1\n": (400, {"m": said}), "claim 2\n": (400, {"m": "a pass%21word pass!word code=abcdef"})}
    url = server.url.replace("http://", "http://me:pass%21word@") + "/v1?code=abcdef"
    assert ask(server, claims, "--api-key-env", "A_KEY", "--concurrency", "1", url=url) == 1
    told = capfd.readouterr().err
    assert "c1: refused" in told
    assert "a [key] [key] [key]" in told
    assert not [secret for secret in (KEY[:4], "pass%21word", "pass!word", "abcdef") if secret in told]


@pytest.mark.parametrize("address", ["http://host:abc/v1", "http://[::1/v1", "http://me:pass/word@host/v1"])
def test_an_address_that_cannot_be_taken_apart_is_explained(
    server: ChatServer,
    claims: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    assert ask(server, claims, "--api-key-env", "A_KEY", url=address) == 1
    told = capfd.readouterr().err
    assert "--endpoint: its host or port cannot be read" in told
    assert "Traceback" not in told
    assert "word" not in told
    assert [path.name for path in claims.parent.iterdir()] == ["claims.jsonl"]


def test_a_missing_key_and_a_wrong_address_are_explained(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    assert ask(server, claims, "--api-key-env", "A_KEY") == 1
    assert "A_KEY" in capfd.readouterr().err
    assert ask(server, claims, url="models.example") == 1
    assert "http://127.0.0.1:8000/v1" in capfd.readouterr().err
    assert ask(server, claims, "--retries", "1", url="http://127.0.0.1:9") == 1
    assert "did not answer in 2 attempts" in capfd.readouterr().err


def test_bad_rows_are_named_before_anything_is_asked(
    server: ChatServer, claims: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = claims.read_text()
    claims.write_text(
        text + '{"id": "x", "dataset": "d", "group": "x", "claim": "x", "evidence": [], "label": "MAYBE"}\n'
    )
    assert ask(server, claims) == 1
    assert f"claims.jsonl:{CLAIMS + 1}: " in capfd.readouterr().err
    assert not server.bodies


def test_a_finished_file_is_not_written_over(server: ChatServer, claims: Path) -> None:
    assert ask(server, claims, "-q") == 0
    assert ask(server, claims, "-q") == 1
    assert every_claim_once(server)


def listed(*pairs: tuple[str, float]) -> list[dict[str, object]]:
    return [{"token": token, "logprob": math.log(p)} for token, p in pairs]


def test_a_label_may_share_its_token_with_what_stands_before_it() -> None:
    tokens = [
        {"token": "LABEL", "top_logprobs": []},
        {"token": "=P", "top_logprobs": listed(("=P", 0.5), ("=FA", 0.2), ("=", 0.001), (" PASS", 0.1), ("=NA", 0.1))},
        {"token": "ASS", "top_logprobs": []},
    ]
    assert listed_label_probs("LABEL=PASS", tokens) == pytest.approx((0.625, 0.25, 0.125))


def test_labels_that_are_not_listed_must_be_unlikely() -> None:
    def tokens(*pairs: tuple[str, float]) -> list[dict[str, object]]:
        return [{"token": "LABEL="}, {"token": "NA", "top_logprobs": listed(*pairs)}]

    assert listed_label_probs("LABEL=NA", tokens(("NA", 0.6), ("PASS", 0.2))) is None
    assert listed_label_probs("LABEL=NA", tokens(("NA", 0.9), ("PASS", 0.099), ("x", 0.0005))) == pytest.approx(
        (0.0991, 0.0, 0.9009), abs=1e-4
    )
    assert listed_label_probs("LABEL=NA", [{"token": "LABEL="}, {"token": "NA"}]) is None
    assert listed_label_probs("nothing", tokens(("NA", 0.6))) is None


@pytest.mark.parametrize("undecided", ["=", " ", "= ", "=<"])
def test_alternatives_that_end_before_the_label_must_be_unlikely(undecided: str) -> None:
    def probs(p: float) -> tuple[float, float, float] | None:
        pairs = listed(("=NA", 0.5), ("=PASS", 0.2), ("=FAIL", 0.1), (undecided, p))
        return listed_label_probs("LABEL=NA", [{"token": "LABEL"}, {"token": "=NA", "top_logprobs": pairs}])

    assert probs(0.1) is None
    assert probs(0.008) == pytest.approx((0.25, 0.125, 0.625))


def test_space_before_the_label_is_no_part_of_it() -> None:
    pairs = listed((" NA", 0.5), ("NA", 0.1), ("PASS", 0.2), ("<FAIL", 0.2))
    tokens = [{"token": "LABEL="}, {"token": " NA", "top_logprobs": pairs}]
    assert listed_label_probs("LABEL= NA", tokens) == pytest.approx((0.2, 0.2, 0.6))


def test_a_stand_in_for_what_is_not_told_bounds_nothing() -> None:
    def probs(*pairs: tuple[str, float]) -> tuple[float, float, float] | None:
        listed = [{"token": token, "logprob": value} for token, value in pairs]
        return listed_label_probs("LABEL=NA", [{"token": "LABEL="}, {"token": "NA", "top_logprobs": listed}])

    assert probs(("NA", 0.0), ("PASS", -9999.0), ("FAIL", -9999.0)) is None
    assert probs(("NA", -0.5), ("x", -9999.0)) is None
    told = [("NA", math.log(0.6)), ("PASS", math.log(0.3)), ("FAIL", math.log(0.1))]
    assert probs(*told, ("x", -9999.0)) == pytest.approx((0.3, 0.1, 0.6))
