"""Six real jobs, and what every way makes of them."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from parallel_ai.one_machine.choosing.predicting import (
    Way,
    choose,
    measure_prices,
    predict,
)
from parallel_ai.one_machine.choosing.work import examine
from parallel_ai.one_machine.threads import (
    ask,
    histogram_serial,
    ink,
    label_service,
    map_serial,
    map_threads,
)
from parallel_ai.toolbox import datasets, machine
from parallel_ai.toolbox.stopwatch import compare, measure
from parallel_ai.toolbox.workers import LIMIT, executor


@dataclass(frozen=True)
class Job:
    """A function, its items, and the bytes an item reads from memory."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    reads: float = 0.0


@contextmanager
def jobs(count: int = 24) -> Iterator[dict[str, Job]]:
    """Lend six jobs on real pictures, `count` items each.

    They wait; hold the lock; let go of it; let go of it for a moment; are
    limited by memory; or are too small to be worth anything.
    """
    data = datasets.load("fashion-mnist")
    pixels = data["train_images"].reshape(-1)
    stacks = np.array_split(pixels[: len(pixels) // 10], count)
    large = np.resize(pixels, min(2**27, machine.memory() // 16))
    parts = np.array_split(large, count)
    with label_service(data["train_labels"], 0.01) as port:
        yield {
            "ask a service": Job(partial(ask, port), range(count)),
            "count ink": Job(ink, [s.tobytes() for s in stacks]),
            "compress": Job(zlib.compress, [s.tobytes() for s in stacks]),
            "histogram": Job(histogram_serial, stacks, stacks[0].nbytes),
            "largest pixel": Job(np.max, parts, parts[0].nbytes),
            "next number": Job((1).__add__, range(count)),
        }


def ways(count: int = 24) -> list[Way]:
    """List the ways to be tried, from the simplest to the most demanding."""
    cpus = machine.cpus()
    several = [
        Way("serial"),
        Way("threads", cpus),
        Way("threads", count),
        Way("processes", cpus, at_hand=True),
        Way("processes", cpus),
    ]
    return list(dict.fromkeys(several))


def run(job: Job, way: Way, team: Any = None) -> list[Any]:
    """Have a job done in one way; the same results in every way.

    Parameters
    ----------
    team : ProcessPoolExecutor
        The processes at hand; needed by a way that has them.
    """
    if way.kind == "serial":
        return map_serial(job.function, job.items)
    if way.kind == "threads":
        return map_threads(job.function, job.items, way.workers)
    if not way.starts:
        return list(team.map(job.function, job.items, timeout=LIMIT))
    with executor(way.workers) as fresh:
        return list(fresh.map(job.function, job.items, timeout=LIMIT))


def survey(count: int = 24, repeats: int = 3) -> dict[str, Any]:
    """Predict and measure every way for every job.

    Returns
    -------
    dict, fit for JSON
        prices: of this machine; ways: their names; jobs: for each its
        work, what was chosen, and seconds predicted and measured by way
        (all repeats).

    Raises
    ------
    AssertionError
        A way has another result than the serial one.
    """
    prices, tried = measure_prices(), ways(count)
    found: dict[str, Any] = {
        "prices": asdict(prices),
        "ways": [str(way) for way in tried],
        "jobs": {},
    }
    with jobs(count) as six, executor(machine.cpus()) as team:
        for name, job in six.items():
            work = examine(job.function, job.items, job.reads)
            calls = {w: partial(run, job, w, team) for w in tried}
            timings = compare(
                {str(w): calls[w] for w in tried if not w.starts}, repeats
            )
            # These start from nothing each time: there is nothing to warm up.
            timings |= {
                str(w): measure(calls[w], repeats=repeats, warmup=0)
                for w in tried
                if w.starts
            }
            right = list(map(str, timings["serial"].result))
            for way, timing in timings.items():
                if list(map(str, timing.result)) != right:
                    raise AssertionError(f"{name}: {way} has other results")
            found["jobs"][name] = {
                "work": asdict(work),
                "chosen": str(choose(work, tried, prices)),
                "predicted": {str(w): predict(work, w, prices) for w in tried},
                "measured": {w: t.seconds for w, t in timings.items()},
            }
    return found
