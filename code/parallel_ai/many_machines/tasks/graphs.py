"""A task scheduler from scratch, and what a graph says before it runs."""

import heapq
import pickle
import time
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from dataclasses import dataclass
from typing import Any, NamedTuple

from dask.sizeof import sizeof

from parallel_ai.toolbox.workers import LIMIT

Graph = Mapping[Hashable, tuple[Any, ...]]


def _named(argument: Any, graph: Graph) -> Iterator[Hashable]:
    """Keys of the graph that an argument names, also within lists."""
    if isinstance(argument, list):
        for part in argument:
            yield from _named(part, graph)
    elif isinstance(argument, Hashable) and argument in graph:
        yield argument


def needs(graph: Graph, key: Hashable) -> list[Hashable]:
    """Keys of the results that a task takes, each once."""
    _, *arguments = graph[key]
    return list(dict.fromkeys(_named(arguments, graph)))


def in_order(graph: Graph, wanted: Hashable) -> list[Hashable]:
    """List what `wanted` needs, each task after its inputs, depth first.

    Raises
    ------
    ValueError
        A task needs its own result, directly or through others.
    """
    order: list[Hashable] = []
    done: dict[Hashable, bool] = {}  # False: begun, its inputs come first
    stack = [wanted]
    while stack:
        key = stack[-1]
        if key not in done:
            done[key] = False
            inputs = needs(graph, key)
            if any(done.get(other) is False for other in inputs):
                raise ValueError(f"{key!r} needs its own result")
            stack += [other for other in inputs[::-1] if other not in done]
            continue
        stack.pop()
        if not done[key]:
            done[key] = True
            order.append(key)
    return order


def _filled(argument: Any, results: Mapping[Hashable, Any]) -> Any:
    """Put results in the place of their keys."""
    if isinstance(argument, list):
        return [_filled(part, results) for part in argument]
    if isinstance(argument, Hashable) and argument in results:
        return results[argument]
    return argument


def get_serial(
    graph: Graph,
    wanted: Hashable,
    seconds: dict[Hashable, float] | None = None,
) -> Any:
    """Run a graph, one task after the other; note each task's seconds."""
    results: dict[Hashable, Any] = {}
    for key in in_order(graph, wanted):
        function, *arguments = graph[key]
        arguments = _filled(arguments, results)
        begun = time.perf_counter()
        results[key] = function(*arguments)
        if seconds is not None:
            seconds[key] = time.perf_counter() - begun
    return results[wanted]


@dataclass
class Tally:
    """What a scheduler had to hold and to send, in bytes."""

    held: int = 0
    most_held: int = 0
    sent: int = 0


def get_pool(
    graph: Graph,
    wanted: Hashable,
    pool: Executor,
    workers: int,
    places: Mapping[Hashable, float] | None = None,
    tally: Tally | None = None,
) -> Any:
    """Run a graph on a pool: a task begins when all its inputs are there.

    Parameters
    ----------
    workers
        Tasks that run at a time, at most.
    places
        Of the tasks that could begin, the one with the smallest number does.
        By default its place in `in_order`.
    tally
        Counts bytes; that takes time, too.

    Raises
    ------
    TimeoutError
        No task ended for `LIMIT` seconds.
    Exception
        Whatever a task raises; tasks that have not begun never will.
    """
    order = in_order(graph, wanted)
    places = places or {key: place for place, key in enumerate(order)}
    waits = {key: set(needs(graph, key)) for key in order}
    users: dict[Hashable, set[Hashable]] = defaultdict(set)
    for key, inputs in waits.items():
        for other in inputs:
            users[other].add(key)
    tie = {key: number for number, key in enumerate(order)}
    ready = [(places[key], tie[key], key) for key in order if not waits[key]]
    heapq.heapify(ready)
    results: dict[Hashable, Any] = {}
    running: dict[Any, Hashable] = {}
    while ready or running:
        while ready and len(running) < workers:
            *_, key = heapq.heappop(ready)
            function, *arguments = graph[key]
            arguments = _filled(arguments, results)
            if tally:
                tally.sent += len(pickle.dumps(arguments))
            running[pool.submit(function, *arguments)] = key
        done, _ = wait(running, LIMIT, FIRST_COMPLETED)
        if not done:
            raise TimeoutError(f"no task ended for {LIMIT} seconds")
        for future in done:
            key = running.pop(future)
            results[key] = future.result()
            if tally:
                tally.sent += len(pickle.dumps(results[key]))
                tally.held += sizeof(results[key])
                tally.most_held = max(tally.most_held, tally.held)
            for user in users[key]:
                waits[user].remove(key)
                if not waits[user]:
                    heapq.heappush(ready, (places[user], tie[user], user))
            for other in needs(graph, key):  # who has no user left may go
                users[other].remove(key)
                if not users[other]:
                    old = results.pop(other)
                    if tally:
                        tally.held -= sizeof(old)
    return results[wanted]


