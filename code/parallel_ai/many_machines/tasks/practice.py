"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import ceil
from typing import Any

from parallel_ai.toolbox.exercises import exercise


def _check_critical_path(
    candidate: Callable[[dict, dict], list],
) -> None:
    one: dict[str, list[str]] = {"a": []}
    chain = {"c": ["b"], "b": ["a"], "a": []}
    diamond = {"load": [], "left": ["load"], "right": ["load"]}
    diamond["end"] = ["left", "right"]
    wide = {f"leaf {i}": list[str]() for i in range(5)} | {"apart": []}
    wide["end"] = [f"leaf {i}" for i in range(5)]
    cases = [
        ({}, {}, []),
        (one, {"a": 2}, ["a"]),
        (chain, {"a": 1, "b": 1, "c": 1}, ["a", "b", "c"]),
        (
            diamond,
            {"load": 1, "left": 5, "right": 2, "end": 1},
            ["load", "left", "end"],
        ),
        (
            diamond,
            {"load": 1, "left": 2, "right": 5, "end": 1},
            ["load", "right", "end"],
        ),
        (wide, dict.fromkeys(wide, 1) | {"leaf 3": 2}, ["leaf 3", "end"]),
        (wide, dict.fromkeys(wide, 1) | {"apart": 9}, ["apart"]),
    ]
    for inputs, seconds, expected in cases:
        got = candidate(dict(inputs), dict(seconds))
        assert got == expected, (
            f"critical_path({inputs}, {seconds}) returned {got}, "
            f"expected {expected}"
        )


@exercise(_check_critical_path)
def critical_path(
    inputs: Mapping[str, Sequence[str]], seconds: Mapping[str, float]
) -> list[str]:
    """Find the chain of tasks that no number of workers can shorten.

    Parameters
    ----------
    inputs : mapping of str to sequence of str
        For each task the tasks whose results it needs; in any order, and
        without a circle.
    seconds : mapping of str to float
        How long each task takes.

    Returns
    -------
    list of str
        Tasks of the longest chain, measured in seconds, first to last;
        empty if there are no tasks. No two chains are equally long.
    """
    best: dict[str, tuple[float, list[str]]] = {}

    def chain(task: str) -> tuple[float, list[str]]:
        if task not in best:
            before = max(map(chain, inputs[task]), default=(0.0, []))
            best[task] = before[0] + seconds[task], [*before[1], task]
        return best[task]

    return max(map(chain, inputs), default=(0.0, []))[1]


def _check_best_batch(
    candidate: Callable[[int, float, float, int], int],
) -> None:
    cases = [
        ((1, 1.0, 0.001, 4), "one task cannot be divided"),
        ((1000, 1e-6, 1e-3, 2), "short tasks"),
        ((1000, 1e-3, 1e-3, 4), "as long as the overhead"),
        ((16, 10.0, 1e-3, 8), "long tasks"),
        ((17, 10.0, 1e-3, 8), "one more than two rounds"),
        ((100, 0.01, 0.0, 3), "no overhead at all"),
    ]
    for arguments, what in cases:
        got = candidate(*arguments)
        tasks, *_ = arguments
        times = {b: _takes(b, *arguments) for b in range(1, tasks + 1)}
        expected = min(times, key=lambda b: (times[b], b))
        assert got == expected, (
            f"best_batch{arguments} ({what}) returned {got}, "
            f"expected {expected}"
        )


def _takes(
    batch: int, tasks: int, seconds: float, overhead: float, workers: int
) -> float:
    batches = ceil(tasks / batch)
    return batches * overhead + ceil(batches / workers) * batch * seconds


@exercise(_check_best_batch)
def best_batch(
    tasks: int, seconds: float, overhead: float, workers: int
) -> int:
    """Choose how many equal tasks to send as one.

    The scheduler needs `overhead` seconds for each batch, one after the
    other. The workers do the batches in rounds, one batch each; a round
    takes as long as a whole batch, also where the last one is smaller. The
    job takes the scheduler's seconds and those of all rounds.

    Parameters
    ----------
    tasks : int
        At least 1.
    seconds : float
        Work of a task.
    overhead : float
        Of a batch, however large; may be 0.
    workers : int
        At least 1.

    Returns
    -------
    int
        Tasks in a batch with which the job ends first; the smaller batch
        where two are equally good.
    """

    def takes(batch: int) -> float:
        batches = -(-tasks // batch)
        rounds = -(-batches // workers)
        return batches * overhead + rounds * batch * seconds

    return min(range(1, tasks + 1), key=takes)


class _Future:
    """Stands in for a future: ends when it is asked for its result."""

    def __init__(self, team: "_Team", call: Callable[[], Any]) -> None:
        self._team, self._call = team, call

    def result(self, timeout: float | None = None) -> Any:
        """End the task, and return what it returns."""
        self._team.unfinished.discard(self)
        return self._call()


class _Team:
    """Stands in for a client, and counts what is under way."""

    def __init__(self) -> None:
        self.unfinished: set[_Future] = set()
        self.most = 0
        self.given: list[Any] = []

    def submit(self, function: Callable[[Any], Any], item: Any) -> _Future:
        future = _Future(self, lambda: function(item))
        self.unfinished.add(future)
        self.most = max(self.most, len(self.unfinished))
        self.given.append(item)
        return future


def _check_window(
    candidate: Callable[..., Iterator[Any]],
) -> None:
    for count, width in ((0, 2), (1, 3), (7, 1), (7, 3), (3, 3)):
        team = _Team()
        called = f"window(client, square, {count} items, {width})"
        results = candidate(team, _square, iter(range(count)), width)
        assert not isinstance(results, list), (
            f"{called} returned a list: nothing can be used before the end"
        )
        got = []
        for number, result in enumerate(results):
            got.append(result)
            assert len(team.given) <= number + 1 + width, (
                f"{called} had submitted {len(team.given)} tasks when its "
                f"result number {number + 1} came"
            )
        assert got == [i * i for i in range(count)], f"{called} gave {got}"
        assert team.most <= width, (
            f"{called} had {team.most} futures under way at a time"
        )
        expected = min(count, width)
        assert team.most == expected, (
            f"{called} had never more than {team.most} futures under way: "
            f"workers would wait; expected {expected}"
        )


def _square(number: int) -> int:
    return number * number


@exercise(_check_window)
def window(
    client: Any,
    function: Callable[[Any], Any],
    items: Iterator[Any],
    width: int,
) -> Iterator[Any]:
    """Yield results in the order of the items, a few tasks ahead.

    Parameters
    ----------
    client : distributed.Client
        Only its method ``submit(function, item)`` is needed; it returns a
        future with the method ``result()``.
    function : callable
        Takes one item.
    items : iterator
        May be endless.
    width : int
        At least 1: futures that are under way, at most, and as soon as
        possible. One whose result was taken is not under way.

    Yields
    ------
    object
        Results, in the order of the items.
    """
    ahead = deque(client.submit(function, i) for i in islice(items, width))
    while ahead:
        result = ahead.popleft().result()
        ahead.extend(client.submit(function, i) for i in islice(items, 1))
        yield result
