"""Sampling: look now and then, and say how sure a share is."""

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
