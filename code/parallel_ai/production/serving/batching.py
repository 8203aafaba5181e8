"""One at a time, or many at once: who calls the model, and with how much."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from parallel_ai.production.serving.packed import Predict

LIMIT = 60.0  # seconds: no call to warm up lasts longer


@dataclass(frozen=True)
class Design:
    """How a worker calls its models.

    Attributes
    ----------
    workers : int
        Processes.
    threads : int
        That call each model, in each process; with 0 the event loop itself
        does, one request after the other: the naive service.
    max_batch : int
        Pictures in one call; 1 for every request by itself.
    max_wait : float
        Seconds that the first of a batch waits for others.
    room : int
        Pictures that may wait, for each model.
    seconds : float
        In which an answer must be there.
    """

    workers: int = 1
    threads: int = 1
    max_batch: int = 32
    max_wait: float = 0.0
    room: int = 256
    seconds: float = 2.0


class FullError(RuntimeError):
    """The queue has no room; `retry_after` says when it may have."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"full: try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass
class Job:
    """Pictures of one request, on their way.

    Attributes
    ----------
    since : float
        When it came, of `time.monotonic`.
    """

    pixels: np.ndarray
    answer: asyncio.Future[np.ndarray]
    since: float = field(default_factory=time.monotonic)


def ignore(rows: int) -> None:
    """Take no note of it."""


class Batcher:
    """A queue with a bound, and threads that empty it batch by batch.

    Parameters
    ----------
    predict : callable
        Of a `Model`.
    note, waiting : callable
        Told how many pictures each batch has; and how many have come into
        the queue, or, below zero, have left it.
    """

    def __init__(
        self,
        predict: Predict,
        design: Design,
        note: Callable[[int], None] = ignore,
        waiting: Callable[[int], None] = ignore,
    ) -> None:
        self.predict, self.design = predict, design
        self.note, self.waiting = note, waiting
        self.jobs: deque[Job] = deque()
        self.rows = 0  # in the queue
        self.max_wait = design.max_wait
        self.pace = 0.0  # seconds a picture, of the last batch
        self.more = asyncio.Event()
        self.pool = ThreadPoolExecutor(max(1, design.threads))

    async def __aenter__(self) -> Self:
        """Begin to take from the queue."""
        self.runners = [
            asyncio.create_task(self.run()) for _ in range(self.design.threads)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; whoever is in the queue is told that nothing will come."""
        for runner in self.runners:
            runner.cancel()
        await asyncio.gather(*self.runners, return_exceptions=True)
        for job in self.jobs:
            job.answer.cancel()
        self.pool.shutdown()

    async def warm(self, rows: np.ndarray, calls: int = 3) -> None:
        """Call the model in each thread that will: one row, and a batch.

        OpenMP's threads belong to the thread that has called them, kernels
        are chosen by shape, and memory is fetched at a first call. What the
        process's first thread has called before helps another one little.

        Parameters
        ----------
        rows : array, (max_batch, …)
            Such as will be asked; of any content.
        """

        def call(together: threading.Barrier) -> None:
            together.wait(LIMIT)  # so that no thread takes another's turn
            for count in (1, len(rows)):
                for _ in range(calls):
                    self.predict(rows[:count])

        if not self.design.threads:
            call(threading.Barrier(1))  # in the loop, as requests will be
            return
        loop = asyncio.get_running_loop()
        all_there = threading.Barrier(self.design.threads)
        threads = [
            loop.run_in_executor(self.pool, call, all_there)
            for _ in range(self.design.threads)
        ]
        await asyncio.gather(*threads)

    def hurry(self) -> None:
        """Wait for no fuller batch any more: the end is near."""
        self.max_wait = 0.0
        self.more.set()

    async def ask(self, pixels: np.ndarray) -> np.ndarray:
        """Wait for the probabilities of some pictures.

        Raises
        ------
        FullError
            There is no room in the queue.
        TimeoutError
            They did not come in time. A batch that has begun goes on; a job
            that still waits will be passed over.
        """
        if not self.design.threads:
            return self.predict(pixels)
        if self.rows and self.rows + len(pixels) > self.design.room:
            raise FullError(max(1, math.ceil(self.rows * self.pace)))
        job = Job(pixels, asyncio.get_running_loop().create_future())
        self.jobs.append(job)
        self.rows += len(pixels)
        self.waiting(len(pixels))
        self.more.set()
        async with asyncio.timeout(self.design.seconds):
            return await job.answer

    async def run(self) -> None:
        """Take a batch, have it computed beside the loop, hand it out."""
        loop = asyncio.get_running_loop()
        while True:
            jobs = await self.collect()
            pixels = np.concatenate([job.pixels for job in jobs])
            self.note(len(pixels))
            begun = time.monotonic()
            try:
                found = await loop.run_in_executor(
                    self.pool, self.predict, pixels
                )
                hand_out(jobs, found)
            except Exception as error:  # noqa: BLE001 - theirs, not ours
                refuse_all(jobs, error)
            self.pace = (time.monotonic() - begun) / len(pixels)

    async def collect(self) -> list[Job]:
        """Wait for a first job, then a little for others."""
        while True:
            while not self.jobs:
                self.more.clear()
                await self.more.wait()
            since = self.jobs[0].since
            while self.rows < self.design.max_batch:
                left = since + self.max_wait - time.monotonic()
                if left <= 0 or not await self.another(left):
                    break
            if jobs := self.take():
                return jobs

    async def another(self, seconds: float) -> bool:
        """Wait for the next job; False if none comes."""
        self.more.clear()
        try:
            async with asyncio.timeout(seconds):
                return await self.more.wait()
        except TimeoutError:
            return False

    def take(self) -> list[Job]:
        """Take jobs, in their order, while their pictures fit in a batch."""
        taken: list[Job] = []
        rows = 0
        while self.jobs:
            size = len(self.jobs[0].pixels)
            if taken and rows + size > self.design.max_batch:
                break
            job = self.jobs.popleft()
            self.rows -= size
            self.waiting(-size)
            if not job.answer.done():  # else its client has given up
                taken.append(job)
                rows += size
        return taken


def hand_out(jobs: list[Job], found: np.ndarray) -> None:
    """Give each job its part of a batch's answers."""
    ends = np.cumsum([len(job.pixels) for job in jobs])
    for job, part in zip(jobs, np.split(found, ends[:-1]), strict=True):
        if not job.answer.done():
            job.answer.set_result(part)


def refuse_all(jobs: list[Job], error: Exception) -> None:
    """Tell every job of a batch that the model has failed."""
    for job in jobs:
        if not job.answer.done():
            job.answer.set_exception(error)
