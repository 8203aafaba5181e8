"""Two locks: a deadlock, and two ways to make it impossible."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

weights = threading.Lock()
replay = threading.Lock()


def learner(met: threading.Barrier) -> None:
    """Write new weights, then read a batch from the replay buffer."""
    with weights:
        met.wait(10)  # by now each thread holds its first lock
        with replay:
            pass


def actor(met: threading.Barrier) -> None:
    """Write experience into the replay buffer, then read the weights."""
    with replay:
        met.wait(10)
        with weights:
            pass


def deadlock() -> None:
    """Let learner and actor wait for each other, for ever."""
    met = threading.Barrier(2)
    team = [
        threading.Thread(target=job, args=(met,), name=job.__name__)
        for job in (learner, actor)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()


@contextmanager
def all_of(*locks: threading.Lock) -> Iterator[None]:
    """Hold several locks, taken in an order that all threads agree on.

    The order is that of the locks' addresses: any order will do, if only
    it is the same for everyone. A lock given twice is taken once.
    """
    with ExitStack() as held:
        for lock in sorted(set(locks), key=id):
            lock.acquire()
            held.callback(lock.release)
        yield


def within(
    seconds: float, *locks: threading.Lock
) -> Callable[[], None] | None:
    """Take several locks, or none if one cannot be had in time.

    Returns
    -------
    callable or None
        Releases them all; None if nothing was taken. Whoever gets None
        should wait a moment, of random length, before trying again.
    """
    with ExitStack() as held:
        for lock in locks:
            if not lock.acquire(timeout=seconds):
                return None
            held.callback(lock.release)
        return held.pop_all().close
