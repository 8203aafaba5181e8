"""A training function on every worker of a Dask cluster, as one group."""

import json
import pickle
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import cloudpickle

from parallel_ai.toolbox.ranks import GRACE, RankError
from parallel_ai.training.on_dask.placing import (
    Place,
    find_places,
    meeting_address,
)
from parallel_ai.training.on_dask.telling import Told
from parallel_ai.training.on_dask.verdicts import (
    Heard,
    absent,
    guilty,
    late,
)
from parallel_ai.training.on_dask.watching import (
    POLL,
    be_rank,
    state_name,
    take_state,
)

if TYPE_CHECKING:
    from distributed import Client, Future

CLOSE = 10.0  # seconds in which cancelled ranks end
LOOK = 0.5  # seconds between two looks at who is still in the cluster

Report = Callable[[Told], object]


def run_ddp(
    client: "Client",
    train: Callable[..., Any],
    *args: Any,
    workers: int | Sequence[str] | None = None,
    report: Report | None = None,
    seconds: float = 600.0,
    patience: float = 120.0,
) -> list[Any]:
    """Call a function on workers of a cluster, as the ranks of one group.

    Parameters
    ----------
    client : distributed.Client
        Of any cluster whose workers can import `parallel_ai`.
    train : callable
        Finds its rank by `torch.distributed.get_rank()`, its device by
        `ranks.device()`, and speaks by `tell` or `print`.
    args
        Small: they travel to every rank. Data are read where they are used.
    workers : int or sequence of str, optional
        How many, or at which addresses; all by default.
    report : callable, optional
        Called here, in this thread, with each `Told`. What it raises ends
        the training.
    seconds : float
        Limit for the training, from when all ranks are there.
    patience : float
        Limit until then: a rank has to import PyTorch first.

    Returns
    -------
    list
        What each rank returned.

    Raises
    ------
    RankError
        A rank raised, or died, or its worker did, or did not come or end in
        time. The message names rank and worker.
    TimeoutError
        There are not so many workers.
    """
    team = find_places(client, workers, patience)
    call = cloudpickle.dumps((train, args))
    with Run(client, team, report) as run:
        run.start(call, seconds, patience)
        run.gather(patience)
        return run.watch(seconds)


@dataclass
class Run:
    """One run: what was heard of its ranks."""

    client: "Client"
    team: list[Place]
    report: Report | None
    topic: str = field(default_factory=lambda: f"run-ddp-{uuid4().hex}")
    inbox: Any = field(default_factory=queue.SimpleQueue)
    futures: dict[int, "Future"] = field(default_factory=dict)
    heard: Heard = field(default_factory=dict)
    looked: float = 0.0

    def __enter__(self) -> Self:  # noqa: D105
        put = self.inbox.put  # Dask keeps what it is given: not all of this
        self.client.subscribe_topic(self.topic, lambda event: put(event[1]))
        return self

    def __exit__(  # noqa: D105
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self.futures.clear()  # or the workers would keep the results
        self.client.unsubscribe_topic(self.topic)

    def known(self, kind: str) -> dict[int, Any]:
        """Return what each rank said of a kind."""
        return self.heard.setdefault(kind, {})

    def start(self, call: bytes, seconds: float, patience: float) -> None:
        """Begin with rank 0, which opens a free port; then the others."""
        job = {
            "call": call, "size": len(self.team), "seconds": seconds,
            "patience": patience, "address": meeting_address(self.team),
            "port": None,
        }  # fmt: skip
        self._submit(self.team[0], job)
        self._until("port", 1, patience)
        job["port"] = self.known("port")[0]
        for place in self.team[1:]:
            self._submit(place, job)

    def _until(self, kind: str, count: int, patience: float) -> None:
        until = time.monotonic() + patience
        while len(self.known(kind)) < count:
            self.hear()
            self.look()
            if time.monotonic() > until:
                raise self._absent(patience)

    def _submit(self, place: Place, job: dict[str, Any]) -> None:
        own = {"rank": place.rank, "host": place.host}
        self.futures[place.rank] = self.client.submit(
            be_rank, {**job, **own, "threads": place.threads},
            place.ident, self.topic, key=f"{self.topic}-{place.rank}",
            workers=[place.worker], pure=False, priority=10,
        )  # fmt: skip

    def gather(self, patience: float) -> None:
        """Wait until all ranks have joined."""
        self._until("joined", len(self.team), patience)

    def watch(self, seconds: float) -> list[Any]:
        """Wait for all results, and for what may go wrong instead."""
        until = time.monotonic() + seconds
        while len(self.known("result")) < len(self.team):
            self.hear()
            self.look()
            if time.monotonic() > until:
                raise self._late(seconds)
        while not self.inbox.empty():
            self.hear()
        results = self.known("result")
        return [
            pickle.loads(results[place.rank])  # noqa: S301, our own ranks'
            for place in self.team
        ]

    def hear(self) -> None:
        """Take in one message, if one comes."""
        try:
            message = self.inbox.get(timeout=POLL)
        except queue.Empty:
            return
        rank, kind, content = (message[k] for k in ("rank", "kind", "content"))
        if kind == "line":
            self._pass_on(Told(rank, line=content))
        elif kind == "told":
            text, number = content
            state = (
                self._fetch(rank, number) if number and self.report else None
            )
            self._pass_on(Told(rank, json.loads(text), state=state))
        else:
            self.known(kind)[rank] = content

    def _pass_on(self, told: Told) -> None:
        if self.report is not None:
            self.report(told)

    def _fetch(self, rank: int, number: int) -> bytes | None:
        place = self.team[rank].worker
        found = self.client.run(
            take_state,
            state_name(self.topic, rank),
            number,
            workers=[place],
            on_error="ignore",
        )
        state: bytes | None = found.get(place)
        return state

    def look(self) -> None:
        """See who has ended and whose worker is lost; raise if one failed."""
        self._collect()
        if any(self.known(k) for k in ("lost", "died", "error")):
            until = time.monotonic() + GRACE  # others may be guiltier
            while time.monotonic() < until:
                self.hear()
                self._collect()
            raise guilty(self.team, self.heard)

    def _collect(self) -> None:
        for rank, future in self.futures.items():
            if future.status == "error":
                self.known("error").setdefault(rank, str(future.exception()))
            elif future.status == "finished" and not self._has(rank):
                kind, content = future.result(timeout=CLOSE)
                self.known("lost" if kind == "restarted" else kind)[rank] = (
                    content
                )
        if time.monotonic() > self.looked + LOOK:
            self.looked = time.monotonic()
            there = self.client.nthreads()
            for place in self.team:
                if place.worker not in there and not self._has(place.rank):
                    self.known("lost")[place.rank] = ""

    def _has(self, rank: int) -> bool:
        return any(rank in self.known(k) for k in ("result", "died", "lost"))

    def end(self) -> None:
        """Cancel what is left, and wait until those ranks have ended."""
        left = [f for f in self.futures.values() if not f.done()]
        if left:
            self.client.cancel(left)
        alive = set(self.known("started")) - set(self.known("lost"))
        until = time.monotonic() + CLOSE
        while left and time.monotonic() < until:
            done = {
                r for k in ("gone", "result", "died") for r in self.known(k)
            }
            if alive <= done:
                break
            self.report = None  # too late for it
            self.hear()

    def _absent(self, patience: float) -> RankError:
        return absent(
            self.team, self.heard, patience, self.client.processing()
        )

    def _late(self, seconds: float) -> RankError:
        here = [place for place in self.team if not self._has(place.rank)]
        self.end()  # each then says where it stood
        return late(self.team, here, self.heard, seconds)
