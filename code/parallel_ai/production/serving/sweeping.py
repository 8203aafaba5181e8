"""Designs under load: how much each does, how late, and what follows."""

import atexit
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from parallel_ai.production.serving.asking import request_of
from parallel_ai.production.serving.batching import Design
from parallel_ai.production.serving.loading import Journal, load, offered
from parallel_ai.production.serving.packed import (
    LEARNT,
    garments,
    load_model,
    train_all,
)
from parallel_ai.production.serving.starting import Running, running
from parallel_ai.production.serving.team import Settings, prepare
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.curves import Curves, along, curves, line
from parallel_ai.toolbox.stopwatch import Timing, measure

CLIENTS = 32
SHARES = (0.3, 0.7, 0.9, 1.2)  # of what a design can do at most
PERCENTILES = (50, 99)


def designs() -> dict[str, Design]:
    """List the ways to call a model, each for this machine's CPUs."""
    cpus = max(2, machine.cpus())
    return {
        "one by one": Design(threads=0, seconds=30),
        "threads": Design(threads=cpus, max_batch=1),
        "processes": Design(workers=cpus, threads=1, max_batch=1),
        "batches": Design(),
        "batches in processes": Design(workers=cpus),
    }


@cache
def trained(learnt: int = LEARNT) -> dict[str, Path]:
    """Train the models once, into a folder that goes with this process.

    The fork server imports meanwhile what the workers will need.
    """
    prepare()
    folder = tempfile.TemporaryDirectory(prefix="serving-")
    atexit.register(folder.cleanup)
    return train_all(Path(folder.name), learnt)


@contextmanager
def serving(design: Design, **settings: Any) -> Iterator[Running]:
    """Run the service for all three models in a design."""
    files = tuple(trained().items())
    with running(Settings(files, design, **settings)) as service:
        yield service


@cache
def requests_for(model: str, count: int = 500) -> tuple[bytes, ...]:
    """Write requests of a picture each, all different."""
    return tuple(
        request_of(model, picture) for picture in garments()[0][:count]
    )


def percentiles(seconds: np.ndarray) -> dict[str, float]:
    """Take p50 and p99; what most see, and what a service is judged by."""
    if not len(seconds):
        return {f"p{p}": float("nan") for p in PERCENTILES}
    return {f"p{p}": float(np.percentile(seconds, p)) for p in PERCENTILES}


def batch_times(
    sizes: Sequence[int] = (1, 4, 16, 64),
) -> dict[str, list[Timing]]:
    """Time each model alone, without a service, by the size of a batch."""
    from threadpoolctl import threadpool_limits

    pictures = garments()[0]
    with devices.threads(1), threadpool_limits(1):  # as in a worker
        return {
            name: [
                measure(
                    load_model(name, path).predict, pictures[:n], repeats=5
                )
                for n in sizes
            ]
            for name, path in trained().items()
        }


def capacity(port: int, model: str, seconds: float = 0.5) -> float:
    """Measure answers a second when `CLIENTS` never leave it idle."""
    journal = load("closed", port, requests_for(model), CLIENTS, seconds)
    return journal.throughput


def under_load(
    port: int, rate: float, seconds: float, model: str = "cnn", seed: int = 0
) -> tuple[dict[str, float], Journal]:
    """Offer a rate and sum up: what was answered, how late, what was not."""
    journal = offered(port, requests_for(model), rate, seconds, seed)
    return {
        "offered": len(journal.due) / max(journal.due),
        "answered": journal.throughput,
        "refused": 1 - float(journal.good.mean()),
        "mean": float(journal.latency.mean()) if journal.good.any() else 0.0,
        **percentiles(journal.latency),
    }, journal


def sweep(
    shares: Sequence[float] = SHARES,
    seconds: float = 0.35,
    ways: Mapping[str, Design] | None = None,
) -> dict[str, Any]:
    """Measure designs one after the other, each up to and beyond its limit.

    Returns
    -------
    dict
        For each design ``capacity`` by model, requests a second, and
        ``loads`` of the CNN, as `under_load` sums them up.
    """
    found: dict[str, Any] = {}
    for name, design in (ways or designs()).items():
        with serving(design) as service:
            capacity(service.port, "cnn", 0.05)  # warm
            most = {
                model: capacity(
                    service.port, model, seconds if model == "cnn" else 0.15
                )
                for model in trained()
            }
            loads = [
                under_load(service.port, share * most["cnn"], seconds)[0]
                for share in shares
            ]
        found[name] = {"capacity": most, "loads": loads}
    return found


