"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import heapq
import os
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib import Parallel, delayed

from parallel_ai.toolbox.exercises import exercise


def _check_makespan(
    candidate: Callable[[list[float], int, int], float],
) -> None:
    one_long = [1.0] * 11 + [9.0]
    cases = [
        (([], 2, 1), 0),
        (([3.0, 4.0], 1, 1), 7),
        (([3.0, 4.0], 4, 1), 4),
        (([4.0, 1.0, 1.0, 1.0], 2, 1), 4),
        (([4.0, 1.0, 1.0, 1.0], 2, 2), 5),
        ((one_long, 2, 1), 14),
        ((one_long[::-1], 2, 1), 10),
        (([1.0] * 7, 3, 2), 3),
        (([1.0] * 7, 3, 100), 7),
    ]
    for arguments, expected in cases:
        got = candidate(*arguments)
        assert np.isclose(got, expected), (
            f"makespan{arguments} returned {got}, expected {expected}"
        )


@exercise(_check_makespan)
def makespan(seconds: list[float], workers: int, batch: int) -> float:
    """Predict how long a parallel loop takes if overhead costs nothing.

    The tasks are cut into batches in their order. Whenever a worker is free
    it takes the next batch and does its tasks one after the other.

    Parameters
    ----------
    seconds : list of float
        What each task takes.
    workers : int
        At least 1, possibly more than there are batches.
    batch : int
        Tasks in a batch, at least 1; the last may have fewer.

    Returns
    -------
    float
        Seconds until the last worker is done; 0 if there are no tasks.
    """
    free = [0.0] * workers
    for start in range(0, len(seconds), batch):
        until = heapq.heappop(free) + sum(seconds[start : start + batch])
        heapq.heappush(free, until)
    return max(free)


def _reciprocal(log: str, number: int) -> float:
    """Fail for 0, and leave a line that says it was called, and by whom."""
    with open(log, "a", encoding="utf8") as file:
        file.write(f"{number} {os.getpid()}\n")
    return 1 / number


def _check_settle(
    candidate: Callable[[Callable[[int], float], list[int], int], list],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        for numbers in ([], [4], [0], [1, 0, 2, 4, 0]):
            log.write_text("", encoding="utf8")
            call = partial(_reciprocal, str(log))
            try:
                got = candidate(call, numbers, 2)
            except ZeroDivisionError:
                raise AssertionError(
                    f"settle(reciprocal, {numbers}, 2) raised the error of "
                    "a task: it should be among the results"
                ) from None
            called = f"settle(reciprocal, {numbers}, 2)"
            assert len(got) == len(numbers), (
                f"{called} returned {len(got)} results, "
                f"expected {len(numbers)}"
            )
            for number, one in zip(numbers, got, strict=True):
                right = (
                    one == 1 / number
                    if number
                    else isinstance(one, ZeroDivisionError)
                )
                assert right, f"{called} has {one!r} in the place of {number}"
            calls = [
                line.split() for line in log.read_text("utf8").splitlines()
            ]
            assert len(calls) == len(numbers), (
                f"{called} made {len(calls)} calls, expected {len(numbers)}"
            )
            here = str(os.getpid())
            assert all(process != here for _, process in calls), (
                f"{called} called the function in this process"
            )


@exercise(_check_settle)
def settle(
    function: Callable[[Any], Any], items: Iterable[Any], workers: int
) -> list[Any]:
    """Apply a function to all items in parallel, and let none stop the rest.

    Use `Parallel` with joblib's own backend. What runs in a worker may be a
    function inside of yours: joblib sends it by value.

    Parameters
    ----------
    function : callable
        May raise any `Exception` for some of the items.
    workers : int
        At least 2.

    Returns
    -------
    list
        In the order of the items: what the function returned, or the
        exception object that it raised.
    """

    def settled(item: Any) -> Any:
        try:
            return function(item)
        except Exception as error:  # noqa: BLE001 - it is the result
            return error

    team = Parallel(n_jobs=workers)
    return team(delayed(settled)(item) for item in items)


def _check_remember(
    candidate: Callable[[Callable[..., Any], str], Callable[..., Any]],
) -> None:
    calls: list[float] = []

    def doubled(values: np.ndarray) -> np.ndarray:
        calls.append(float(values.sum()))
        return values * 2

    def count(what: str, expected: int) -> None:
        assert len(calls) == expected, (
            f"{what}: the function was called {len(calls)} times in all, "
            f"expected {expected}"
        )

    with tempfile.TemporaryDirectory() as folder:
        values = np.arange(5.0)
        for again in range(2):  # the second time as after a new start
            function = candidate(doubled, folder)
            for array in (values, values.copy()):
                got = function(array)
                assert np.array_equal(got, values * 2), f"returned {got!r}"
                count("equal arrays" + ", a new start" * again, 1)
        function(values + 1)
        count("another array of the same shape", 2)
        function(values.astype(np.float32))
        count("the same numbers of another type", 3)
        function(values.reshape(1, 5))
        count("the same numbers in another shape", 4)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert files, "nothing was written into the folder"
        for path in files:
            os.truncate(path, path.stat().st_size // 2)
        got = function(values)
        assert np.array_equal(got, values * 2), f"returned {got!r}"
        count("files that were cut off in the middle", 5)


@exercise(_check_remember)
def remember(
    function: Callable[[np.ndarray], np.ndarray], folder: str
) -> Callable[[np.ndarray], np.ndarray]:
    """Build a small Memory: results on disk, without pickles.

    Parameters
    ----------
    function : callable
        Takes one array of numbers and returns one.
    folder : str
        Exists. Another program may have begun to fill it, with the same
        function, and may have been killed while it wrote.

    Returns
    -------
    callable
        Does what `function` does, but calls it only for arrays whose result
        is not in the folder. Arrays are equal if their numbers, their shape
        and their type are. A file that cannot be read is written anew.
    """

    def remembered(values: np.ndarray) -> np.ndarray:
        file = Path(folder, f"{joblib.hash(values)}.npy")
        try:
            return np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            result = function(values)
            unfinished = file.with_suffix(f".{os.getpid()}")
            with open(unfinished, "wb") as stream:
                np.save(stream, result, allow_pickle=False)
            os.replace(unfinished, file)
            return result

    return remembered
