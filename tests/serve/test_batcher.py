"""Questions share passes, and none is lost, mixed up or asked in vain."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from running import FakeVerifier

from candor.errors import DataError
from candor.serve.batcher import Batcher, Question, QueueFullError


def asked(claim: str) -> Question:
    return Question(claim, ("e", "f"))


def run(
    test: Callable[[Batcher, FakeVerifier], Awaitable[Any]],
    *,
    max_batch: int = 4,
    max_queue: int = 8,
    timeout: float = math.inf,
) -> tuple[Any, list[int]]:
    """Let a test use a batcher; returns what it returns, and the sizes of the batches."""
    sizes: list[int] = []

    async def inside() -> Any:
        fake = FakeVerifier()
        batcher = Batcher(
            fake,  # type: ignore[arg-type]
            max_batch=max_batch,
            max_queue=max_queue,
            timeout=timeout,
            on_batch=sizes.append,
        )
        try:
            return await test(batcher, fake)
        finally:
            fake.gate.set()
            await batcher.close()

    return asyncio.run(inside()), sizes


async def begun(fake: FakeVerifier) -> None:
    """Wait until the model is at work."""
    while not fake.batches:
        await asyncio.sleep(0.001)


def test_what_gathers_meanwhile_shares_the_next_passes() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> list[float]:
        fake.gate.clear()
        first = asyncio.create_task(batcher.ask(asked("x" * 9)))
        await begun(fake)
        others = [asyncio.create_task(batcher.ask(asked("x" * (n + 1)))) for n in range(6)]
        await asyncio.sleep(0)
        assert batcher.depth == 6
        fake.gate.set()
        return [verdict.confidence for verdict in await asyncio.gather(first, *others)]

    confidences, sizes = run(test)
    assert confidences == [0.09, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    assert sizes == [1, 4, 2]


def test_those_who_were_answered_together_share_the_next_pass_again() -> None:
    """The first of them to come back does not get a pass of its own, for which the others would have to wait."""

    async def test(batcher: Batcher, fake: FakeVerifier) -> None:
        fake.seconds = 0.4

        async def client(number: int) -> None:
            for _ in range(3):
                await batcher.ask(asked("x" * number))
                await asyncio.sleep(0.004 * number)  # its way there and back

        await asyncio.gather(*map(client, range(1, 5)))

    _, sizes = run(test)
    assert sizes == [4, 4, 4]


def test_nobody_who_waits_is_kept_for_those_who_do_not_come() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> float:
        await asyncio.gather(*(batcher.ask(asked("x")) for _ in range(4)))
        return (await asyncio.wait_for(batcher.ask(asked("xx")), 5)).confidence

    confidence, sizes = run(test)
    assert (confidence, sizes) == (0.02, [4, 1])


def test_a_question_that_cannot_be_asked_spoils_no_other() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> list[Any]:
        questions = [asked("a"), asked("unusable"), asked("abc")]
        return list(await asyncio.gather(*map(batcher.ask, questions), return_exceptions=True))

    (first, second, third), _ = run(test)
    assert (first.confidence, third.confidence, third.evidence_dropped) == (0.01, 0.03, 2)
    assert isinstance(second, DataError)


def test_what_breaks_a_pass_breaks_no_later_one() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> float:
        with pytest.raises(RuntimeError, match="secret words"):
            await batcher.ask(asked("break"))
        return (await batcher.ask(asked("ab"))).confidence

    assert run(test)[0] == 0.02


def test_a_full_queue_refuses_and_those_who_gave_up_leave_room() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> int:
        fake.gate.clear()
        first = asyncio.create_task(batcher.ask(asked("a")))
        await begun(fake)
        waiting = [asyncio.create_task(batcher.ask(asked("b"))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="too many claims are waiting"):
            await batcher.ask(asked("c"))
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert batcher.depth == 1
        late = asyncio.create_task(batcher.ask(asked("d")))
        await asyncio.sleep(0)
        fake.gate.set()
        await asyncio.gather(first, waiting[1], late)
        return sum(fake.batches)

    # The one that was cancelled is never asked.
    assert run(test, max_queue=2)[0] == 3


def test_what_could_not_be_judged_in_time_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    async def test(batcher: Batcher, fake: FakeVerifier) -> tuple[float, int, int]:
        nonlocal now
        fake.gate.clear()
        first = asyncio.create_task(batcher.ask(asked("a")))
        await begun(fake)
        assert batcher.seconds_to_wait == 0.0  # nothing is known yet
        now += 4.0
        fake.gate.set()
        await first
        fake.gate.clear()
        fake.batches.clear()
        running = asyncio.create_task(batcher.ask(asked("b")))  # 4 s, as the one before
        await begun(fake)
        waiting = [asyncio.create_task(batcher.ask(asked("c"))) for _ in range(4)]  # two passes more
        await asyncio.sleep(0)
        expected, pause = batcher.seconds_to_wait, batcher.retry_after
        with pytest.raises(QueueFullError, match="too many claims are waiting"):
            await batcher.ask(asked("d"))
        now += 3.0  # the pass that runs has one second left
        waiting.append(asyncio.create_task(batcher.ask(asked("e"))))
        await asyncio.sleep(0)
        depth = batcher.depth
        fake.gate.set()
        await asyncio.gather(running, *waiting)
        return expected, pause, depth

    assert run(test, max_batch=2, max_queue=99, timeout=14.0)[0] == (16.0, 4, 5)


def test_a_slow_pass_does_not_shut_the_door_for_good() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> list[float]:
        return [(await batcher.ask(asked("x" * n))).confidence for n in (1, 2)]

    assert run(test, timeout=0.0)[0] == [0.01, 0.02]


def test_closing_answers_what_waits_and_refuses_what_comes() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> float:
        fake.gate.clear()
        waiting = asyncio.create_task(batcher.ask(asked("abcd")))
        await begun(fake)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.ask(asked("late"))
        fake.gate.set()
        await closing
        return (await waiting).confidence

    assert run(test)[0] == 0.04


def test_the_model_runs_in_one_thread_that_is_not_the_loops() -> None:
    async def test(batcher: Batcher, fake: FakeVerifier) -> set[str]:
        seen: set[str] = set()
        judge = fake.judge

        def judged(encoded: Any) -> Any:
            seen.add(threading.current_thread().name)
            return judge(encoded)

        fake.judge = judged  # type: ignore[method-assign]
        for _ in range(3):
            await batcher.ask(asked("a"))
        return seen

    (name,) = run(test)[0]
    assert name.startswith("model")
