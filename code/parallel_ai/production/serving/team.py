"""Workers that share a port, and the process that looks after them."""

import asyncio
import gc
import multiprocessing
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from parallel_ai.production.serving.batching import Design
from parallel_ai.production.serving.checking import Limits
from parallel_ai.production.serving.counting import Metrics, names_of
from parallel_ai.production.serving.packed import (
    LIBRARIES,
    Model,
    import_for,
    load_model,
)
from parallel_ai.toolbox.workers import SAFE, begin

HOST = "127.0.0.1"
LIMIT = 60.0  # seconds: no start lasts longer
QUICK = 5.0  # seconds: several deaths within make a worker hopeless


@dataclass(frozen=True)
class Settings:
    """All that a service needs to know.

    Attributes
    ----------
    models : sequence of (name, path)
        A name may come several times, with the current version last.
    port : int
        0 for a free one.
    drain : float
        Seconds that requests under way have when the service is to end.
    """

    models: Sequence[tuple[str, Path]]
    design: Design = field(default_factory=Design)
    limits: Limits = field(default_factory=Limits)
    port: int = 0
    drain: float = 10.0

    @property
    def names(self) -> list[str]:
        """Names of the models, each once."""
        return list(dict.fromkeys(name for name, _ in self.models))


class PortBusyError(OSError):
    """Another program listens there."""


def listening(port: int) -> socket.socket:
    """Listen on loopback alone, and take no port that is somebody else's.

    Raises
    ------
    PortBusyError
        With the way out in its message.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortBusyError(
            f"cannot listen on {HOST}:{port}: {error.strerror}. "
            "Take another --port, or 0 for a free one."
        ) from error
    listener.setblocking(False)
    return listener


def models_of(settings: Settings) -> list[Model]:
    """Load the models of a service.

    Raises
    ------
    OSError, ValueError
        A file is not there, or no model.
    """
    return [load_model(name, path) for name, path in settings.models]


def work(
    settings: Settings,
    listener: socket.socket,
    cells: Any,
    row: int,
    say: Any,
    models: Callable[[Settings], list[Model]] = models_of,
    warm: bool = True,
    linger: float = 0.0,
) -> None:
    """Be a worker: load and warm up, say so, and answer until SIGTERM.

    Parameters
    ----------
    cells, row
        Of `Metrics`.
    say : multiprocessing.connection.Connection
        Gets the row when requests will be answered, or why they will not.
    models : callable
        Loads them.
    warm, linger
        Of `Service` and of `serve`.
    """
    begin(None)  # Ctrl-C is the parent's, and without it this one ends
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until there is a loop

    from threadpoolctl import threadpool_limits

    from parallel_ai.production.serving.answering import Service
    from parallel_ai.production.serving.door import serve

    listener.setblocking(False)
    try:
        import_for(path for _, path in settings.models)
        loaded = models(settings)
    except (ImportError, OSError, ValueError) as error:
        say.send(str(error))
        sys.exit(1)
    gc.freeze()  # what came with the imports is no garbage

    async def until_told() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        metrics = Metrics(settings.names, cells, row)
        service = Service(
            loaded, settings.design, settings.limits, metrics, warm
        )
        await serve(
            service, listener, stop, lambda: say.send(row),
            settings.drain, linger,
        )  # fmt: skip

    with threadpool_limits(1):
        asyncio.run(until_told())


def prepare() -> None:
    """Have the fork server, where there is one, import what workers need."""
    if SAFE == "forkserver":
        libraries = [name for names in LIBRARIES.values() for name in names]
        forkserver.set_forkserver_preload([f"{__package__}.door", *libraries])
        forkserver.ensure_running()


class Team:
    """The workers of a service: started, replaced, ended.

    Parameters
    ----------
    say : callable
        Told what happens, in a line.
    method : str
        How workers start: "fork", "spawn" or "forkserver".
    more
        Of `work`.
    """

    failure: type[Exception] = RuntimeError  # a worker does not come up

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None] = print,
        method: str = SAFE,
        **more: Any,
    ) -> None:
        self.settings, self.say = settings, say
        self.work = partial(work, **more)
        self.context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            prepare()
        size = settings.design.workers * len(names_of(settings.names))
        self.cells = self.context.RawArray("d", size)
        self.workers: dict[int, Any] = {}
        self.deaths: deque[float] = deque(maxlen=3)

    def start(self, row: int, listener: socket.socket) -> None:
        """Start a worker, and wait until it is ready.

        Raises
        ------
        RuntimeError
            It ended, with its reason, or is not ready after `LIMIT` seconds.
        """
        here, there = self.context.Pipe(duplex=False)
        worker = self.context.Process(
            target=self.work,
            args=(self.settings, listener, self.cells, row, there),
        )
        worker.start()
        self.workers[row] = worker
        there.close()
        with here:
            wait([here, worker.sentinel], LIMIT)
            try:
                told = here.recv() if here.poll() else "is not ready in time"
            except EOFError:
                told = "has died"
        if told != row:
            raise self.failure(f"worker {row}: {told}")

    def look_after(self, listener: socket.socket, stop: Any) -> None:
        """Replace workers that die, until something comes from `stop`.

        Raises
        ------
        RuntimeError
            They die as fast as they are started.
        """
        while True:
            team = {w.sentinel: row for row, w in self.workers.items()}
            ended = wait([*team, stop])
            if stop in ended:
                return
            for row in (team[sentinel] for sentinel in ended):
                code = self.workers[row].exitcode
                self.deaths.append(time.monotonic())
                if len(self.deaths) == 3 and (
                    self.deaths[-1] - self.deaths[0] < QUICK
                ):
                    raise RuntimeError(f"worker {row} keeps ending ({code})")
                self.say(f"worker {row} has ended ({code}): starting another")
                self.start(row, listener)

    def end(self) -> bool:
        """Let all finish what they do; kill who takes too long.

        Returns
        -------
        bool
            Nobody had to be killed.
        """
        for worker in self.workers.values():
            worker.terminate()  # SIGTERM: finish, then end
        due = time.monotonic() + self.settings.drain + 2
        clean = True
        for worker in self.workers.values():
            worker.join(max(0.0, due - time.monotonic()))
            if worker.is_alive():
                clean = False
                worker.kill()
                worker.join()
        return clean


def supervise(
    settings: Settings,
    announce: Callable[[int, list[int]], None],
    stop: Any,
    say: Callable[[str], None] = print,
    method: str = SAFE,
) -> int:
    """Run a service until something comes from `stop`.

    Parameters
    ----------
    announce : callable
        Told the port and the workers' process ids, once all are ready.
    stop : multiprocessing.connection.Connection
    say, method
        Of `Team`.

    Returns
    -------
    int
        Exit code: 0 for a clean end, 1 if a worker had to be killed at the
        end, 2 if there was no way to serve.
    """
    team = Team(settings, say, method)
    try:
        with listening(settings.port) as listener:
            for row in range(settings.design.workers):
                if not stop.poll():
                    team.start(row, listener)
            if not stop.poll():
                pids = [worker.pid for worker in team.workers.values()]
                announce(listener.getsockname()[1], pids)
            team.look_after(listener, stop)
            say("ending: no new connections, requests under way finish")
            listener.close()  # as the workers do: who comes now is refused
            return 0 if team.end() else 1
    except (PortBusyError, RuntimeError) as error:
        say(f"error: {error}")
        return 2
    finally:
        team.end()
