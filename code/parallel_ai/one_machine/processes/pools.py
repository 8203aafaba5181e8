"""Starting workers, and ending them whatever happens."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any

LIMIT = 120.0  # seconds: no wait in this chapter lasts longer
SAFE = "forkserver" if sys.platform == "linux" else "spawn"

counter = 0  # every process has its own


def start_context(method: str = SAFE) -> BaseContext:
    """Return the start method, ready to start workers of this chapter.

    A fork server imports the chapter once, before its first fork, so that
    no worker has to. It must be told before it starts.
    """
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload([__package__])
    return context


def report_in(number: int, mailbox: Any) -> None:
    """Post this worker's number and the id of the process it runs in."""
    mailbox.put((number, os.getpid()))


def five_workers(method: str = SAFE) -> list[tuple[int, int]]:
    """Start five processes and collect their reports.

    Returns
    -------
    list of (number, process id)
        In the order in which they arrived, which nothing promises.

    Raises
    ------
    queue.Empty
        A report is missing after `LIMIT` seconds.
    """
    context: Any = start_context(method)
    mailbox = context.Queue()
    workers = [
        context.Process(target=report_in, args=(number, mailbox))
        for number in range(5)
    ]
    for worker in workers:
        worker.start()
    reports = [mailbox.get(timeout=LIMIT) for _ in workers]
    for worker in workers:
        worker.join()
    mailbox.close()
    return reports


def count_up(_: Any = None) -> int:
    """Add one to this module's counter and return what it is now."""
    global counter
    counter += 1
    return counter


def look_around(variable: str) -> dict[str, Any]:
    """Tell what this process can see of the one that started it."""
    return {
        "counter": counter,
        "variable": os.environ.get(variable),
        "modules": len(sys.modules),
    }


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
    try:
        yield team
    except BaseException:
        # Public from Python 3.14 on, as `terminate_workers`.
        for process in list((team._processes or {}).values()):
            process.terminate()
        raise
    finally:
        team.shutdown(cancel_futures=True)
