"""Each way to divide a job uses resources; the slowest one decides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from parallel_ai.one_machine.choosing.work import Work
from parallel_ai.one_machine.processes import measure_costs
from parallel_ai.one_machine.threads import map_threads
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.roofs import read_bandwidth
from parallel_ai.toolbox.stopwatch import measure


@dataclass(frozen=True)
class Way:
    """A way to have a job done.

    Attributes
    ----------
    kind : str
        "serial", "threads" or "processes".
    workers : int
        How many at a time.
    at_hand : bool
        Whether the workers are there already.
    """

    kind: str
    workers: int = 1
    at_hand: bool = False

    @property
    def starts(self) -> bool:
        """Whether it starts its workers, for this job alone: processes."""
        return self.kind == "processes" and not self.at_hand

    def __str__(self) -> str:
        """Write it for a figure."""
        if self.kind == "serial":
            return "serial"
        age = {"threads": "", "processes": "kept " if self.at_hand else "new "}
        return f"{self.workers} {age[self.kind]}{self.kind}"


@dataclass(frozen=True)
class Prices:
    """What this machine charges.

    Attributes
    ----------
    cpus : int
        That may be used.
    bandwidth : float
        Bytes a second from memory to all CPUs.
    thread_task, process_task : float
        Seconds for each task handed to a pool of threads, of processes.
    process_start : float
        Seconds to open and close a pool of processes.
    rate : float
        Bytes a second through pickle and pipe.
    """

    cpus: int
    bandwidth: float
    thread_task: float
    process_task: float
    process_start: float
    rate: float


def measure_prices(size: int = 1 << 23) -> Prices:
    """Measure this machine's `Prices`, with work that does nothing.

    Parameters
    ----------
    size : int
        Bytes that are sent to find the rate.
    """
    cpus = machine.cpus()
    many = range(2000)
    tasks = measure(partial(map_threads, abs, many, cpus), repeats=3)
    costs = measure_costs(cpus, size=size)
    return Prices(
        cpus=cpus,
        bandwidth=read_bandwidth(),
        thread_task=tasks.median / len(many),
        process_task=costs.task,
        process_start=costs.start,
        rate=costs.rate,
    )


def demands(work: Work, way: Way, prices: Prices) -> dict[str, float]:
    """Seconds for which each resource is busy, if it were the only one.

    Returns
    -------
    dict of str to float
        workers: the rounds of the workers, each with its items one by one;
        lock: what needs the interpreter's lock; CPUs; memory;
        sender: the one process that hands out the tasks.
    """
    n = work.items
    team = min(way.workers, max(n, 1))
    cpus = min(prices.cpus, team)
    locks = cpus if way.kind == "processes" else 1
    handing = {"serial": 0.0, "threads": prices.thread_task}.get(
        way.kind, prices.process_task + work.sent / prices.rate
    )
    return {
        "workers": math.ceil(n / team) * work.alone,
        "lock": n * (work.locked + handing * (way.kind == "threads")) / locks,
        "CPUs": n * (work.locked + work.free + handing) / cpus,
        "memory": n * work.reads / prices.bandwidth,
        "sender": n * handing,
    }


def predict(work: Work, way: Way, prices: Prices) -> float:
    """Seconds that a way takes at least: its slowest resource, and a start.

    Notes
    -----
    The asymptotic bound of operational analysis (Denning and Buzen, 1978):
    nothing is done sooner than the busiest resource allows.
    """
    fixed = prices.process_start * way.starts
    return fixed + max(demands(work, way, prices).values())


def bottleneck(work: Work, way: Way, prices: Prices) -> str:
    """Name the resource that decides how long a way takes."""
    busy = demands(work, way, prices)
    return max(busy, key=busy.__getitem__)


def choose(work: Work, ways: Sequence[Way], prices: Prices) -> Way:
    """Return the way that is predicted to end first; the simplest of equals.

    A later way must promise a tenth more than an earlier one to be chosen:
    list them from the simplest to the most demanding.

    Raises
    ------
    ValueError
        There is nothing to choose from.
    """
    if not ways:
        raise ValueError("no way to choose from")
    best = ways[0]
    for way in ways[1:]:
        if predict(work, way, prices) < 0.9 * predict(work, best, prices):
            best = way
    return best
