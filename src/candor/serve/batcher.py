"""Requests batched in flight: while the model works on some claims, those that arrive gather for its next pass."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from candor.errors import CandorError, QueueFullError
from candor.prompts.encoding import EncodedPrompt
from candor.verifier import Verdict, Verifier

RECENT_PASSES: Final = 8
"""Passes whose times say how long those to come will take."""

PAUSE: Final = 1 / 16
"""Part of the last pass's time in which somebody has to come for the next pass to wait for more."""

PATIENCE: Final = 1 / 4
"""Part of it that the next pass waits at most."""


@dataclass(frozen=True, slots=True)
class Question:
    """A claim and its evidence sentences."""

    claim: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: Question
    answer: asyncio.Future[Verdict]


class Batcher:
    """Feeds one model, which runs in a thread of its own, from many requests.

    A batch is whatever is there when the model is free. Behind a pass that answered several at once it waits for as
    long as they keep coming back, and no longer than a small part of that pass: with the first of them alone in a pass
    of its own the others would wait for longer. An answer belongs to its question by the future that both share, so
    nothing can be mixed up; a question whose request has timed out is not asked any more, and one that would time out,
    by how long the model's last passes took, is refused at once.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        max_batch: int,
        max_queue: int,
        timeout: float = math.inf,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        """Take a model and bounds.

        Args:
            verifier: the model.
            max_batch: most claims in one pass.
            max_queue: most claims that wait.
            timeout: seconds after which nobody waits for an answer any more.
            on_batch: told of each batch's size.
        """
        self._verifier = verifier
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._timeout = timeout
        self._on_batch = on_batch
        self._seconds: deque[float] = deque(maxlen=RECENT_PASSES)
        self._begun: float | None = None
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._task = asyncio.create_task(self._work())

    @property
    def depth(self) -> int:
        """Claims that wait."""
        return sum(not waiting.answer.done() for waiting in self._waiting)

    @property
    def seconds_to_wait(self) -> float:
        """How long a claim that comes now would wait for its answer, if passes take what the longest of the last took.

        It is 0 before a first pass has ended.
        """
        longest = max(self._seconds, default=0.0)
        passes = self.depth // self._max_batch + 1
        rest = 0.0 if self._begun is None else max(0.0, longest - (time.perf_counter() - self._begun))
        return rest + passes * longest

    @property
    def retry_after(self) -> int:
        """Whole seconds after which a refused claim may come again: as long as a pass takes, and at least 1."""
        return max(1, math.ceil(max(self._seconds, default=0.0)))

    async def ask(self, question: Question) -> Verdict:
        """Wait for the verdict.

        Raises:
            QueueFullError: too many wait already, for their number or for the time, or the service is stopping.
            DataError, PromptError: the question cannot be asked.
        """
        depth = self.depth
        # With nobody waiting a claim is let in whatever the last passes took: else a slow one would shut the door for
        # good.
        if self._closed or depth >= self._max_queue or (depth and self.seconds_to_wait > self._timeout):
            raise QueueFullError("too many claims are waiting; try again in a moment")
        waiting = _Waiting(question, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.answer

    async def close(self) -> None:
        """Answer what waits, then end."""
        self._closed = True
        self._wake.set()
        await self._task
        self._thread.shutdown()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = self._next_batch()
            if not batch:
                if self._closed:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            self._on_batch(len(batch))
            self._begun = time.perf_counter()
            try:
                answers = await loop.run_in_executor(self._thread, self._judge, [w.question for w in batch])
            except Exception as error:
                # Whatever broke belongs to these requests; the service goes on with the next.
                answers = [error] * len(batch)
            self._seconds.append(time.perf_counter() - self._begun)
            self._begun = None
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.answer.done():
                    continue
                if isinstance(answer, Exception):
                    waiting.answer.set_exception(answer)
                else:
                    waiting.answer.set_result(answer)
            await self._gathered(len(batch), self._seconds[-1])

    async def _gathered(self, answered: int, seconds: float) -> None:
        """Until as many wait as were just answered, in so many seconds, or nobody comes any more."""
        until, before = time.perf_counter() + PATIENCE * seconds, -1
        while before < self.depth < answered > 1 and not self._closed and time.perf_counter() < until:
            before = self.depth
            await asyncio.sleep(PAUSE * seconds)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._max_batch:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    def _judge(self, questions: Sequence[Question]) -> list[Verdict | Exception]:
        """In the model's thread: a question that cannot be asked spoils no other."""
        prompts: list[EncodedPrompt | Exception] = []
        for question in questions:
            try:
                prompts.append(self._verifier.encode(question.claim, question.evidence))
            except CandorError as error:
                prompts.append(error)
        verdicts = iter(self._verifier.judge([p for p in prompts if isinstance(p, EncodedPrompt)]))
        return [p if isinstance(p, Exception) else next(verdicts) for p in prompts]
