"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable, Mapping
from typing import Any

from parallel_ai.toolbox.exercises import exercise


def _check_samples_needed(candidate: Callable[[float, float], int]) -> None:
    cases = [
        (0.5, 0.05, 385),
        (0.5, 0.01, 9604),
        (0.1, 0.02, 865),
        (0.9, 0.02, 865),
        (0.0, 0.1, 0),
        (1.0, 0.1, 0),
    ]
    for share, margin, expected in cases:
        got = candidate(share, margin)
        assert got == expected, (
            f"samples_needed({share}, {margin}) returned {got!r}, expected "
            f"{expected}"
        )


@exercise(_check_samples_needed)
def samples_needed(share: float, margin: float) -> int:
    """Say how long to sample before believing a share.

    Parameters
    ----------
    share : float
        What the share will be, roughly, from 0 to 1.
    margin : float
        How far off it may be: 1.96 standard errors should be no more.

    Returns
    -------
    int
        The least number of independent samples. Dividing it by the rate
        gives the seconds to wait.
    """
    return math.ceil(round(1.96**2 * share * (1 - share) / margin**2, 9))


def _check_own_and_total(
    candidate: Callable[[Mapping[Any, int]], dict[str, tuple[int, int]]],
) -> None:
    cases: list[tuple[dict[tuple[str, ...], int], dict]] = [
        ({}, {}),
        ({("main",): 3}, {"main": (3, 3)}),
        (
            {("main", "read"): 2, ("main", "fit"): 5, ("main",): 1},
            {"main": (1, 8), "read": (2, 2), "fit": (5, 5)},
        ),
        (
            {("main", "visit", "visit", "visit"): 4, ("main", "visit"): 1},
            {"main": (0, 5), "visit": (5, 5)},
        ),
        (
            {("a", "b", "a"): 2, ("a", "b"): 1},
            {"a": (2, 3), "b": (1, 3)},
        ),
    ]
    for stacks, expected in cases:
        got = candidate(stacks)
        assert dict(got) == expected, (
            f"own_and_total({stacks}) returned {got!r}, expected {expected}"
        )


@exercise(_check_own_and_total)
def own_and_total(
    stacks: Mapping[tuple[str, ...], int],
) -> dict[str, tuple[int, int]]:
    """Make the table of a profiler out of stacks.

    Parameters
    ----------
    stacks : mapping
        How often each stack was seen; the outermost function comes first.

    Returns
    -------
    dict
        For each function its own samples (it was running) and the total (it
        was anywhere on the stack). No function can have more than all
        samples, however often it calls itself.
    """
    table: dict[str, tuple[int, int]] = {}
    for stack, times in stacks.items():
        for name in set(stack):
            own, total = table.get(name, (0, 0))
            running = times if name == stack[-1] else 0
            table[name] = (own + running, total + times)
    return table


def _check_circle(
    candidate: Callable[[dict[str, str], dict[str, str]], set[str]],
) -> None:
    cases: list[tuple[dict[str, str], dict[str, str], set[str], str]] = [
        ({}, {}, set(), "nobody waits"),
        ({"weights": "learner"}, {"actor": "weights"}, set(), "it will end"),
        ({}, {"actor": "weights"}, set(), "nobody holds that lock"),
        (
            {"weights": "learner", "replay": "actor"},
            {"learner": "replay", "actor": "weights"},
            {"learner", "actor"},
            "they wait for each other",
        ),
        (
            {"weights": "learner"},
            {"learner": "weights"},
            {"learner"},
            "it waits for itself",
        ),
        (
            {"a": "1", "b": "2", "c": "3"},
            {"1": "b", "2": "c", "3": "a", "4": "a", "5": "d"},
            {"1", "2", "3"},
            "thread 4 waits for the circle but is no part of it",
        ),
    ]
    for holder, wants, expected, why in cases:
        got = candidate(holder, wants)
        assert got == expected, (
            f"circle({holder}, {wants}) returned {got!r}, expected "
            f"{expected}: {why}"
        )


@exercise(_check_circle)
def circle(holder: dict[str, str], wants: dict[str, str]) -> set[str]:
    """Find the threads that wait for each other in a circle.

    Parameters
    ----------
    holder : dict
        For each lock that is held, the thread that holds it.
    wants : dict
        For each thread that waits, the lock that it waits for.

    Returns
    -------
    set of str
        The threads on a circle; empty if there is none. A thread that only
        waits for one of them is not on it.
    """
    found = set()
    for thread in wants:
        after, steps = thread, 0
        while after in wants and steps <= len(wants):
            after = holder.get(wants[after], "")
            steps += 1
            if after == thread:
                found.add(thread)
                break
    return found
