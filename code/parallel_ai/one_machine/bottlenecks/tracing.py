"""Tracing profilers: each call, each line, each allocation is noted."""

import cProfile
import inspect
import pstats
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from line_profiler import LineProfiler


class Call(NamedTuple):
    """What `cProfile` knows of one function."""

    name: str
    calls: int
    own: float  # seconds in the function itself
    total: float  # seconds with all that it called


def call_profile(function: Callable[..., Any], *args: Any) -> list[Call]:
    """Run a function under `cProfile`; most own time first."""
    profiler = cProfile.Profile()
    profiler.runcall(function, *args)
    found: Any = pstats.Stats(profiler)
    calls = [
        Call(
            name if file == "~" else f"{name} ({Path(file).name})",
            count,
            own,
            total,
        )
        for (file, _, name), (_, count, own, total, _) in found.stats.items()
    ]
    return sorted(calls, key=lambda call: -call.own)


class Line(NamedTuple):
    """What `line_profiler` knows of one line."""

    number: int
    hits: int
    seconds: float  # with all that the line called
    source: str


def line_profile(
    function: Callable[..., Any], job: Callable[[], Any]
) -> list[Line]:
    """Time the lines of one function while a job runs.

    Parameters
    ----------
    function : callable
        Whose lines; plain Python.
    job : callable
        Calls `function`, directly or not.

    Returns
    -------
    list of Line
        In the order of the source; lines never reached are left out.
    """
    profiler = LineProfiler()
    profiler.add_function(function)
    profiler.runcall(job)
    lines, first = inspect.getsourcelines(function)
    stats = profiler.get_stats()
    ((_, timings),) = stats.timings.items()
    return [
        Line(number, hits, stats.unit * ticks, lines[number - first].rstrip())
        for number, hits, ticks in sorted(timings)
    ]


class Memory(NamedTuple):
    """What a call left in memory, and how much it had at most; bytes."""

    kept: int  # seen by tracemalloc while the result was alive
    peak: int  # most that tracemalloc saw at any time
    arrow: int  # held by the result in Arrow's own pool, unseen by it


def memory_of(function: Callable[..., Any], *args: Any) -> Memory:
    """Watch the allocations of a call.

    Notes
    -----
    `tracemalloc` sees what comes from Python's allocators, to which NumPy
    reports its arrays. A library with an allocator of its own is not seen.
    """
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        result = function(*args)
        kept, peak = tracemalloc.get_traced_memory()
        arrow = pa.total_allocated_bytes() - before
        del result
    finally:
        tracemalloc.stop()
    return Memory(kept, peak, arrow)


def kept_by_line(
    module: str, function: Callable[..., Any], *args: Any
) -> Counter[int]:
    """Find the lines of a file that allocated what a call's result keeps.

    Parameters
    ----------
    module : str
        The file. An allocation deep inside a library is charged to the
        last line of this file on the way to it.

    Returns
    -------
    Counter
        Bytes by line number.
    """
    tracemalloc.start(64)
    try:
        result = function(*args)
        snapshot = tracemalloc.take_snapshot()
        del result
    finally:
        tracemalloc.stop()
    kept: Counter[int] = Counter()
    for trace in snapshot.traces:
        lines = [f.lineno for f in trace.traceback if f.filename == module]
        if lines:  # the most recent call comes last
            kept[lines[-1]] += trace.size
    return kept
