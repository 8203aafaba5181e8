"""Sampling: look now and then, and say how sure a share is."""

import math
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NamedTuple

Stack = tuple[str, ...]  # from the outermost function to the innermost


class Samples(NamedTuple):
    """What a function returned, and where it was seen, in order of time."""

    result: Any
    stacks: list[Stack]


def sample(
    function: Callable[[], Any], rate: float = 100, regular: bool = False
) -> Samples:
    """Run a function, while a second thread looks now and then where it is.

    Parameters
    ----------
    function : callable
        Runs in the calling thread, and only this thread is looked at.
    rate : float
        Looks in a second, on average; fewer if the GIL is hard to get.
    regular : bool
        Look at equal intervals instead of random ones.
    """
    stacks: list[Stack] = []
    done = threading.Event()
    who = threading.get_ident()
    chance = random.Random(0)  # noqa: S311 - no secret

    def look() -> None:
        due = time.perf_counter() - 0.5 / rate
        while True:
            while (wait := due - time.perf_counter()) <= 0:  # or: too late
                due += 1 / rate if regular else chance.expovariate(rate)
            if done.wait(wait):
                return
            stacks.append(stack_of(sys._current_frames()[who]))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        result = function()
    finally:
        done.set()
        watcher.join()
    return Samples(result, stacks)


def stack_of(frame: FrameType | None) -> Stack:
    """Name the functions on the stack, with their modules, outermost first."""
    names: list[str] = []
    while frame is not None:
        module = frame.f_globals.get("__name__", "?")
        names.append(f"{frame.f_code.co_qualname} ({module})")
        frame = frame.f_back
    return tuple(reversed(names))


def share(stacks: Mapping[Stack, int], name: str) -> float:
    """Share of the samples that have a function anywhere on the stack.

    Parameters
    ----------
    stacks : mapping
        How often each stack was seen; a `Counter` of what `sample` or `spy`
        returned.

    Raises
    ------
    ValueError
        There are no samples.
    """
    total = sum(stacks.values())
    if not total:
        raise ValueError("no samples")
    seen = sum(
        times
        for stack, times in stacks.items()
        if any(frame.partition(" ")[0] == name for frame in stack)
    )
    return seen / total


def interval(seen: int, samples: int, z: float = 1.96) -> tuple[float, float]:
    """Bound a share that was seen in some of n independent samples.

    Parameters
    ----------
    z : float
        Standard errors to each side; with 1.96, 95 of 100 intervals hold
        the true share.

    Returns
    -------
    (low, high)

    Raises
    ------
    ValueError
        More were seen than there are, or there are none.

    Notes
    -----
    Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953. Unlike
    the share plus or minus z standard errors, it still says something if
    none or all were seen.
    """
    if not 0 <= seen <= samples or samples < 1:
        raise ValueError(f"{seen} of {samples} samples")
    p, weight = seen / samples, z * z / samples
    half = math.sqrt(p * (1 - p) * weight + weight * weight / 4)
    middle = p + weight / 2
    low, high = (middle - half) / (1 + weight), (middle + half) / (1 + weight)
    return max(0.0, low), min(1.0, high)
