"""What runs in the ranks of a real group: our functions, and the clock."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine, ranks
from parallel_ai.toolbox.curves import Curves, along, curves, line
from parallel_ai.toolbox.stopwatch import Timing, measure
from parallel_ai.training.collectives.algorithms import (
    ring_all_reduce,
    star_all_reduce,
    tree_all_reduce,
)
from parallel_ai.training.collectives.costs import (
    Link,
    bus_bandwidth,
    fit_link,
)
from parallel_ai.training.collectives.transports import Transport, Wire

Way = Callable[[Transport, torch.Tensor], Any]
OURS: dict[str, Way] = {
    "star": star_all_reduce,
    "tree": tree_all_reduce,
    "ring": ring_all_reduce,
}
SIZES = tuple(4**k for k in range(1, 12))  # 16 B to 16 MB of float32


def library_all_reduce(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Let `torch.distributed` do it, in place: the same signature as ours."""
    dist.all_reduce(values)
    return values


def in_group(
    function: Way, inputs: Sequence[torch.Tensor]
) -> tuple[Any, int, int]:
    """Be one rank: call a function with this rank's own input.

    Returns
    -------
    tuple
        Its result, and the messages and bytes that this rank has sent.
    """
    net, device = Wire(), ranks.device()
    result = function(net, inputs[net.rank].clone().to(device))
    return result.cpu(), net.messages, net.bytes


def times_in_group(
    ways: dict[str, Way], sizes: Sequence[int], repeats: int, seconds: float
) -> dict[str, dict[int, Timing]]:
    """Be one rank: time all-reduces, each way by number of elements.

    All ranks start together, after a barrier, and the slowest one's time
    counts. Ways take turns. Long ones are repeated less.
    """
    net, device = Wire(), ranks.device()
    found: dict[str, dict[int, Timing]] = {way: {} for way in ways}
    for count in sizes:
        values = torch.zeros(count, device=device)
        taken: dict[str, list[float]] = {way: [] for way in ways}
        begun = time.perf_counter()
        for turn in range(repeats + 1):
            for way, function in ways.items():
                dist.barrier()
                start = time.perf_counter()
                function(net, values)
                devices.finish(device)
                taken[way].append(time.perf_counter() - start)
            if turn >= 3 and _all_say(time.perf_counter() - begun > seconds):
                break
        for way, mine in taken.items():
            slowest = torch.tensor(mine[1:], dtype=torch.float64)
            slowest = slowest.to(device)
            dist.all_reduce(slowest, dist.ReduceOp.MAX)
            found[way][count] = Timing(tuple(slowest.tolist()))
    return found


def _all_say(value: bool) -> bool:
    """Decide together: a rank that stopped alone would let others wait."""
    votes = torch.tensor([float(value)], device=ranks.device())
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes.item())


def ping_pong(sizes: Sequence[int], repeats: int) -> dict[int, Timing]:
    """Be one of two ranks: time a message there and back, halved.

    Returns
    -------
    dict of int to Timing
        Seconds for one message, by its bytes.
    """
    net, device = Wire(), ranks.device()
    other, found = 1 - net.rank, {}
    for count in sizes:
        ball, taken = torch.zeros(count, device=device), []
        dist.barrier()
        for _ in range(repeats + 2):
            start = time.perf_counter()
            if net.rank:
                net.receive(ball, other)
                net.send(ball, other)
            else:
                net.send(ball, other)
                net.receive(ball, other)
            devices.finish(device)
            taken.append((time.perf_counter() - start) / 2)
        found[ball.nbytes] = Timing(tuple(taken[2:]))
    return found


def measure_messages(
    sizes: Sequence[int] = SIZES, repeats: int = 20
) -> dict[int, Timing]:
    """Time messages between two ranks of this machine, by their bytes."""
    return ranks.run(ping_pong, 2, sizes, repeats, threads=1)[0]


def measure_ways(
    size: int,
    sizes: Sequence[int] = SIZES,
    repeats: int = 10,
    seconds: float = 0.5,
) -> dict[str, dict[int, Timing]]:
    """Time our three all-reduces and the library's, in one group.

    Parameters
    ----------
    size : int
        Ranks.
    sizes : sequence of int
        Elements, of four bytes each.
    repeats : int
        At most, after one round that does not count.
    seconds : float
        After so long a size has been measured enough.
    """
    ways = {**OURS, "library": library_all_reduce}
    return ranks.run(
        times_in_group, size, ways, sizes, repeats, seconds, threads=1
    )[0]


def copy_bandwidth(count: int = 1 << 24) -> float:
    """Bytes a second that one thread copies from memory to memory."""
    one, other = torch.ones(count), torch.empty(count)
    with devices.threads(1):
        return one.nbytes / min(measure(other.copy_, one).seconds)


def adding_time(count: int = 1 << 20) -> float:
    """Seconds for adding a byte, of vectors of so many elements."""
    one, other = torch.ones(count), torch.ones(count)
    with devices.threads(1):
        return min(measure(one.add_, other).seconds) / one.nbytes


def measure_link(repeats: int = 20) -> tuple[dict[int, Timing], Link]:
    """Measure messages and additions; fit α, β and γ to the *least* times.

    The least, since whatever else runs on the machine can only add.
    """
    found = measure_messages(repeats=repeats)
    least = {count: min(timing.seconds) for count, timing in found.items()}
    return found, fit_link(least, adding_time())


def compare_with_library(count: int) -> dict[str, Timing | float]:
    """Compare the library's all-reduce of so many elements with our ring."""
    found = measure_ways(2, (count,), repeats=20, seconds=2)
    return {
        ranks.backend(2): found["library"][count],
        "our ring": found["ring"][count],
    }


def record() -> dict[str, Any]:
    """Measure messages and all-reduces of this machine's ranks."""
    _, link = measure_link()
    groups = [size for size in (2, 4) if size <= max(2, machine.cpus())]
    return {
        "backend": ranks.backend(2),
        "alpha": link.alpha,
        "beta": link.beta,
        "gamma": link.gamma,
        "copy": copy_bandwidth(),
        "bus_bandwidth": {
            f"{way}, {size} ranks": {
                4 * count: bus_bandwidth(size, 4 * count, min(timing.seconds))
                for count, timing in by_count.items()
            }
            for size in groups
            for way, by_count in measure_ways(size).items()
        },
    }


def drawn(data: dict[str, Any], hardware: dict[str, Any]) -> Curves:
    """Draw the bus bandwidth of two ranks by the length of their vectors."""
    sent = [
        line(
            name.removesuffix(", 2 ranks"),
            ((int(n), b) for n, b in by.items()),
        )
        for name, by in data["bus_bandwidth"].items()
        if name.endswith(", 2 ranks")
    ]
    sizes = [x for one in sent for x, _ in one["at"]]
    copy = [(n, data["copy"]) for n in (min(sizes), max(sizes))]
    return curves(
        along("bytes of each vector", "B"),
        along("bytes a second", "B/s"),
        [line("one thread copies", copy, limit=True), *sent],
    )
