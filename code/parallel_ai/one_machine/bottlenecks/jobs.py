"""Jobs whose profile is known, to test profilers on.

This module imports nothing but the standard library, so that a program made
of its own source starts at once.
"""

import hashlib
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path


def minutes(clock: int) -> int:
    """Minutes since midnight; 1730 is half past five in the afternoon."""
    return clock // 100 * 60 + clock % 100


def sum_called(times: Sequence[int]) -> int:
    """Add up minutes with a small function, called for each time."""
    total = 0
    for clock in times:
        total += minutes(clock)
    return total


def sum_inline(times: Sequence[int]) -> int:
    """Add up the same with the small function's text in its place."""
    total = 0
    for clock in times:
        total += clock // 100 * 60 + clock % 100
    return total


def both_ways(times: Sequence[int]) -> dict[str, float]:
    """Add up by calls once and inline twice.

    Returns
    -------
    dict
        Seconds by the clock in `sum_called` and in `sum_inline`.
    """
    start = time.perf_counter()
    sum_called(times)
    middle = time.perf_counter()
    sum_inline(times)
    sum_inline(times)
    end = time.perf_counter()
    return {"sum_called": middle - start, "sum_inline": end - middle}


def tick(until: float) -> None:
    """Compute until a moment comes."""
    while time.perf_counter() < until:
        pass


def tock(until: float) -> None:
    """Do the same under another name."""
    while time.perf_counter() < until:
        pass


def alternate(seconds: float, period: float, share: float) -> dict[str, float]:
    """Spend a known share of each period in `tick`, the rest in `tock`.

    Returns
    -------
    dict
        Seconds by the clock in `tick` and in `tock`.
    """
    start = last = time.perf_counter()
    spent = {"tick": 0.0, "tock": 0.0}
    for number in range(round(seconds / period)):
        begin = start + number * period
        for function, end in ((tick, share), (tock, 1)):
            function(begin + end * period)
            now = time.perf_counter()
            spent[function.__name__] += now - last
            last = now
    return spent


def sort_at_once(numbers: list[float]) -> list[float]:
    """Sort by one call into C, which keeps the lock until it is done."""
    return sorted(numbers)


def walk(numbers: list[float]) -> int:
    """Go through the numbers in Python, which lets others in."""
    above = 0
    for number in numbers:
        if number > 0.5:
            above += 1
    return above


def sort_and_walk(rounds: int = 4, size: int = 300_000) -> dict[str, float]:
    """Sort numbers, walk through them ten times, and so on.

    Returns
    -------
    dict
        Seconds by the clock in `sort_at_once` and in `walk`.
    """
    chance = random.Random(0)  # noqa: S311 - no secret
    numbers = [chance.random() for _ in range(size)]
    spent = {"sort_at_once": 0.0, "walk": 0.0}
    for function, times in ((sort_at_once, 1), (walk, 10)) * rounds:
        start = time.perf_counter()
        for _ in range(times):
            function(numbers)
        spent[function.__name__] += time.perf_counter() - start
    return spent


def hash_on(until: float) -> None:
    """Hash large blocks, without the lock, until a moment comes."""
    block = bytes(1 << 20)
    while time.perf_counter() < until:
        hashlib.sha256(block)


def wait_for(until: float) -> None:
    """Wait until a moment comes."""
    threading.Event().wait(until - time.perf_counter())


def three_threads(seconds: float) -> None:
    """Let three threads wait, compute in Python, and compute in C."""
    until = time.perf_counter() + seconds
    jobs = {"waiting": wait_for, "in Python": tick, "in C": hash_on}
    team = [
        threading.Thread(target=job, args=(until,), name=name)
        for name, job in jobs.items()
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()


def source() -> str:
    """Return the text of this module, to begin a program with."""
    return Path(__file__).read_text("utf-8")
