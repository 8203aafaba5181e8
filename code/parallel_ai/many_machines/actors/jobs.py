"""The same two jobs in Dask and in Ray, with the same results."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from distributed import Client

from parallel_ai.many_machines.actors.messages import (
    LIMIT,
    ask_dask,
    ask_ray,
)
from parallel_ai.many_machines.actors.quietly import ray
from parallel_ai.many_machines.actors.softmax import (
    BATCH,
    Shard,
    cross_entropy,
    gradient,
    minibatch,
    start_theta,
)

Thing = TypeVar("Thing")


# Job one: many trials of different length, and the best of them


class Trial(NamedTuple):
    """One setting of the hyper-parameters, and how good it was."""

    loss: float  # on images that were not trained on
    rate: float
    steps: int


def trial(train: Shard, held_out: Shard, rate: float, steps: int) -> Trial:
    """Train with one setting, from the start, and evaluate."""
    theta = start_theta(train.rows.shape[1])
    for step in range(steps):
        total, n = gradient(theta, *minibatch(train, step))
        theta -= np.float32(rate / n) * total
    return Trial(cross_entropy(theta, held_out), rate, steps)


def better(one: Trial, other: Trial) -> Trial:
    """Return the trial with the lower loss."""
    return min(one, other)


def tree(
    items: Iterable[Thing], merge: Callable[[Thing, Thing], Thing]
) -> Thing:
    """Merge items two by two, until one is left: log₂ n rounds.

    Raises
    ------
    ValueError
        If there is none.
    """
    items = list(items)
    if not items:
        raise ValueError("there is nothing to merge")
    while len(items) > 1:
        pairs = [items[i : i + 2] for i in range(0, len(items), 2)]
        items = [merge(*p) if len(p) == 2 else p[0] for p in pairs]
    return items[0]


def search_serial(
    train: Shard, held_out: Shard, settings: list[tuple[float, int]]
) -> Trial:
    """Find the setting of the least loss: one after the other."""
    trials = [trial(train, held_out, *setting) for setting in settings]
    return tree(trials, better)


def search_dask(
    client: Client,
    train: Shard,
    held_out: Shard,
    settings: list[tuple[float, int]],
) -> Trial:
    """Find the setting of the least loss: one task each, and a tree."""
    here, there = client.scatter([train, held_out], broadcast=True)
    trials = [
        client.submit(trial, here, there, rate, steps, pure=False)
        for rate, steps in settings
    ]
    best = tree(trials, lambda a, b: client.submit(better, a, b))
    return best.result(timeout=LIMIT)


def search_ray(
    train: Shard, held_out: Shard, settings: list[tuple[float, int]]
) -> Trial:
    """Find the setting of the least loss: one task each, and a tree."""
    here, there = ray.put(train), ray.put(held_out)
    trials = [
        ray.remote(trial).remote(here, there, rate, steps)
        for rate, steps in settings
    ]
    best = tree(trials, ray.remote(better).remote)
    return ray.get(best, timeout=LIMIT)


# Job two: workers that share the parameters of one model


def learn(
    ask: Callable[..., Any],
    rank: int,
    shard: Shard,
    steps: int,
    size: int = BATCH,
) -> list[float]:
    """Do what a worker does: compute a gradient, exchange it, go on.

    Parameters
    ----------
    ask : callable
        ``ask(method, *args)`` sends a message to the server and waits for
        its answer.

    Returns
    -------
    list of float
        Seconds of each step.
    """
    theta, times = ask("pull"), [time.perf_counter()]
    for step in range(steps):
        batch = minibatch(shard, step, size)
        theta = ask("push", rank, *gradient(theta, *batch))
        times.append(time.perf_counter())
    return list(np.diff(times))


class Trained(NamedTuple):
    """What came of training with a parameter server."""

    theta: np.ndarray
    server: Any  # the actor, which may be asked more
    step: float  # median seconds of a step


def _median(times: list[list[float]]) -> float:
    return float(np.median(times)) if any(times) else 0.0


def train_dask(
    client: Client,
    server: type,
    theta: np.ndarray,
    data: list[Shard],
    steps: int,
    rate: float,
    size: int = BATCH,
) -> Trained:
    """Train with a parameter server, one long task for each shard.

    Raises
    ------
    ValueError
        More shards than threads: a synchronous server would wait for ever
        for a worker that waits for a thread.
    """
    threads = [w for w, n in client.nthreads().items() for _ in range(n)]
    if len(data) > len(threads):
        raise ValueError(f"{len(data)} shards for {len(threads)} threads")
    threads = threads[:: max(1, len(threads) // max(1, len(data)))]
    submit = partial(client.submit, pure=False)
    home = submit(server, theta, rate, len(data), actor=True)
    learners = []
    for rank, (worker, shard) in enumerate(zip(threads, data, strict=False)):
        (there,) = client.scatter([shard], workers=[worker], hash=False)
        work = learn_dask, home, rank, there, steps, size
        learners.append(submit(*work, workers=[worker]))
    times = [learner.result(timeout=LIMIT) for learner in learners]
    actor = home.result(timeout=LIMIT)
    return Trained(ask_dask(actor, "pull"), actor, _median(times))


def learn_dask(server: Any, *work: Any) -> list[float]:
    """Learn with a server that is an actor of Dask."""
    return learn(partial(ask_dask, server), *work)


def train_ray(
    server: type,
    theta: np.ndarray,
    data: list[Shard],
    steps: int,
    rate: float,
    size: int = BATCH,
) -> Trained:
    """Train with a parameter server, one long task for each shard.

    Raises
    ------
    ValueError
        More shards than CPUs: a synchronous server would wait for ever for
        a worker that waits for a CPU.
    """
    cpus = int(ray.cluster_resources()["CPU"])
    if len(data) > cpus:
        raise ValueError(f"{len(data)} shards for {cpus} CPUs")
    actor: Any = ray.remote(server).remote(theta, rate, len(data))
    learners = [
        ray.remote(learn_ray).remote(actor, rank, shard, steps, size)
        for rank, shard in enumerate(data)
    ]
    times = ray.get(learners, timeout=LIMIT)
    return Trained(ask_ray(actor, "pull"), actor, _median(times))


def learn_ray(server: Any, *work: Any) -> list[float]:
    """Learn with a server that is an actor of Ray."""
    return learn(partial(ask_ray, server), *work)