def levels(graph: Graph, wanted: Hashable) -> dict[Hashable, int]:
    """How many tasks, at least, must have ended before each can begin."""
    level: dict[Hashable, int] = {}
    for key in in_order(graph, wanted):
        before = (level[other] for other in needs(graph, key))
        level[key] = 1 + max(before, default=-1)
    return level


def work(seconds: Mapping[Hashable, float]) -> float:
    """Seconds of all tasks together: what one worker takes."""
    return sum(seconds.values())


def span(
    graph: Graph, wanted: Hashable, seconds: Mapping[Hashable, float]
) -> float:
    """Seconds of the longest chain: what any number of workers takes."""
    until: dict[Hashable, float] = {}
    for key in in_order(graph, wanted):
        begin = max((until[other] for other in needs(graph, key)), default=0)
        until[key] = begin + seconds[key]
    return until[wanted]


def brackets(work: float, span: float, workers: int) -> tuple[float, float]:
    """Bound the seconds that workers take who are never idle without need.

    Returns
    -------
    tuple of float
        No schedule takes less than the first; none that leaves no worker
        idle while a task is ready takes more than the second.

    Notes
    -----
    Graham (1969), https://doi.org/10.1137/0117039; Brent (1974),
    https://doi.org/10.1145/321812.321815
    """
    return max(work / workers, span), (work - span) / workers + span


class Placed(NamedTuple):
    """Which worker would run a task when; seconds."""

    key: Hashable
    worker: int
    start: float
    stop: float


def schedule(
    graph: Graph,
    wanted: Hashable,
    seconds: Mapping[Hashable, float],
    workers: int,
    places: Mapping[Hashable, float] | None = None,
) -> list[Placed]:
    """Work out what `get_pool` would do, if tasks took so many seconds.

    Parameters
    ----------
    seconds
        Of each task.
    places
        As for `get_pool`.

    Returns
    -------
    list of Placed
        By start. Of several free workers the first one takes a task.
    """
    order = in_order(graph, wanted)
    places = places or {key: place for place, key in enumerate(order)}
    waits = {key: set(needs(graph, key)) for key in order}
    tie = {key: number for number, key in enumerate(order)}
    ready = [(places[key], tie[key], key) for key in order if not waits[key]]
    heapq.heapify(ready)
    free = list(range(workers))  # in order, so a heap
    running: list[tuple[float, int, Hashable]] = []
    found: list[Placed] = []
    now = 0.0
    while ready or running:
        while ready and free:
            *_, key = heapq.heappop(ready)
            worker = heapq.heappop(free)
            stop = now + seconds[key]
            found.append(Placed(key, worker, now, stop))
            heapq.heappush(running, (stop, worker, key))
        now = running[0][0]
        while running and running[0][0] == now:
            _, worker, done = heapq.heappop(running)
            heapq.heappush(free, worker)
            for key, inputs in waits.items():
                if done in inputs:
                    inputs.remove(done)
                    if not inputs:
                        heapq.heappush(ready, (places[key], tie[key], key))
    return found
