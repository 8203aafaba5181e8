"""A worker that hangs: a second copy of its task, and who is to be believed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distributed import Client, Future, TimeoutError, wait

from parallel_ai.many_machines.failures.faults import (
    SECONDS,
    stopped,
    wait_for_file,
)
from parallel_ai.many_machines.failures.journal import Tally, noted, tally
from parallel_ai.toolbox.cluster import wait_until


def second_copy(
    client: Client, first: Future, function: Callable[..., Any], *args: Any
) -> Any:
    """Do a task once more, elsewhere, and return what comes first.

    The copy that loses is cancelled. If it has begun it goes on to its end,
    for a thread that runs cannot be stopped.
    """
    slow = {w for w, keys in client.processing().items() if first.key in keys}
    others = [worker for worker in client.nthreads() if worker not in slow]
    second = client.submit(function, *args, pure=False, workers=others)
    try:
        done, _ = wait(
            [first, second], timeout=SECONDS, return_when="FIRST_COMPLETED"
        )
        return done.pop().result()
    finally:
        client.cancel([first, second])


def hedged(
    client: Client, function: Callable[..., Any], *args: Any, after: float
) -> Any:
    """Compute on the cluster; if it takes long, also on another worker.

    Parameters
    ----------
    function : callable
        Does no harm when it is done twice.
    after : float
        Seconds after which the second copy is sent: best a time that all
        but a few tasks stay below.

    Returns
    -------
    object
        What the first copy to finish returned.
    """
    first = client.submit(function, *args, pure=False)
    try:
        return first.result(timeout=after)
    except TimeoutError:
        return second_copy(client, first, function, *args)


def hang_and_hedge(client: Client, folder: Path) -> Tally:
    """Stop a worker in its task, have the task done elsewhere, wake it.

    Returns
    -------
    Tally
        What was begun and ended, when the sleeper has done its part, too.
    """
    journal, gate = folder / "journal", folder / "gate"
    worker = min(client.nthreads())
    task = (noted, journal, "task", wait_for_file, gate)
    first = client.submit(*task, workers=[worker], pure=False)
    wait_until(lambda: tally(journal).begun == 1, "the task has begun")
    with stopped(client, worker):
        gate.touch()
        second_copy(client, first, *task)
    wait_until(lambda: tally(journal).again == 1, "the sleeper has ended it")
    return tally(journal)


def presumed_dead(client: Client, folder: Path) -> tuple[float, Tally]:
    """Stop a worker in its task until the scheduler gives it up; wake it.

    Only for workers that no nanny watches: a nanny would kill it.

    Returns
    -------
    tuple
        Seconds until the result was there, from another worker; what was
        begun and ended, when the sleeper has done its part, too.
    """
    journal, gate = folder / "journal", folder / "gate"
    worker = min(client.nthreads())
    future = client.submit(
        noted, journal, "task", wait_for_file, gate,
        workers=[worker], allow_other_workers=True, pure=False,
    )  # fmt: skip
    wait_until(lambda: tally(journal).begun == 1, "the task has begun")
    start = time.perf_counter()
    with stopped(client, worker):
        gate.touch()
        future.result(timeout=SECONDS)
        seconds = time.perf_counter() - start
    wait_until(lambda: tally(journal).again == 1, "the sleeper has ended it")
    return seconds, tally(journal)
