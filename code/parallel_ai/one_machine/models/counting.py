"""Counting instead of believing: tasks sent, threads at work."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import joblib
import psutil
from joblib.parallel import ThreadingBackend
from threadpoolctl import threadpool_info

# Seconds. Two counters, each in steps of about 10 ms, may both move one step
# for a thread that has done next to nothing.
TWO_STEPS = 0.025

Result = TypeVar("Result")


class Counter(ThreadingBackend):
    """A backend for joblib that runs tasks in threads and counts them."""

    tasks = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(nesting_level=0, **options)

    def submit(self, func: Any, callback: Any = None) -> Any:
        """Take a batch of tasks from joblib."""
        self.tasks += len(func)
        return super().submit(func, callback)


def tasks_sent(job: Callable[[], Any], workers: int = 2) -> int:
    """Count the tasks that a call hands to joblib.

    Parameters
    ----------
    job : callable
        With `n_jobs` left at None, so that joblib's own setting counts.
    workers : int
        At least 2: with one, joblib calls the functions directly.
    """
    counter = Counter()
    with joblib.parallel_config(backend=counter, n_jobs=workers):
        job()
    return counter.tasks


def threads_at_work(
    job: Callable[[], Result], every: float = 0.01
) -> tuple[Result, int]:
    """Call a function and count the threads that used a CPU meanwhile.

    It counts what the operating system sees, in whatever language the
    threads were started: `threading` knows only Python's own, and
    `threadpoolctl` only what a library was told through its interface.

    Meanwhile Python's threads pass the interpreter's lock to each other
    fifty times as often: the watcher needs it at every file that it reads.

    Parameters
    ----------
    job : callable
        Should take some tenths of a second: CPU time comes in steps of
        about 10 ms, and a thread that used less than three steps is not seen.
    every : float
        Seconds between two looks, since some threads end before the job.

    Returns
    -------
    result, threads
        At least 1: something has done it.
    """
    process = psutil.Process()
    used: dict[int, float] = {}
    watchers: list[int] = []
    ready, done = threading.Event(), threading.Event()
    before = {one.id: one.user_time + one.system_time for one in _all(process)}

    def look() -> None:
        for one in _all(process):
            spent = one.user_time + one.system_time - before.get(one.id, 0)
            used[one.id] = max(spent, used.get(one.id, 0))

    def watch() -> None:
        watchers.append(threading.get_native_id())
        ready.set()
        while not done.wait(every):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    ready.wait(60)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    begun = time.thread_time()
    try:
        result = job()
    finally:
        own = time.thread_time() - begun
        sys.setswitchinterval(usual)
        look()
        done.set()
        watcher.join()
    # The caller has also read the files of all others, before and after.
    used[threading.get_native_id()] = own
    busy = [who for who, spent in used.items() if spent > TWO_STEPS]
    return result, max(1, len(set(busy) - set(watchers)))


def _all(process: psutil.Process) -> list[Any]:
    """Threads of a process, one by one, as the system counts them."""
    try:
        return process.threads()
    except psutil.Error:  # some systems do not tell
        return []


def pools() -> dict[str, int]:
    """Tell how many threads each kind of library would use, here and now.

    Returns
    -------
    dict of str to int
        The most of any loaded library, by "blas" and "openmp".
    """
    most: dict[str, int] = {}
    for library in threadpool_info():
        kind = library["user_api"]
        most[kind] = max(most.get(kind, 0), library["num_threads"])
    return most
