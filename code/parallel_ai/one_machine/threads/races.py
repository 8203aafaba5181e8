"""A race that really happens, and four ways out of it."""

import queue
import threading
from collections.abc import Callable
from itertools import repeat

n = 0  # what all threads add to
lock = threading.Lock()


def add_plain(times: int) -> None:
    """Add with nothing in between."""
    global n
    for _ in range(times):
        n += 1


def add_called(times: int) -> None:
    """Add with a call between reading and writing."""
    global n
    for _ in range(times):
        n = int(n) + 1


def add_locked(times: int) -> None:
    """Add with a call in between, by one thread at a time."""
    global n
    for _ in range(times):
        with lock:
            n = int(n) + 1


def together(*jobs: Callable[[], object]) -> None:
    """Run each job in a thread of its own and wait for all."""
    team = [threading.Thread(target=job) for job in jobs]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()


def count(add: Callable[[int], None], times: int, threads: int = 4) -> int:
    """Let threads add ``times`` ones each to `n`; return what it is then."""
    global n
    n = 0
    together(*repeat(lambda: add(times), threads))
    return n


def count_queued(times: int, threads: int = 4) -> int:
    """Count by messages: one thread owns the sum, the others write to it."""
    letters: queue.SimpleQueue[int] = queue.SimpleQueue()

    def send() -> None:
        for _ in range(times):
            letters.put(1)

    team = [threading.Thread(target=send) for _ in range(threads)]
    for thread in team:
        thread.start()
    total = 0
    for _ in range(times * threads):
        total = int(total) + letters.get(timeout=60)
    for thread in team:
        thread.join()
    return total


def count_apart(times: int, threads: int = 4) -> int:
    """Count without sharing: each thread its own sum, added up at the end."""
    sums: list[int] = []

    def work() -> None:
        mine = 0
        for _ in range(times):
            mine = int(mine) + 1
        sums.append(mine)

    together(*repeat(work, threads))
    return sum(sums)


def lose_on_purpose() -> int:
    """Add one twice, in the one order in which it counts once."""
    value = 0
    has_read, has_written = threading.Event(), threading.Event()

    def first() -> None:
        nonlocal value
        mine = value  # read …
        has_read.set()
        has_written.wait(60)
        value = mine + 1  # … and write what was true once

    def second() -> None:
        nonlocal value
        has_read.wait(60)
        value += 1
        has_written.set()

    together(first, second)
    return value
