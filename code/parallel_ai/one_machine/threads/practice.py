"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from parallel_ai.toolbox.exercises import exercise


class _Watched:
    """A label that remembers which threads looked at it."""

    def __init__(self, label: str, seen: set[int]) -> None:
        self.label, self.seen = label, seen

    def __hash__(self) -> int:
        self.seen.add(threading.get_ident())
        return hash(self.label)

    def __eq__(self, other: object) -> bool:
        return self.label == getattr(other, "label", other)

    def __repr__(self) -> str:
        return repr(self.label)


def _check_count_labels(
    candidate: Callable[[list[Any], int], Counter[Any]],
) -> None:
    words = ["shirt", "bag", "coat", "bag", "boot", "bag", "coat"]
    for size in (0, 1, 2, 7):
        for threads in (1, 2, 3):
            labels = words[:size]
            got, expected = candidate(labels, threads), Counter(labels)
            called = f"count_labels({labels}, {threads})"
            assert got == expected, (
                f"{called} returned {got!r}, expected {expected!r}"
            )
    seen: set[int] = set()
    candidate([_Watched(word, seen) for word in words], 3)
    seen.discard(threading.get_ident())
    assert len(seen) > 0, "the calling thread counted everything by itself"


@exercise(_check_count_labels)
def count_labels(labels: list[str], threads: int) -> Counter[str]:
    """Count how often each label occurs, with threads that share nothing.

    Each thread counts its own part of the list in a `Counter` of its own;
    the caller adds the counters up.

    Parameters
    ----------
    labels : list of str
        May be empty, or shorter than the number of threads.
    threads : int
        At least 1.

    Returns
    -------
    Counter
    """
    parts = [labels[first::threads] for first in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(Counter, parts), start=Counter())


def _check_map_bounded(
    candidate: Callable[..., Iterator[int]],
) -> None:
    for size in (0, 1, 2, 7):
        for ahead in (1, 2, 10):
            got = list(candidate(lambda x: x * x, range(size), 2, ahead))
            called = f"list(map_bounded(square, range({size}), 2, {ahead}))"
            expected = [x * x for x in range(size)]
            assert got == expected, (
                f"{called} is {got}, expected {expected}: "
                "results come in the order of the items"
            )
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    results = candidate(lambda x: x, items(), 2, 5)
    for number in range(1, 11):
        assert next(results) == number - 1
        assert len(taken) <= number + 5, (
            f"after {number} results map_bounded(..., ahead=5) had taken "
            f"{len(taken)} items, expected at most {number + 5}"
        )
    assert len(taken) > 10, "map_bounded never works ahead of its reader"
    if hasattr(results, "close"):
        results.close()


@exercise(_check_map_bounded)
def map_bounded(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    threads: int,
    ahead: int,
) -> Iterator[Any]:
    """Apply a function by threads, but only so far ahead of the reader.

    `ThreadPoolExecutor.map` takes *all* items at once: a million paths make
    a million futures, and results that nobody has read yet fill the memory.
    Write a generator that never has more than `ahead` items waiting, being
    worked on, or done but not yet read.

    Parameters
    ----------
    function : callable
    items : iterable
        Perhaps endless.
    threads : int
    ahead : int
        At least 1.

    Yields
    ------
    The results, in the order of the items.
    """
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(
            pool.submit(function, item) for item in islice(source, ahead)
        )
        while waiting:
            result = waiting.popleft().result()
            for item in islice(source, 1):
                waiting.append(pool.submit(function, item))
            yield result


def _check_outcomes(candidate: Callable[[int], set[int]]) -> None:
    for times in range(5):
        got = candidate(times)
        expected = _outcomes_slowly(times)
        assert set(got) == expected, (
            f"outcomes({times}) returned {got!r}; every order of the steps, "
            f"tried one by one, gives {expected!r}"
        )


def _outcomes_slowly(times: int) -> set[int]:
    """Try every order of 2·times steps of one thread and of the other."""
    found = set()

    def go(total: int, steps: tuple[int, int], read: tuple[int, int]) -> None:
        if steps == (2 * times, 2 * times):
            found.add(total)
        for who in (0, 1):
            if steps[who] < 2 * times:
                after = list(steps)
                after[who] += 1
                mine = list(read)
                value = total
                if steps[who] % 2 == 0:
                    mine[who] = total
                else:
                    value = read[who] + 1
                go(value, (after[0], after[1]), (mine[0], mine[1]))

    go(0, (0, 0), (0, 0))
    return found


@exercise(_check_outcomes)
def outcomes(times: int) -> set[int]:
    """Find every value that `n` can have after a race of two threads.

    Two threads each execute ``n = int(n) + 1`` so many `times`, from n = 0.
    Each increment is two steps: *read* `n` into the thread's own register,
    and *write* the register plus one. A thread's own steps keep their
    order; between any two of them the other thread may do any number of its
    own.

    Parameters
    ----------
    times : int
        Increments by each thread; the answer for 20 should take no second.

    Returns
    -------
    set of int
        ``outcomes(1)`` is ``{1, 2}``.
    """
    Worker = tuple[int, int | None]  # increments done; what it has read

    def moves(n: int, worker: Worker) -> list[tuple[int, Worker]]:
        """Take the worker's next step, if it has one left."""
        done, register = worker
        if done == times:
            return []
        if register is None:
            return [(n, (done, n))]
        return [(register + 1, (done + 1, None))]

    states: set[tuple[int, Worker, Worker]] = {(0, (0, None), (0, None))}
    for _ in range(4 * times):
        states = {
            after
            for n, one, other in states
            for after in [
                *((m, moved, other) for m, moved in moves(n, one)),
                *((m, one, moved) for m, moved in moves(n, other)),
            ]
        }
    return {n for n, _, _ in states}
