"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

from parallel_ai.toolbox.exercises import exercise


def _check_cpus_granted(candidate: Callable[[str, int], int]) -> None:
    cases = [
        ("max 100000", 8, 8),
        ("200000 100000", 8, 2),
        ("150000 100000", 8, 2),
        ("50000 100000", 8, 1),
        ("400000 50000", 4, 4),
        ("800000 100000\n", 2, 2),
    ]
    for cpu_max, allowed, expected in cases:
        got = candidate(cpu_max, allowed)
        assert got == expected, (
            f"cpus_granted({cpu_max!r}, {allowed}) returned {got!r}, "
            f"expected {expected}"
        )


@exercise(_check_cpus_granted)
def cpus_granted(cpu_max: str, allowed: int) -> int:
    """Say how many workers a container can keep busy.

    Parameters
    ----------
    cpu_max : str
        What the container's file ``cpu.max`` says: a quota and a period in
        microseconds, such as ``"150000 100000"``, or ``"max 100000"`` if
        there is no quota.
    allowed : int
        CPUs on which the process may run (its affinity).

    Returns
    -------
    int
        Whole workers, at least 1. Part of a CPU counts as one: a quota of
        1.5 CPUs keeps two workers busy, though not all of the time.
    """
    quota, period = cpu_max.split()
    if quota == "max":
        return allowed
    return min(allowed, math.ceil(int(quota) / int(period)))


def _check_karp_flatt(candidate: Callable[[int, float], float]) -> None:
    for workers, serial in [(2, 0.0), (2, 0.25), (4, 0.1), (64, 0.01)]:
        speedup = 1 / (serial + (1 - serial) / workers)
        got = candidate(workers, speedup)
        assert math.isclose(got, serial, abs_tol=1e-9), (
            f"karp_flatt({workers}, {speedup:.4f}) returned {got!r}, expected "
            f"{serial}: put it back into Amdahl's law and see whether the "
            "speed-up comes out again"
        )
    got = candidate(4, 4.4)
    assert got < 0, (
        f"karp_flatt(4, 4.4) returned {got!r}, expected a negative number: "
        "a speed-up above the number of workers (more cache, say) is no "
        "error, and must not be hidden"
    )


@exercise(_check_karp_flatt)
def karp_flatt(workers: int, speedup: float) -> float:
    """Find the serial fraction that a measured speed-up betrays.

    Amdahl's law predicts a speed-up from a serial fraction. Solve it for
    the fraction. Karp and Flatt proposed to compute it for every number of
    workers that was measured: if it stays the same, the cause is serial
    work; if it grows, the cause is overhead that grows with the workers.

    Parameters
    ----------
    workers : int
        At least 2.
    speedup : float
        Measured with that many workers, above 0.

    Returns
    -------
    float
        The fraction; negative if the speed-up exceeds the workers.
    """
    return (1 / speedup - 1 / workers) / (1 - 1 / workers)


def _check_least_seconds(
    candidate: Callable[[float, float, dict[str, float]], float],
) -> None:
    machine = {"operations": 1e11, "bytes": 2e10}
    cases = [
        (1e11, 0.0, 1.0, "only arithmetic"),
        (0.0, 4e10, 2.0, "only data to move"),
        (1e11, 4e10, 2.0, "both, and they overlap"),
        (5e11, 4e10, 5.0, "both, and they overlap"),
        (0.0, 0.0, 0.0, "nothing to do"),
    ]
    for operations, moved, expected, what in cases:
        got = candidate(operations, moved, machine)
        assert math.isclose(got, expected), (
            f"least_seconds({operations:g}, {moved:g}, {machine}) returned "
            f"{got!r}, expected {expected} ({what})"
        )


@exercise(_check_least_seconds)
def least_seconds(
    operations: float, moved: float, roofs: dict[str, float]
) -> float:
    """Say how long a job takes at the very least on a machine.

    A processor computes while its memory delivers, so the two overlap and
    the slower one decides. This is the roofline model.

    Parameters
    ----------
    operations : float
        Additions and multiplications that the job needs.
    moved : float
        Bytes that it must read from memory or write there.
    roofs : dict
        What the machine can do in a second: ``operations`` and ``bytes``.

    Returns
    -------
    float
        Seconds. A measurement below it is wrong, or the caches helped.
    """
    return max(operations / roofs["operations"], moved / roofs["bytes"])
