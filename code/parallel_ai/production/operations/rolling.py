"""A new version takes over from the old one, and no request is lost."""

import hashlib
import json
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parallel_ai.production.operations.fleet import Fleet
from parallel_ai.production.operations.store import (
    NotTakenError,
    current,
    take,
)
from parallel_ai.production.serving import (
    Journal,
    Model,
    Settings,
    load,
    poisson_times,
    request_of,
    running,
    scraped,
)
from parallel_ai.production.serving.packed import PIXELS

SECONDS = 60.0  # that a connection may take


def chosen(key: str, share: float, salt: str = "") -> bool:
    """Say whether a client belongs to the few who get the new version.

    Parameters
    ----------
    key : str
        Who asks: the same one always gets the same.
    share : float
        From 0 to 1. Who belongs to a small share belongs to a larger one.
    salt : str
        Of the trial: with another one, others go first.
    """
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


@dataclass
class Watched:
    """What clients saw while versions changed.

    Attributes
    ----------
    when : array of float
        Seconds from the load's begin to each good answer.
    versions : list of str
        That those answers named.
    lost, refused, wrong : int
        Connections that broke; answers other than 200; answers that are not
        what the version they name would say.
    told : list of str
        What was done meanwhile, and what came of it.
    """

    when: np.ndarray
    versions: list[str]
    lost: int
    refused: int
    wrong: int
    told: list[str] = field(default_factory=list)


def judged(
    journal: Journal,
    due: np.ndarray,
    pixels: np.ndarray,
    models: Mapping[str, Model],
) -> Watched:
    """Compare each answer with the model that it says it comes from."""
    right = {v: model.predict(pixels) for v, model in models.items()}
    numbers = np.searchsorted(due, journal.due) % len(pixels)
    versions, wrong = [], 0
    for i in np.flatnonzero(journal.good):
        answer = json.loads(journal.bodies[i])
        versions.append(answer["version"])
        known = right.get(answer["version"])
        wrong += known is None or not np.allclose(
            answer["probabilities"][0], known[numbers[i]], atol=1e-5
        )
    statuses = np.array(journal.statuses)
    return Watched(
        np.array(journal.ended)[journal.good],
        versions,
        int((statuses == 0).sum()),
        int(((statuses != 0) & (statuses != 200)).sum()),
        wrong,
    )


def answered(port: int, count: int, load_: Future[Journal]) -> None:
    """Wait until a team has given so many good answers, or the load ends."""
    name = 'serving_requests_total{model="model",status="200"}'
    while not load_.done() and scraped(port)[name] < count:
        wait({load_}, 0.02)


def rolled(
    store: Path,
    steps: Sequence[str],
    rate: float = 150.0,
    seconds: float = 0.0,
    pixels: np.ndarray | None = None,
    **trial: Any,
) -> Watched:
    """Put an open load on the current version, and change under it.

    Parameters
    ----------
    steps : sequence of str
        Versions, one after the other; each has to answer for a while.
    rate : float
        Requests a second, whatever happens.
    seconds : float
        Of the load; by default as many as the changes should take, judged
        by the start of the first team.
    """
    from parallel_ai.production.serving import garments

    pixels = garments()[0][:200] if pixels is None else pixels
    versions = [current(store), *steps]
    begun = time.monotonic()
    with Fleet(store, **trial) as fleet, ThreadPoolExecutor(1) as pool:
        start = time.monotonic() - begun
        seconds = seconds or min(60.0, 1.5 + (1 + start) * len(steps))
        due = poisson_times(rate, round(rate * seconds))
        requests = [request_of("model", picture) for picture in pixels]
        pending = pool.submit(load, "open", fleet.port, requests, due, True)
        enough = round(rate / 2)
        told = []
        for version in steps:
            answered(fleet.port, enough, pending)
            try:
                fleet.roll(version)
                told.append(f"{version} taken")
            except NotTakenError as error:
                told.append(f"{version} not taken: {error}")
        journal = pending.result()
    models = {}
    for version in versions:
        try:
            models[version] = take(store, version)
        except NotTakenError:
            continue
    found = judged(journal, due, pixels, models)
    found.told = told
    return found


def restarted(
    files: Sequence[Path], rate: float = 600.0, seconds: float = 2.0
) -> dict[str, int]:
    """Restart as one would by hand: end the service, start the next one.

    Its socket is closed before another one listens; who comes meanwhile is
    refused by the kernel.

    Returns
    -------
    dict of str to int
        Requests ``answered`` and ``lost``.
    """
    requests = request_of("model", np.zeros((1, PIXELS), "u1"))
    due = poisson_times(rate, round(rate * seconds))
    old, new = files
    with ThreadPoolExecutor(1) as pool:
        with running(Settings([("model", old)])) as service:
            pending = pool.submit(load, "open", service.port, [requests], due)
            answered(service.port, 20, pending)
        with running(Settings([("model", new)], port=service.port)):
            journal = pending.result()
    good = int(journal.good.sum())
    return {"answered": good, "lost": len(due) - good}


def two_queues(clients: int = 20) -> dict[str, int]:
    """Let two sockets listen on one port, and close one: SO_REUSEPORT.

    Each socket has a queue of its own. What waits in the one that is closed
    is lost, though another one listens on.

    Returns
    -------
    dict of str to int
        Of the connections: ``lost``, and ``kept``.
    """
    pair = []
    port = 0
    for _ in range(2):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(clients)
        listener.setblocking(False)
        port = listener.getsockname()[1]
        pair.append(listener)
    callers = [
        socket.create_connection(("127.0.0.1", port), SECONDS)
        for _ in range(clients)
    ]
    pair[0].close()
    kept = 0
    for caller in callers:
        try:
            caller.sendall(b"x")
            caller.settimeout(0.05)
            caller.recv(1)
        except TimeoutError:
            kept += 1  # it waits for its answer
        except OSError:
            pass
        caller.close()
    pair[1].close()
    return {"lost": clients - kept, "kept": kept}
