"""Texts of many requests answered together: one thread computes, everything that waits is counted and bounded.

A request is answered by the model that was there when it came, whole; where a batch fails, each of its texts is asked
alone, so that one text that breaks the model costs nobody else an answer.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..runtime.answers import logits_each
from .limits import Limits
from .model import Model


class Busy(Exception):  # noqa: N818 - it says what is the case
    """Too much waits already; `mine` where it is this client's own share."""

    def __init__(self, mine: bool):
        self.mine = mine
        super().__init__()


@dataclass(eq=False)
class _Job:
    model: Model
    texts: Sequence[str]
    client: str
    answer: "asyncio.Future[list[NDArray[np.float32] | None]]"


@dataclass
class Batcher:
    """`ask` queues texts and waits for their logits; `run` is the task that answers."""

    limits: Limits
    watch: Callable[[int], None] = lambda size: None  # hears how many texts were answered together
    left: Callable[[], None] = lambda: None  # hears that somebody did not wait for the answer
    busy_since: float | None = None

    def __post_init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._held: Counter[str] = Counter()
        self._coming: Counter[str] = Counter()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "answers")

    @property
    def waiting(self) -> int:
        """Texts that are not answered yet."""
        return self._held.total()

    def judge(self, client: str, texts: int = 1) -> None:
        """Raises Busy where that many more would be too many; it costs less than reading them."""
        self._judge(texts, self.waiting, self._held.get(client, 0))

    def expect(self, client: str) -> None:
        """Holds a place for one text until the event loop comes round, by when its request has asked: those who are
        read together see each other before the first of them is heard. Raises Busy."""
        waiting, mine = self.waiting + self._coming.total(), self._held.get(client, 0) + self._coming.get(client, 0)
        self._judge(1, waiting, mine)
        if not self._coming:
            asyncio.get_running_loop().call_soon(self._coming.clear)
        self._coming[client] += 1

    def _judge(self, texts: int, waiting: int, mine: int) -> None:
        if waiting + texts > self.limits.queue:
            raise Busy(mine=False)
        if mine + texts > max(self.limits.texts, self.limits.share * self.limits.queue):
            raise Busy(mine=True)

    async def ask(self, model: Model, texts: Sequence[str], client: str) -> list[NDArray[np.float32] | None]:
        """The logits of each text, `(C,)`; None of a text that the model cannot answer.

        *Raises*: Busy. Whoever is cancelled while waiting is forgotten.
        """
        self.judge(client, len(texts))
        job = _Job(model, texts, client, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._held[client] += len(texts)
        self._came.set()
        try:
            return await job.answer
        except asyncio.CancelledError:
            self.left()
            with suppress(ValueError):  # where an answer hangs, what nobody waits for would pile up behind it
                self._jobs.remove(job)
            raise
        finally:
            self._held[client] -= len(texts)
            if not self._held[client]:
                del self._held[client]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            if self._texts() < self.limits.batch and self.limits.wait:
                await asyncio.sleep(self.limits.wait)
            batch = self._taken()
            if not batch:
                continue
            texts = [text for job in batch for text in job.texts]
            self.watch(len(texts))
            self.busy_since = time.monotonic()
            found = await loop.run_in_executor(self._thread, logits_each, batch[0].model.session.logits, texts)
            self.busy_since = None
            for job in batch:
                mine, found = found[: len(job.texts)], found[len(job.texts) :]
                if not job.answer.done():
                    job.answer.set_result(mine)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _texts(self) -> int:
        return sum(len(job.texts) for job in self._jobs)

    def _taken(self) -> list[_Job]:
        """The next jobs of one model, as many texts as a batch holds; who is gone is left out."""
        batch: list[_Job] = []
        size = 0
        while self._jobs:
            job = self._jobs[0]
            if not job.answer.done():
                if batch and (job.model is not batch[0].model or size + len(job.texts) > self.limits.batch):
                    break
                batch.append(job)
                size += len(job.texts)
            self._jobs.popleft()
        if not self._jobs:
            self._came.clear()
        return batch
