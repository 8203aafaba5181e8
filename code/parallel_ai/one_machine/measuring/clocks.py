"""Clocks: what they count, how finely, and what they can be told to miss."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def wall_and_cpu(
    function: Callable[..., Any], *args: Any
) -> tuple[float, float]:
    """Call a function once and read both clocks around it.

    Returns
    -------
    wall, cpu : float
        Seconds that passed, and seconds that all threads of this process
        together kept CPUs busy. Child processes are not counted.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    function(*args)
    return time.perf_counter() - wall, time.process_time() - cpu


def clock_step(clock: Callable[[], float], readings: int = 100_000) -> float:
    """Find the smallest step, in seconds, by which a clock moves on."""
    times = np.array([clock() for _ in range(readings)])
    steps = np.diff(times)
    return float(steps[steps > 0].min())


@njit(nogil=True, fastmath=True)
def add_up_in_vain(numbers: np.ndarray) -> None:  # pragma: no cover
    """Add numbers up and forget the sum: the compiler drops the loop."""
    total = 0.0
    for i in range(numbers.size):
        total += numbers[i]
