"""What goes wrong, done on purpose: kills, ends, stalls, bad counts."""

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from http.client import HTTPConnection

import numpy as np
import psutil

from parallel_ai.production.serving.asking import Told, insist, request_of
from parallel_ai.production.serving.batching import Design
from parallel_ai.production.serving.checking import Limits
from parallel_ai.production.serving.counting import Metrics, names_of
from parallel_ai.production.serving.loading import load
from parallel_ai.production.serving.misusing import Outcome, misuse, misuses
from parallel_ai.production.serving.packed import garments
from parallel_ai.production.serving.stalling import scraped
from parallel_ai.production.serving.sweeping import (
    capacity,
    designs,
    requests_for,
    serving,
)

QUICKLY = Limits(
    head_seconds=0.5, body_seconds=0.5, idle_seconds=1.0
)  # for pages and tests, which have less patience than the defaults


@dataclass(frozen=True)
class Killed:
    """A worker killed under load.

    Attributes
    ----------
    told : Told
        What the client has seen.
    ready : bool
        Whether the service was ready again in the end.
    """

    told: Told
    ready: bool


def killed(count: int = 1000, clients: int = 32) -> Killed:
    """Kill one of two workers while a client insists on its answers."""
    pictures = garments()[0][:count]
    asked = [request_of("cnn", picture) for picture in pictures]
    told = Told([])
    with (
        serving(Design(workers=2)) as service,
        ThreadPoolExecutor(1) as pool,  # a notebook has a loop already
    ):
        client = insist(service.port, asked, clients, told=told)
        done = pool.submit(asyncio.run, client)
        while sum(answer is not None for answer in told.answers) < clients:
            if wait([done], 0.002).done:
                break
        os.kill(busiest(service.pids), signal.SIGKILL)
        done.result(60)
        return Killed(told, get(service.port, "/health/ready")[0] == 200)


def busiest(pids: list[int]) -> int:
    """Find the worker with most connections, by its open files."""
    return max(pids, key=lambda pid: psutil.Process(pid).num_fds())


def get(port: int, path: str) -> tuple[int, str]:
    """Ask with GET; returns status and text."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def all_misuses() -> dict[str, Outcome]:
    """Ask badly in all ways, and well after each.

    Raises
    ------
    RuntimeError
        The service did not answer the good request, or answered a bad one
        wrongly.
    """
    found = {}
    with serving(Design(), limits=QUICKLY) as service:
        for case in misuses(QUICKLY):
            outcome = misuse(service.port, case.parts())
            lives = get(service.port, "/health/ready")[0] == 200
            if not lives or outcome.status not in case.expected:
                raise RuntimeError(f"{case.name}: {outcome}, lives: {lives}")
            found[case.name] = outcome
    return found


def health_under_load(seconds: float = 0.5) -> dict[str, float]:
    """Ask for health while large requests come; the slowest answer.

    Returns
    -------
    dict of str to float
        Seconds, for a model called by the event loop and by a thread.
    """
    large = [request_of("cnn", garments()[0][:64])]
    found = {}
    for name in ("one by one", "batches"):
        with serving(designs()[name]) as service:
            capacity(service.port, "cnn", 0.05)
            background = threading.Thread(
                target=load,
                args=("closed", service.port, large, 8, seconds),
            )
            background.start()
            slowest = 0.0
            while background.is_alive():
                begun = time.perf_counter()
                get(service.port, "/health/live")
                slowest = max(slowest, time.perf_counter() - begun)
                background.join(0.01)
        found[name] = slowest
    return found


def one_scrape(workers: int = 2, each: int = 100) -> dict[str, float]:
    """Count in several processes' rows, and ask one of them."""
    name = 'serving_batches_total{model="cnn"}'
    cells = np.zeros(workers * len(names_of(["cnn"])))
    rows = [Metrics(["cnn"], cells, row) for row in range(workers)]
    for metrics in rows:
        for _ in range(each):
            metrics.batch("cnn", 1)
    asked = rows[0]
    return {
        "its own row": float(cells[asked.start + asked.place[name]]),
        "all rows": asked.total(name),
    }


def ended(clients: int = 16) -> dict[str, int]:
    """Send SIGTERM to a service under load; what became of requests.

    Returns
    -------
    dict
        ``answered`` with 200; ``broken``: no answer came on a connection
        that was open; ``code`` of the exit.
    """
    asked = requests_for("cnn")
    answered = 'serving_requests_total{model="cnn",status="200"}'
    with (
        serving(designs()["batches"]) as service,
        ThreadPoolExecutor(1) as pool,
    ):
        pending = pool.submit(
            load, "closed", service.port, asked, clients, 0.6
        )
        while scraped(service.port)[answered] < clients:
            if pending.done():
                break
        code, journal = service.end(), pending.result()
    return {
        "answered": int(journal.good.sum()),
        "broken": int((~journal.good).sum()),
        "code": code,
    }
