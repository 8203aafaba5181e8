"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import sqlite3
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from typing import Any

from parallel_ai.toolbox.exercises import exercise

Graph = Mapping[str, Collection[str]]


def _check_to_recompute(
    candidate: Callable[[Graph, Graph, str, Collection[str]], set[str]],
) -> None:
    graph = {
        "read": [],
        "draw-0": ["read"],
        "draw-1": ["read"],
        "interval": ["draw-0", "draw-1"],
        "other": [],
    }
    all_on_a = {task: ["a"] for task in graph}
    cases: list[tuple[Graph, str, list[str], set[str]]] = [
        ({}, "a", ["interval"], {"read", "draw-0", "draw-1", "interval"}),
        (all_on_a, "b", ["interval", "other"], set()),
        (all_on_a, "a", ["other"], {"other"}),
        (all_on_a, "a", [], set()),
        (
            {**all_on_a, "interval": ["a", "b"]},
            "a",
            ["interval"],
            set(),
        ),
        (
            {"read": ["a"], "draw-0": ["b"], "draw-1": ["a"]},
            "a",
            ["interval"],
            {"read", "draw-1", "interval"},
        ),
        (
            {"draw-0": ["b"], "draw-1": ["b"]},
            "a",
            ["interval"],
            {"interval"},
        ),
        (all_on_a, "a", ["draw-0", "draw-1"], {"read", "draw-0", "draw-1"}),
    ]
    for holders, dead, wanted, expected in cases:
        got = candidate(graph, holders, dead, wanted)
        assert set(got) == expected, (
            f"results held: {dict(holders)}, dead: {dead!r}, wanted: "
            f"{wanted}: returned {sorted(got)}, expected {sorted(expected)}"
        )
    chain: dict[str, list[str]] = {"0": []}
    chain |= {str(n): [str(n - 1)] * 2 for n in range(1, 60)}
    got = candidate(chain, {"3": ["b"]}, "a", ["59"])
    assert set(got) == {str(n) for n in range(4, 60)}, (
        "a chain of 60 tasks, of which the result of number 3 is held by a "
        f"living worker: returned {len(got)} tasks, expected 56"
    )


@exercise(_check_to_recompute)
def to_recompute(
    graph: Mapping[str, Collection[str]],
    holders: Mapping[str, Collection[str]],
    dead: str,
    wanted: Collection[str],
) -> set[str]:
    """Find what must be computed (again) after a worker died.

    Parameters
    ----------
    graph : mapping of str to collection of str
        For each task the tasks whose results it takes.
    holders : mapping of str to collection of str
        For each task whose result is in memory, the workers that hold it,
        the dead one perhaps among them. Others are not there.
    dead : str
        The worker that died.
    wanted : collection of str
        Tasks whose results somebody waits for.

    Returns
    -------
    set of str
        The tasks to run, and no other: a result that a living worker holds
        is not computed again, nor is anything before it for its sake.
    """
    run: set[str] = set()
    stack = list(wanted)
    while stack:
        task = stack.pop()
        if task not in run and not set(holders.get(task, ())) - {dead}:
            run.add(task)
            stack += graph[task]
    return run


class _Death(BaseException):
    """Ends a program in the middle, past its ``except Exception``."""


class _Mortal:
    """A connection that dies at the n-th thing that it is asked to do."""

    def __init__(self, base: sqlite3.Connection, lives: int) -> None:
        self._base, self._lives = base, lives

    def _ask(self, what: str, *args: Any) -> Any:
        self._lives -= 1
        if self._lives < 0:
            self._base.rollback()  # as the file is after a crash
            raise _Death
        return getattr(self._base, what)(*args)

    def execute(self, *args: Any) -> Any:
        return self._ask("execute", *args)

    def commit(self) -> None:
        self._ask("commit")


def _check_add_once(
    candidate: Callable[[Any, str, int], None],
) -> None:
    calls = [("may", 5), ("june", 7), ("may", 5), ("july", 0), ("june", 7)]
    for lives in range(12):
        with closing(sqlite3.connect(":memory:")) as base:
            base.execute("CREATE TABLE total (flights INTEGER)")
            base.execute("INSERT INTO total VALUES (0)")
            base.execute("CREATE TABLE seen (key TEXT PRIMARY KEY)")
            base.commit()
            for key, number in calls:
                try:
                    candidate(_Mortal(base, lives), key, number)
                except _Death:
                    candidate(_Mortal(base, 100), key, number)
            base.rollback()  # what was not committed is not there
            (total,) = base.execute("SELECT flights FROM total").fetchone()
        assert total == 12, (
            "add_once was called for may (5), june (7), may, july (0) and "
            f"june, killed before its step {lives + 1} and called again: "
            f"the total is {total}, expected 12"
        )


@exercise(_check_add_once)
def add_once(base: sqlite3.Connection, key: str, number: int) -> None:
    """Add a number to a total, once, however often this is called.

    Parameters
    ----------
    base : sqlite3.Connection
        With a table ``total`` of one row and one column ``flights``, and an
        empty table ``seen`` with the column ``key``, its primary key. Use
        its ``execute`` and ``commit``, nothing else. A statement that
        changes something begins a transaction; a process that dies before
        the commit leaves nothing of it.
    key : str
        Of the task that adds; a task that is run again has the same key.
    number : int
        What it adds.
    """
    row = base.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,))
    if row.rowcount:
        base.execute("UPDATE total SET flights = flights + ?", (number,))
    base.commit()


def _check_finish_time(
    candidate: Callable[[int, int, int, list[int]], int],
) -> None:
    cases = [
        ((10, 10, 0, []), 10),
        ((10, 5, 1, []), 12),
        ((10, 3, 1, []), 14),
        ((10, 5, 1, [3]), 15),
        ((10, 5, 1, [5]), 17),
        ((10, 5, 1, [6]), 12),
        ((10, 5, 1, [6, 11]), 17),
        ((10, 5, 1, [8, 9, 10]), 16),
        ((10, 10, 0, [9]), 19),
        ((10, 10, 0, [50]), 10),
        ((0, 5, 1, [3]), 0),
    ]
    for arguments, expected in cases:
        got = candidate(*arguments)
        assert got == expected, (
            f"finish_time{arguments} returned {got}, expected {expected}"
        )


@exercise(_check_finish_time)
def finish_time(
    work: int, interval: int, cost: int, failures: Collection[int]
) -> int:
    """Say when a job is done that saves its state and sometimes fails.

    It does `interval` of work, saves for a time of `cost`, and so on; the
    last piece may be shorter, and is saved, too. A failure throws it back
    to its last complete saving, from where it goes on at once. A failure at
    the very moment when a saving is complete does no harm.

    Parameters
    ----------
    work, interval, cost : int
        Minutes.
    failures : collection of int
        Minutes after the start at which the machine fails, ascending.

    Returns
    -------
    int
        Minutes after the start at which the last saving is complete; 0 for
        no work.
    """
    clock = done = 0
    waiting = list(failures)
    while done < work:
        piece = min(interval, work - done)
        end = clock + piece + cost
        while waiting and waiting[0] <= clock:
            waiting.pop(0)
        if waiting and waiting[0] < end:
            clock = waiting.pop(0)
        else:
            clock, done = end, done + piece
    return clock
