"""A service that stands still, waits for more, or has too much to do."""

import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from parallel_ai.production.serving.asking import request_of
from parallel_ai.production.serving.batching import Design
from parallel_ai.production.serving.loading import Journal, load, offered
from parallel_ai.production.serving.packed import garments
from parallel_ai.production.serving.sweeping import (
    capacity,
    designs,
    percentiles,
    requests_for,
    serving,
    under_load,
)


@contextmanager
def standstill(pid: int, after: float, seconds: float) -> Iterator[None]:
    """Stop a process for a while: a collection of garbage, a busy neighbour."""
    process, given_up = psutil.Process(pid), threading.Event()

    def stop_and_go() -> None:
        if given_up.wait(after):
            return
        process.suspend()
        given_up.wait(seconds)
        process.resume()

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        given_up.set()
        thread.join()


def omitted(
    still: float = 0.2, seconds: float = 0.8, clients: int = 2
) -> dict[str, Journal]:
    """Let a service stand still once, under a closed and an open loop.

    The open one asks a quarter as often as the closed one could.
    """
    pause = {"after": seconds / 3, "seconds": still}
    asked = requests_for("linear")
    with serving(designs()["one by one"]) as service:
        worker = service.pids[0]
        usual = load("closed", service.port, asked, clients, 0.3)
        rate = usual.throughput / 4
        with standstill(worker, **pause):
            closed = load("closed", service.port, asked, clients, seconds)
        with standstill(worker, **pause):
            opened = offered(service.port, asked, rate, seconds)
    return {"closed": closed, "open": opened}


def patience(
    waits: Sequence[float] = (0.0, 0.01), shares: Sequence[float] = (0.1, 0.8)
) -> list[dict[str, float]]:
    """Measure what waiting for a fuller batch costs and brings."""
    rows = []
    most = 0.0
    for wait in waits:
        with serving(Design(max_wait=wait)) as service:
            most = most or capacity(service.port, "cnn", 0.3)
            for share in shares:
                before = scraped(service.port)
                summary, _ = under_load(service.port, share * most, 0.3)
                after = scraped(service.port)
                calls, pictures = (
                    after[name] - before[name]
                    for name in (
                        'serving_batches_total{model="cnn"}',
                        'serving_pictures_total{model="cnn"}',
                    )
                )
                rows.append(
                    {"wait": wait, "batch": pictures / calls, **summary}
                )
    return rows


def scraped(port: int) -> dict[str, float]:
    """Read the metrics, as Prometheus does."""
    address = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(address, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if line[0] != "#")
    return {name: float(value) for name, _, value in pairs}


def overload(
    share: float = 2.0,
    seconds: float = 0.7,
    limit: float = 0.2,
    pictures: int = 16,
) -> dict[str, dict[str, float]]:
    """Offer more than can be done to a queue without and with a bound.

    Returns
    -------
    dict
        ``answered`` and ``useful``, those within the limit, a second;
        ``refused``, a share; ``late``, a share of the answered, and their
        ``p99``.
    """
    rows = garments()[0]
    asked = [
        request_of("cnn", rows[i : i + pictures])
        for i in range(0, 64 * pictures, pictures)
    ]
    ways = {
        "without a bound": Design(room=10**9, seconds=60),
        "with a bound": Design(room=4 * pictures, seconds=limit),
    }
    found, most = {}, 0.0
    for name, design in ways.items():
        with serving(design) as service:
            full = load("closed", service.port, asked, 4, 0.3)
            most = most or full.throughput
            journal = offered(service.port, asked, share * most, seconds)
        useful = int((journal.latency <= limit).sum())
        answered = max(1, int(journal.good.sum()))
        found[name] = {
            "answered": journal.throughput,
            "useful": useful / max(journal.due),
            "refused": 1 - float(journal.good.mean()),
            "late": 1 - useful / answered,
            **percentiles(journal.latency),
        }
    return found
