"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections.abc import Callable

from parallel_ai.toolbox.exercises import exercise


def _check_kind(candidate: Callable[[float, float, float], str]) -> None:
    for arguments, expected in [
        ((10.0, 0.2, 1.0), "waits"),
        ((10.0, 9.9, 1.95), "locked"),
        ((10.0, 9.9, 1.05), "free"),
        ((10.0, 19.0, 1.9), "parallel already"),
        ((0.001, 0.0001, 1.0), "waits"),
    ]:
        got = candidate(*arguments)
        assert got == expected, (
            f"kind_of_job{arguments} is {got!r}, expected {expected!r}"
        )


@exercise(_check_kind)
def kind_of_job(wall: float, cpu: float, two_threads: float) -> str:
    """Say what kind of job it is, from three measurements.

    Parameters
    ----------
    wall, cpu : float
        Seconds of wall time and of CPU time of one run.
    two_threads : float
        Time until two threads have each done it, in units of one run.

    Returns
    -------
    str
        "parallel already" if more than 1.5 CPUs were busy; "waits" if
        less than half a CPU was; else "locked" if two threads took more
        than 1.5 times as long as one, and "free" if they did not.
    """
    if cpu > 1.5 * wall:
        return "parallel already"
    if cpu < 0.5 * wall:
        return "waits"
    return "locked" if two_threads > 1.5 else "free"


def _check_most_workers(
    candidate: Callable[[int, int, int, int], int],
) -> None:
    for arguments, expected in [
        ((8, 16, 0, 1), 8),
        ((8, 16, 0, 4), 4),
        ((8, 16, 8, 4), 2),
        ((8, 16, 0, 20), 0),
        ((8, 16, 16, 1), 0),
        ((2, 100, 1, 3), 2),
    ]:
        got = candidate(*arguments)
        assert got == expected, (
            f"most_workers{arguments} is {got}, expected {expected}"
        )


@exercise(_check_most_workers)
def most_workers(cpus: int, memory: int, shared: int, each: int) -> int:
    """Say how many workers fit: into the CPUs, and into memory.

    Parameters
    ----------
    cpus : int
        CPUs that may be used.
    memory : int
        Bytes that may be used.
    shared : int
        Bytes that all workers together need once.
    each : int
        Bytes that every worker needs for itself, at least 1.

    Returns
    -------
    int
        The most workers that may run, 0 if not even one fits.
    """
    return max(0, min(cpus, (memory - shared) // each))


def _check_chunk(candidate: Callable[[float, float, float], int]) -> None:
    for arguments, expected in [
        ((1e-3, 1e-6, 0.1), 9000),
        ((1e-3, 1.0, 0.1), 1),
        ((0.0, 1e-3, 0.5), 1),
        ((2.0, 1.0, 0.5), 2),
    ]:
        got = candidate(*arguments)
        assert got == expected, (
            f"least_chunk{arguments} is {got}, expected {expected}"
        )


@exercise(_check_chunk)
def least_chunk(overhead: float, item: float, share: float) -> int:
    """Put so many items into a task that handing it out costs little.

    Parameters
    ----------
    overhead : float
        Seconds that each task costs besides its work.
    item : float
        Seconds of work for one item, more than 0.
    share : float
        Greatest share of a task's time that may be overhead, 0 < share < 1.

    Returns
    -------
    int
        The least number of items a task, at least 1.
    """
    count = 1
    exact = overhead * (1 - share) / (share * item)
    if exact > 1:
        count = int(exact)
        if count < exact * (1 - 1e-9):
            count += 1
    return count
