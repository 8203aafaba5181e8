"""Teams of worker processes that start quickly and always end.

They are explained in the chapter *Processes*, and used all over the book.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.context import BaseContext
from typing import Any

LIMIT = 120.0  # seconds: no wait for a worker lasts longer
SAFE = "forkserver" if sys.platform == "linux" else "spawn"
# What nearly every worker of this book imports.
PRELOADED = ["numpy", "psutil", "tqdm", "parallel_ai.toolbox.stopwatch"]


def start_context(method: str = SAFE) -> BaseContext:
    """Return the start method, ready to start workers of this book.

    A fork server imports `PRELOADED` once, before its first fork, so that
    no worker has to. It must be told before it starts.
    """
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    return context


def follow_parent() -> None:
    """Wait for the parent process to end, then end this one at once."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def begin(initializer: Callable[..., None] | None, *args: Any) -> None:
    """First act of a worker: leave Ctrl-C to the parent, end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=follow_parent, daemon=True).start()
    if initializer is not None:
        initializer(*args)


@contextmanager
def executor(
    workers: int,
    method: str = SAFE,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Open a `ProcessPoolExecutor` that leaves no process behind.

    On success the workers finish what they have. On any exception, Ctrl-C
    among them, waiting tasks are cancelled and running ones are killed. If
    this process itself is killed, its workers notice and end.

    Parameters
    ----------
    workers : int
        At least 1.
    method : str
        "fork", "spawn" or "forkserver".
    initializer, initargs
        Called once in each worker before its first task.
    """
    team = ProcessPoolExecutor(
        workers, start_context(method), begin, (initializer, *initargs)
    )
    # All workers start with the first task, as with fork: in Python 3.11 one
    # that starts while another one dies is left behind, and waited for.
    team._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]
    try:
        yield team
    except BaseException:
        # Public from Python 3.14 on, as `terminate_workers`.
        for process in list((team._processes or {}).values()):
            process.terminate()
        raise
    finally:
        team.shutdown(cancel_futures=True)


def bounds(count: int, parts: int) -> list[tuple[int, int]]:
    """Cut ``range(count)`` into at most `parts` runs of nearly equal length.

    >>> bounds(10, 3)
    [(0, 4), (4, 7), (7, 10)]

    Raises
    ------
    ValueError
        There are no parts.
    """
    if parts < 1:
        raise ValueError(f"cannot cut into {parts} parts; use at least 1")
    size, longer = divmod(count, parts)
    stops = [size * i + min(i, longer) for i in range(parts + 1)]
    return [(a, b) for a, b in pairwise(stops) if a < b]
