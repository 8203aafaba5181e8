"""The idea of the chapter: what is learnt from a part, and merged.

A fit can be distributed when what it needs to know of the rows is small,
and when two such summaries can be merged into that of all their rows. The
rows then stay where they are.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, TypeVar

import numpy as np
from distributed import Client, wait

from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.stopwatch import Timing

SECONDS = 120  # for any one step on the cluster
Summary = TypeVar("Summary")


def merge_serial(
    summarise: Callable[..., Summary],
    parts: Sequence[Any],
    merge: Callable[[Summary, Summary], Summary],
    **fixed: Any,
) -> Summary:
    """Summarise the parts of a table, one after the other, and merge.

    Parameters
    ----------
    summarise : callable
        Takes a part, and `fixed` by name.
    parts : sequence
        At least one.
    merge : callable
        Makes of two summaries that of all their rows. Associative: it must
        not matter which two are merged first.

    Raises
    ------
    ValueError
        There are no parts.
    """
    _at_least_one(parts)
    return reduce(merge, (summarise(part, **fixed) for part in parts))


def merge_cluster(
    client: Client,
    summarise: Callable[..., Summary],
    parts: Sequence[Any],
    merge: Callable[[Summary, Summary], Summary],
    **fixed: Any,
) -> Summary:
    """Do the same on a cluster: where the parts are, then across workers.

    Each worker merges what it has, so that one summary for each *worker*
    crosses the network, not one for each part.

    Parameters
    ----------
    client : distributed.Client
    summarise, merge : callable
        Functions of a module, since the workers import them.
    parts : sequence
        Futures, which stay where they are, or small values such as paths.

    Raises
    ------
    ValueError
        There are no parts.
    Exception
        What `summarise` or `merge` raised on a worker.
    TimeoutError
        The parts took longer than `SECONDS`.
    """
    _at_least_one(parts)
    summaries = client.map(summarise, parts, pure=False, **fixed)
    wait(summaries, timeout=SECONDS)
    for summary in summaries:
        if summary.status == "error":
            summary.result()  # raises what was raised there
    held: dict[str, list[Any]] = {}
    for summary, (worker, *_) in zip(
        summaries, _holders(client, summaries), strict=True
    ):
        held.setdefault(worker, []).append(summary)
    merged = [
        client.submit(reduce, merge, own, workers=[worker], pure=False)
        for worker, own in held.items()
    ]
    root = client.submit(reduce, merge, merged, pure=False)
    return root.result(timeout=SECONDS)


def _at_least_one(parts: Sequence[Any]) -> None:
    if not len(parts):
        raise ValueError("there is nothing to learn from: no parts")


def _holders(client: Client, futures: Sequence[Any]) -> list[Sequence[str]]:
    where = client.who_has(futures)
    return [where[future.key] for future in futures]


def add(a: Summary, b: Summary) -> Summary:
    """Merge two named tuples whose fields add up."""
    return type(a)(*(i + j for i, j in zip(a, b, strict=True)))  # type: ignore


def sent_bytes(client: Client) -> int:
    """Bytes of data that the workers have sent so far, by their own count.

    To other workers, and to the client; not what the client sends to them,
    nor the messages between them and the scheduler.
    """
    return sum(client.run(_outgoing).values())


def _outgoing(dask_worker: Any) -> int:
    return dask_worker.transfer_outgoing_bytes_total


def tasks_done(
    client: Client, job: Callable[[], Any]
) -> tuple[Any, Counter[str]]:
    """Do a job, and count the tasks that the workers did for it, by name."""
    with cluster.watched(client) as spans:
        result = job()
    done = {span.key: span.name for span in spans if span.action == "compute"}
    return result, Counter(done.values())


def journey(client: Client, size: int, repeats: int = 5) -> Timing:
    """Time for an array of `size` bytes to go from one worker to another.

    Without the time that an empty task takes.
    """
    here, there, *_ = client.scheduler_info()["workers"]
    times = []
    for _ in range(repeats + 1):
        box = client.submit(_box, size, workers=[here], pure=False)
        wait(box, timeout=SECONDS)
        begun = time.perf_counter()
        client.submit(len, box, workers=[there], pure=False).result(SECONDS)
        took = time.perf_counter() - begun
        begun = time.perf_counter()
        client.submit(len, b"", workers=[there], pure=False).result(SECONDS)
        times.append(max(0.0, took - (time.perf_counter() - begun)))
    return Timing(tuple(times[1:]))


def _box(size: int) -> np.ndarray:
    return np.ones(size, np.uint8)
