"""Decode while the model computes: two stages, one bounded queue."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

import torch
from torch import nn

from parallel_ai.accelerators.imagenet.classifying import logits_of
from parallel_ai.accelerators.imagenet.decoding import (
    SIDE,
    Decoded,
    Fault,
    Paths,
    decode_serial,
)
from parallel_ai.toolbox.workers import LIMIT

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Answers:
    """Logits of the good files (good, classes), on the CPU, and the others."""

    logits: torch.Tensor
    kept: list[int]
    faults: list[Fault]


def ahead(
    job: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 2,
    depth: int = 4,
) -> Iterator[Result]:
    """Give the results of a job in order, while threads work ahead.

    Parameters
    ----------
    depth : int
        Results that may wait or be under way: the bound of the queue. A
        producer that is faster than its consumer would fill the memory.

    Raises
    ------
    ValueError
        The depth is not positive.
    Exception
        What a job raised, in its turn; what was not begun is cancelled.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, not {depth}")
    coming = iter(items)
    with ThreadPoolExecutor(workers) as team:
        waiting: deque[Future[Result]] = deque(
            team.submit(job, item) for item in islice(coming, depth)
        )
        try:
            while waiting:
                result = waiting.popleft().result(timeout=LIMIT)
                waiting.extend(
                    team.submit(job, item) for item in islice(coming, 1)
                )
                yield result
        finally:
            for future in waiting:
                future.cancel()


def pieces(paths: Paths, batch: int) -> list[Paths]:
    """Cut a list of paths into batches; the last one may be shorter."""
    return [paths[i : i + batch] for i in range(0, len(paths), batch)]


def collect(
    model: nn.Module, stream: Iterator[Decoded], batch: int
) -> Answers:
    """Pass what is decoded through a model, batch after batch.

    Logits stay on the device until the end: to fetch them is to wait.
    """
    logits, kept, faults = [], [], []
    for number, decoded in enumerate(stream):
        kept += [number * batch + k for k in decoded.kept]
        faults += decoded.faults
        if decoded.kept:
            logits.append(logits_of(model, decoded.pixels, batch))
    whole = torch.cat(logits).cpu() if logits else torch.empty(0)
    return Answers(whole, kept, faults)


def classify_serial(
    model: nn.Module,
    paths: Paths,
    side: int = SIDE,
    batch: int = 32,
    on_error: str = "skip",
    workers: int = 1,
    depth: int = 1,
) -> Answers:
    """Decode a batch, compute it, decode the next: one waits for the other.

    `workers` and `depth` are here for the sake of the same signature.
    """
    job = partial(decode_serial, side=side, on_error=on_error)
    return collect(model, map(job, pieces(paths, batch)), batch)


def classify_pipelined(
    model: nn.Module,
    paths: Paths,
    side: int = SIDE,
    batch: int = 32,
    on_error: str = "skip",
    workers: int = 2,
    depth: int = 4,
) -> Answers:
    """Decode in threads, a few batches ahead of the model."""
    job = partial(decode_serial, side=side, on_error=on_error)
    stream = ahead(job, pieces(paths, batch), workers, depth)
    return collect(model, stream, batch)


def pipeline_limit(decode: float, compute: float) -> float:
    """Say how many times as fast a perfect pipeline of two stages is.

    One after the other takes the sum, side by side the longer of both:
    never more than twice as fast, and twice only if both are equal.
    """
    return (decode + compute) / max(decode, compute)
