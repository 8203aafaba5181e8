"""Training by one process, by tasks, and two parameter servers."""

import asyncio
from functools import partial

import numpy as np
from distributed import Client

from parallel_ai.many_machines.actors.softmax import (
    BATCH,
    Shard,
    gradient,
    minibatch,
)


def descend(
    theta: np.ndarray, rate: float, total: np.ndarray, count: int
) -> np.ndarray:
    """Return new parameters, one step downhill; the old ones are kept."""
    return theta - np.float32(rate / max(1, count)) * total


def together(pieces: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
    """Add up gradients, in their order, and what they were summed over."""
    nothing = np.zeros((), np.float32)
    total = sum((piece for piece, _ in pieces), start=nothing)
    return total, sum(count for _, count in pieces)


def train_serial(
    theta: np.ndarray,
    data: list[Shard],
    steps: int,
    rate: float,
    size: int = BATCH,
) -> np.ndarray:
    """Train on all shards by one process: what the servers must equal.

    Returns
    -------
    array
        Parameters after `steps` steps of synchronous gradient descent, each
        with one minibatch of every shard.
    """
    for step in range(steps):
        pieces = [gradient(theta, *minibatch(one, step, size)) for one in data]
        theta = descend(theta, rate, *together(pieces))
    return theta


def step_gradient(
    theta: np.ndarray, shard: Shard, step: int, size: int
) -> tuple[np.ndarray, int]:
    """Compute one worker's part of one step: a task."""
    return gradient(theta, *minibatch(shard, step, size))


def train_tasks(
    client: Client,
    theta: np.ndarray,
    data: list[Shard],
    steps: int,
    rate: float,
    size: int = BATCH,
) -> np.ndarray:
    """Train by tasks without memory: the client keeps the parameters."""
    there = client.scatter(data, hash=False)
    submit = partial(client.submit, step_gradient, pure=False)
    for step in range(steps):
        pieces = [submit(theta, shard, step, size) for shard in there]
        theta = descend(theta, rate, *together(client.gather(pieces)))
    return theta


class Synchronous:
    """A server that answers when *all* workers have sent their gradients.

    A method with ``async`` may wait while the actor takes other messages.
    """

    def __init__(self, theta: np.ndarray, rate: float, workers: int) -> None:
        self.theta, self.rate, self.workers = theta, rate, workers
        self.arrived: dict[int, tuple[np.ndarray, int]] = {}
        self.round_over = asyncio.Event()

    async def pull(self) -> np.ndarray:
        """Return the parameters."""
        return self.theta

    async def push(self, rank: int, total: np.ndarray, n: int) -> np.ndarray:
        """Take one worker's gradient; return the next step's parameters."""
        self.arrived[rank] = total, n
        if len(self.arrived) < self.workers:
            await self.round_over.wait()
        else:  # in the order of ranks, so that every run rounds alike
            pieces = [self.arrived[i] for i in range(self.workers)]
            self.theta = descend(self.theta, self.rate, *together(pieces))
            self.arrived = {}
            self.round_over.set()
            self.round_over = asyncio.Event()
        return self.theta


class Asynchronous:
    """A server that takes every gradient as it comes, however old.

    Attributes
    ----------
    staleness : list of int
        For each gradient, how many updates the parameters had seen since
        they were sent to the worker that computed it.
    """

    def __init__(self, theta: np.ndarray, rate: float, workers: int) -> None:
        self.theta, self.rate = theta, rate
        self.sent = dict.fromkeys(range(workers), 0)
        self.staleness: list[int] = []

    def pull(self) -> np.ndarray:
        """Return the parameters at the start."""
        return self.theta

    def push(self, rank: int, total: np.ndarray, n: int) -> np.ndarray:
        """Use one worker's gradient at once; return what came of it."""
        self.staleness.append(len(self.staleness) - self.sent[rank])
        self.theta = descend(self.theta, self.rate, total, n)
        self.sent[rank] = len(self.staleness)
        return self.theta

    def report(self) -> list[int]:
        """Return the staleness of all gradients so far."""
        return self.staleness
