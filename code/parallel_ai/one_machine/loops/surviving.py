"""Loops that lose nothing: by an error, a killed worker, a killed program."""

import os
import reprlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import joblib
import numpy as np
import psutil
from joblib import wrap_non_picklable_objects

from parallel_ai.one_machine.loops.caching import fingerprint
from parallel_ai.one_machine.loops.delays import Item, Result, delay_interval
from parallel_ai.toolbox.workers import LIMIT, executor

Progress = Callable[[int, int], object]


def named(function: Callable[[Item], Result], item: Item) -> Result:
    """Call a function, and let an error say with what it was called."""
    try:
        return function(item)
    except Exception as error:
        error.add_note(f"while working on {_short(item)}")
        raise


def die_with(process: int) -> None:
    """Watch a process from a thread, and end this one when that one ends.

    An ``initializer`` for joblib's workers, which otherwise outlive a
    killed program until they have been idle for five minutes.
    """

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            watched = psutil.Process(process)
            # Dead but not buried counts as dead: whoever should bury it may
            # be waiting for this process to close its output.
            while watched.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.2)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def left_behind(cured: bool, seconds: float = 1.0) -> int:
    """Kill a program in its loop; count its workers that are still there.

    Parameters
    ----------
    cured : bool
        Whether its workers have `die_with` as initializer.
    seconds : float
        How long to wait for their end; then they are killed.
    """
    # A pipe would be waited for until all who hold it have ended.
    with tempfile.TemporaryFile("w+", encoding="utf8") as output:
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", KILLED, "cured" if cured else ""],
            check=False,  # it ends by kill -9
            stdout=output,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT,
        )
        output.seek(0)
        numbers = [int(word) for word in output.read().split()]
    workers = [psutil.Process(n) for n in numbers if psutil.pid_exists(n)]
    _, alive = psutil.wait_procs(workers, timeout=seconds)
    for worker in alive:
        worker.kill()
    return len(alive)


KILLED = """
import os, sys, psutil
from joblib import Parallel, delayed
from parallel_ai.one_machine.loops import die_with

cure = {"initializer": die_with, "initargs": (os.getpid(),)}
team = Parallel(2, return_as="generator", **cure if sys.argv[1] else {})
results = team(delayed(abs)(i) for i in range(100))
next(results)
started = [
    child.pid
    for child in psutil.Process().children()
    if not any("resource_tracker" in word for word in child.cmdline())
]
print(*started, flush=True)
psutil.Process().kill()
"""


def killed_in_august(path: str) -> np.ndarray:
    """Do as `delay_interval`, but be killed for August, as for memory."""
    if "-08" in Path(path).name:
        psutil.Process().kill()
    return delay_interval(path)


@dataclass(frozen=True)
class Task:
    """One call of a loop, and where its result is kept."""

    number: int
    item: Any
    file: Path

    @property
    def mark(self) -> Path:
        """File that is there while somebody works on the task."""
        return self.file.with_suffix(".begun")

    def note(self, error: Exception) -> Exception:
        """Let an error say to which task it belongs."""
        error.add_note(_place(self.number, self.item))
        return error


def keep(function: Callable[[Any], Any], item: Any, file: Path) -> None:
    """Do one task and save its result: all of it under its name, or none.

    Runs in the worker, so that what is done stays done whatever happens to
    the program, to other workers or to the way back.
    """
    mark = file.with_suffix(".begun")
    unfinished = file.with_suffix(f".{os.getpid()}")
    mark.touch()
    try:
        result = np.asarray(function(item))
        with open(unfinished, "wb") as stream:
            np.save(stream, result, allow_pickle=False)
        os.replace(unfinished, file)
    finally:  # reached after an error, not after a kill
        unfinished.unlink(missing_ok=True)
        mark.unlink(missing_ok=True)


def keep_going(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    folder: str | Path,
    workers: int = 2,
    progress: Progress | None = None,
) -> list[np.ndarray]:
    """Apply a function to all items; nothing that was done is done again.

    A task that fails does not stop the others. Called again, perhaps after
    the program was killed, it computes what is missing. A task whose worker
    was killed gets a second try, alone, with all the memory.

    Parameters
    ----------
    function : callable
        A plain function that returns numbers or an array. Its source is
        part of the key: edit it, and all is computed anew. What it calls,
        and variables that it finds outside of itself, are not.
    items : iterable
        What it is called with, one a task; items that joblib can hash.
    folder : path
        Where the results are kept, as .npy files without pickles.
    progress : callable, optional
        Called with the tasks done and all tasks, first with those that were
        found done.

    Returns
    -------
    list of array
        In the order of the items.

    Raises
    ------
    ExceptionGroup
        Some tasks failed; all others are done and kept. Each of its
        exceptions has a note that names the task.
    """
    items = list(items)
    faults: dict[int, Exception] = {}
    tasks = _plan(items, Path(folder, fingerprint(function)), faults)
    todo = [task for task in tasks if not task.file.exists()]
    report = _reporter(len(tasks) - len(todo), len(items), progress)
    while todo:
        lost = _attempt(function, todo, workers, faults, report)
        suspects = [task for task in lost if task.mark.exists()] or lost
        for task in suspects:
            if _attempt(function, [task], 1, faults, report):
                task.mark.unlink(missing_ok=True)
                faults[task.number] = task.note(
                    BrokenProcessPool("its worker was killed, twice")
                )
        todo = [task for task in lost if task not in suspects]
    for task in tasks:  # a worker may be ended with its result kept
        if task.file.exists():
            task.mark.unlink(missing_ok=True)
    if faults:
        raise ExceptionGroup(
            f"{len(faults)} of {len(items)} tasks failed; "
            "the results of the others are kept",
            [faults[number] for number in sorted(faults)],
        )
    return [np.load(task.file, allow_pickle=False) for task in tasks]


def _plan(
    items: list[Any], folder: Path, faults: dict[int, Exception]
) -> list[Task]:
    """Give each task the file of its item; note items without a hash."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = []
    for number, item in enumerate(items):
        try:
            file = folder / f"{joblib.hash(item)}.npy"
            tasks.append(Task(number, item, file))
        except Exception as error:  # noqa: BLE001 - whatever pickle raises
            error.add_note(_place(number, item))
            faults[number] = error
    return tasks


def _attempt(
    function: Callable[[Any], Any],
    tasks: list[Task],
    workers: int,
    faults: dict[int, Exception],
    report: Callable[[], None],
) -> list[Task]:
    """Try each task once; note errors; return those that a kill undid."""
    portable = wrap_non_picklable_objects(function)  # also from a notebook
    with executor(workers) as team:
        futures = {}
        for task in tasks:
            try:
                future = team.submit(keep, portable, task.item, task.file)
            except BrokenProcessPool:  # already, by an earlier task
                break
            futures[future] = task
        for future in as_completed(futures):
            error = future.exception()
            if isinstance(error, Exception) and not isinstance(
                error, BrokenProcessPool
            ):
                task = futures[future]
                faults[task.number] = task.note(error)
            elif error is None:
                report()
    return [
        task
        for task in tasks
        if task.number not in faults and not task.file.exists()
    ]


def _reporter(
    done: int, total: int, progress: Progress | None
) -> Callable[[], None]:
    """Count results and tell the caller."""
    count = done - 1

    def report() -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(count, total)

    report()
    return report


def _place(number: int, item: Any) -> str:
    return f"in task {number}: {_short(item)}"


def _short(item: Any) -> str:
    """Write an item for people, in one line."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 44
    return short.repr(item)
