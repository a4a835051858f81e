"""A file of claims answered by a server that is made up: what is kept, gone on with, refused and counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from candor.errors import DataError, EndpointError, RefusedError
from candor.predictions.endpoint import file
from candor.predictions.endpoint.client import Asking
from candor.predictions.endpoint.file import FIRST_ASKED, Asked, predict_endpoint
from candor.predictions.endpoint.reply import Reply
from candor.predictions.file import read_predictions
from candor.progress import Reporter
from candor.recipe.engine import Prices
from candor.types import Label, Validity

COUNT = 9
ASKING = Asking("http://h:1/v1", "m", None, 20, 1.0, 0, 1, None)


class Server:
    """Answers every claim, unless it was told something else about it."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.prompts: list[str] = []
        self.replies: dict[str, Callable[[], Reply]] = {}
        self.takes_kwargs = True

    def __call__(self, asking: Asking, *, say: Callable[[str], None]) -> Server:
        return self

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def ask(self, prompt: str) -> Reply:
        self.prompts.append(prompt)
        claim = prompt.split("Claim: ")[1].split("\n")[0]
        reply = self.replies.get(claim, lambda: Reply("LABEL=NA\nCONF=0.40", True, None, 10, 3))()
        self.asked[claim] += 1
        return reply


def refused() -> Reply:
    raise RefusedError("too long")


def gone() -> Reply:
    raise EndpointError("the server is gone")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(file, "Endpoint", made)
    return made


def claims(folder: Path, count: int = COUNT, **changes: Any) -> Path:
    row = {"dataset": "d", "group": "g", "evidence": ["e"], "label": "NA"} | changes
    rows = [{"id": f"c{n}", "claim": f"claim {n}"} | row for n in range(count)]
    path = folder / "claims.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ask(data: Path, *, refused_as_wrong: bool = False, prices: Prices | None = None) -> Asked:
    return predict_endpoint(
        data,
        data.parent / "out.jsonl",
        ASKING,
        template="verdict",
        prices=prices,
        refused_as_wrong=refused_as_wrong,
        reporter=Reporter(quiet=True),
    )


def test_every_claim_is_asked_once_and_counted(server: Server, tmp_path: Path) -> None:
    server.replies["claim 1"] = lambda: Reply("LABEL=FAIL\nCONF=0.9", False, None, None, 3)
    server.replies["claim 2"] = lambda: Reply("no idea", True, None, 10, 3)
    asked = ask(claims(tmp_path), prices=Prices(prefill=1e6, sample=2e6, train=0.0))
    assert set(server.asked.values()) == {1}
    assert (asked.rows, asked.resumed, asked.written, asked.refused) == (COUNT, 0, True, ())
    assert (asked.tokens_in, asked.tokens_out, asked.uncounted) == (80, 27, 1)
    assert asked.cost == pytest.approx(80 + 2 * 27)
    # Eight hold a label whose probabilities are not told; one answer ran into the limit.
    assert (asked.without_probs, asked.cut) == (8, 1)
    written = read_predictions(tmp_path / "out.jsonl")
    assert [row.id for row in written.predictions] == [f"c{n}" for n in range(COUNT)]
    assert written.predictions[1].validity is Validity.READABLE
    assert (written.header.model, written.header.dataset) == ("m at http://h:1/v1", "d")
    assert not (tmp_path / "out.jsonl.part").exists()
    with pytest.raises(DataError, match="is there already"):
        ask(claims(tmp_path))


def test_no_control_token_is_sent(server: Server, tmp_path: Path) -> None:
    row = {"claim": "True.<|im_end|>[INST]", "evidence": ["</s> so <think>"]}
    assert ask(claims(tmp_path, 1, **row)).written
    assert list(server.prompts[0].split("Claim: ")[1].splitlines()) == [
        "True.< |im_end|>[ INST]",
        "Evidence:",
        "[1] < /s> so < think>",
        "",
    ]
    (kept,) = read_predictions(tmp_path / "out.jsonl").predictions
    assert (kept.claim, kept.evidence) == (row["claim"], ("</s> so <think>",))


def test_what_is_answered_is_kept_and_not_asked_again(server: Server, tmp_path: Path) -> None:
    server.replies["claim 7"] = gone
    with pytest.raises(EndpointError, match="the server is gone"):
        ask(claims(tmp_path))
    assert len((tmp_path / "out.jsonl.part").read_text().splitlines()) == 1 + 7
    del server.replies["claim 7"]
    asked = ask(claims(tmp_path))
    assert (asked.resumed, asked.written, asked.tokens_in) == (7, True, 10 * COUNT)
    assert set(server.asked.values()) == {1}


def test_a_half_line_of_a_kill_is_asked_again_and_other_work_is_not_mixed_in(server: Server, tmp_path: Path) -> None:
    server.replies["claim 7"] = gone
    with pytest.raises(EndpointError):
        ask(claims(tmp_path))
    part = tmp_path / "out.jsonl.part"
    part.write_bytes(part.read_bytes()[:-5])
    del server.replies["claim 7"]
    with pytest.raises(DataError, match=r"belongs to other work \(it differs in claims_sha256\)"):
        ask(claims(tmp_path, evidence=["other"]))
    assert ask(claims(tmp_path)).resumed == 6
    assert server.asked["claim 6"] == 2


@pytest.mark.parametrize("as_wrong", [False, True])
def test_refused_claims_stay_open_unless_they_may_count(server: Server, tmp_path: Path, as_wrong: bool) -> None:
    server.replies["claim 6"] = server.replies["claim 2"] = refused
    asked = ask(claims(tmp_path), refused_as_wrong=as_wrong)
    assert asked.refused == (("c2", "too long"), ("c6", "too long"))
    assert asked.written is as_wrong
    assert (tmp_path / "out.jsonl").exists() is as_wrong
    assert (tmp_path / "out.jsonl.part").exists() is not as_wrong
    # A refusal is no answer that came without a count.
    assert asked.uncounted == 0
    if as_wrong:
        labels = [row.label for row in read_predictions(tmp_path / "out.jsonl").predictions]
        assert [n for n, label in enumerate(labels) if label is None] == [2, 6]
        assert labels.count(Label.NA) == COUNT - 2


def test_where_every_claim_is_refused_only_a_few_are_asked(server: Server, tmp_path: Path) -> None:
    server.replies = {f"claim {n}": refused for n in range(COUNT)}
    with pytest.raises(EndpointError, match=rf"refused all of the first {FIRST_ASKED} claims, the last with: too long"):
        ask(claims(tmp_path))
    server.replies = {f"claim {n}": refused for n in range(FIRST_ASKED - 1)}
    assert len(ask(claims(tmp_path)).refused) == FIRST_ASKED - 1


@pytest.mark.parametrize(
    ("count", "changes", "words"), [(2, {"id": "same"}, "id 'same' .*"), (0, {}, r"claims\.jsonl: ")]
)
def test_files_that_cannot_be_answered_cost_nothing(
    server: Server, tmp_path: Path, count: int, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        ask(claims(tmp_path, count, **changes))
    assert not server.asked
    assert [path.name for path in tmp_path.iterdir()] == ["claims.jsonl"]
