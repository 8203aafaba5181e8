"""Side by side: the report cure by cure, and what each profiler costs."""

import gzip
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from parallel_ai.one_machine.bottlenecks import jobs
from parallel_ai.one_machine.bottlenecks.cured import STAGES, report_serial
from parallel_ai.one_machine.bottlenecks.sampling import sample
from parallel_ai.one_machine.bottlenecks.spying import spy, why_not
from parallel_ai.one_machine.bottlenecks.tracing import (
    call_profile,
    line_profile,
    memory_of,
)
from parallel_ai.one_machine.bottlenecks.written import report
from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.stopwatch import Timing, compare, measure


def months(count: int) -> list[Path]:
    """Name the files of the first months of 2013's flights."""
    return list(datasets.paths("flights").values())[:count]


def unpack(files: Sequence[Path]) -> int:
    """Unpack files in memory: the least that any reader has to do.

    Returns
    -------
    int
        Bytes that came out.
    """
    return sum(len(gzip.decompress(file.read_bytes())) for file in files)


def stage_seconds(
    files: Sequence[Path], stages: Sequence[Callable[[Any], Any]]
) -> list[float]:
    """Time the stages of the report, each on what the one before made."""
    seconds: list[float] = []
    value: Any = files
    for stage in stages:
        timing = measure(stage, value, repeats=1, warmup=0)
        seconds.append(timing.median)
        value = timing.result
    return seconds


def cures(count: int = 2, repeats: int = 3) -> dict[str, Timing | float]:
    """Time the report on a few months, as written and after each cure."""
    files = months(count)
    ways: dict[str, Callable[[], Any]] = {
        name: partial(report, files, *stages)
        for name, stages in STAGES.items()
    }
    ways["month by month"] = partial(report_serial, files)
    limit = min(measure(unpack, files, repeats=5).seconds)
    return {
        **compare(ways, repeats, warmup=0),
        "limit: unpack the files": limit,
    }


def watch(
    job: Callable[[], Any], lines_of: Callable[..., Any], repeats: int = 1
) -> dict[str, Timing]:
    """Run a job without a profiler, and then under each.

    Parameters
    ----------
    lines_of : callable
        The function that is timed line by line.

    Returns
    -------
    dict of str to Timing
        Each with what that profiler found as its result.
    """
    return compare(
        {
            "no profiler": job,
            "own sampler": partial(sample, job),
            "tracemalloc": partial(memory_of, job),
            "cProfile": partial(call_profile, job),
            "line_profiler": partial(line_profile, lines_of, job),
        },
        repeats,
        warmup=0,
    )


TIMED = """
seconds = []
for _ in range({repeats}):
    start = time.perf_counter()
    {call}
    seconds.append(time.perf_counter() - start)
import json
print(json.dumps(seconds))
"""


def profiler_costs(size: int = 200_000) -> dict[str, Timing | float]:
    """Time the worst case under each profiler: nothing but small calls."""
    times = [100 * (number % 24) for number in range(size)]
    costs: dict[str, Timing | float] = {
        **watch(partial(jobs.sum_called, times), jobs.sum_called, 3)
    }
    if not why_not():
        call = f"sum_called([100 * (i % 24) for i in range({size})])"
        program = jobs.source() + TIMED.format(repeats=3, call=call)
        seconds = json.loads(spy(program).output)
        costs["py-spy"] = Timing(tuple(seconds))
    return costs
