"""Starting workers, and what they find."""

import os
import sys
from typing import Any

from parallel_ai.toolbox.workers import LIMIT, SAFE, start_context

counter = 0  # every process has its own


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