def knee(loads: Sequence[Mapping[str, float]], limit: float) -> float:
    """Find the highest rate whose p99 keeps a limit, and that was answered.

    Returns
    -------
    float
        Requests a second; 0 if none of the loads was fine.
    """
    fine = [
        one["answered"]
        for one in loads
        if one["p99"] <= limit and one["refused"] < 0.001
    ]
    return max(fine, default=0.0)


def cost_of_a_million(rate: float, price: float) -> float:
    """Price of a million answers from a machine that costs so much an hour."""
    return 1e6 / rate / 3600 * price


def service_times(port: int, model: str = "cnn") -> np.ndarray:
    """Ask one after the other, with nobody else there; seconds of each."""
    return load("closed", port, requests_for(model), 1, 0.4).latency


def against_theory(
    shares: Sequence[float] = (0.3, 0.6, 0.85), count: int = 400
) -> dict[str, Any]:
    """Measure the naive service's mean times beside those of a queue.

    Parameters
    ----------
    count : int
        Requests of each load, whatever its rate.

    Returns
    -------
    dict
        ``service``: seconds of each request when it is alone; ``mean``:
        seconds that one occupies the busy service, 1/capacity; ``loads`` as
        in `sweep`; ``journals`` of them; ``usual``: the journal of the first
        load, made once more by asyncio's usual clock.
    """
    with serving(designs()["one by one"]) as service:
        port = service.port
        capacity(port, "cnn", 0.05)
        alone = service_times(port)
        most = capacity(port, "cnn", 0.4)
        rates = [share * most for share in shares]
        pairs = [under_load(port, rate, count / rate) for rate in rates]
        usual = offered(
            port, requests_for("cnn"), rates[0], count / rates[0],
            kind="open, by the usual clock",
        )  # fmt: skip
    return {
        "service": alone,
        "mean": 1 / most,
        "loads": [summary for summary, _ in pairs],
        "journals": [journal for _, journal in pairs],
        "usual": usual,
    }


def compare_rates(model: str, repeats: int = 3) -> dict[str, Timing]:
    """Compare seconds a request at saturation: naive, and ours."""
    ways = designs()
    wanted = ("one by one", "batches", "batches in processes")
    return _side_by_side(
        {name: ways[name] for name in wanted},
        lambda port: 1 / capacity(port, model, 1.0),
        repeats,
    )


def compare_tails(
    model: str, share: float = 0.9, repeats: int = 3
) -> dict[str, Timing]:
    """Compare p99 at a rate that brings the naive service near its end."""
    ways = designs()
    with serving(ways["one by one"]) as service:
        rate = share * capacity(service.port, model, 1.0)
    wanted = ("one by one", "batches", "batches in processes")
    return _side_by_side(
        {name: ways[name] for name in wanted},
        lambda port: under_load(port, rate, 2.0, model)[0]["p99"],
        repeats,
    )


def _side_by_side(
    ways: Mapping[str, Design],
    seconds: Callable[[int], float],
    repeats: int,
) -> dict[str, Timing]:
    """Ask services by turns, of which those that are not asked wait."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    with ExitStack() as services:
        ports = {
            name: services.enter_context(serving(design)).port
            for name, design in ways.items()
        }
        for port in ports.values():
            seconds(port)  # warm
        for _ in range(repeats):
            for name, port in ports.items():
                found[name].append(seconds(port))
    return {name: Timing(tuple(values)) for name, values in found.items()}


def record() -> dict[str, Any]:
    """Measure the designs on this machine, for those who compare."""
    return {"designs": sweep(seconds=1.5)}


def drawn(data: dict[str, Any], hardware: dict[str, Any]) -> Curves:
    """Draw the p99 of each design by what it answers; one answer in time."""
    return curves(
        along("requests answered a second", log=False),
        along("p99", "s"),
        [
            line(
                name,
                [
                    (one["answered"], one["p99"])
                    for one in found["loads"]
                    if 0 < one["p99"] < math.inf
                ],
            )
            for name, found in data["designs"].items()
            if name != "threads"
        ],
    )
