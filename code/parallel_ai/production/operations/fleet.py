"""Workers that say when they are ready, and teams of them behind one port."""

import asyncio
import gc
import signal
import socket
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, Self

import numpy as np

from parallel_ai.one_machine.processes import begin
from parallel_ai.production.operations.store import (
    NotTakenError,
    current,
    file_of,
    point,
    take,
)
from parallel_ai.production.serving import (
    Design,
    Metrics,
    Model,
    Service,
    Settings,
    Team,
    listening,
    load_model,
    serve,
)
from parallel_ai.production.serving.packed import PIXELS

LIMIT = 60.0  # seconds: no start lasts longer


@dataclass(frozen=True)
class Trial:
    """What a worker does before it says that it is ready, and after it ends.

    Attributes
    ----------
    store : Path
    version : str
    warm : "queue", "thread" or "no"
        Load and check the model, and call it through the service's queue,
        or in the process' first thread; or wait for the first client.
    linger : float
        Seconds for which open connections may ask once more.
    """

    store: Path
    version: str
    warm: str = "queue"
    linger: float = 0.5


def warm_up(model: Model, design: Design) -> None:
    """Call a model with one row and a full batch, in this thread: too little.

    OpenMP's threads belong to the thread that has called them. Another one,
    such as that of a queue, starts its own.
    """
    for count in (1, design.max_batch):
        for _ in range(3):
            model.predict(np.zeros((count, PIXELS), np.uint8))


class WarmService(Service):
    """A service that asks itself before it opens: through its own queues."""

    async def __aenter__(self) -> Self:
        """Open the queues, and send through them what clients will."""
        await super().__aenter__()
        for batcher in self.batchers.values():
            for count in (1, self.design.max_batch):
                rows = np.zeros((count, PIXELS), np.uint8)
                for _ in range(3):
                    await asyncio.gather(
                        *(
                            batcher.ask(rows)
                            for _ in range(max(1, self.design.threads))
                        )
                    )
        return self


def lazy(name: str, path: Path, version: str) -> Model:
    """Promise a model, and load it when the first client asks: do not."""

    @cache
    def loaded() -> Model:
        return load_model(name, path)

    return Model(name, version, lambda pixels: loaded().predict(pixels))


def work(
    settings: Settings,
    trial: Trial,
    listener: socket.socket,
    cells: Any,
    row: int,
    say: Any,
) -> None:
    """Be a worker: load, check, warm up, say so, answer until SIGTERM."""
    begin(None)

    import torch
    from threadpoolctl import threadpool_limits

    listener.setblocking(False)
    torch.set_num_threads(1)
    name, path = settings.models[0]
    if trial.warm != "no":
        try:
            model = take(trial.store, trial.version, name)
        except NotTakenError as error:
            say.send(str(error))
            return
        if trial.warm == "thread":
            warm_up(model, settings.design)
    else:
        model = lazy(name, path, trial.version)
    gc.freeze()

    async def until_told() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        metrics = Metrics(settings.names, cells, row)
        kind = WarmService if trial.warm == "queue" else Service
        service = kind([model], settings.design, settings.limits, metrics)
        await serve(
            service, listener, stop, lambda: say.send(row),
            settings.drain, trial.linger,
        )  # fmt: skip

    with threadpool_limits(1):
        asyncio.run(until_told())


class Generation(Team):
    """A team of one version."""

    def __init__(self, settings: Settings, trial: Trial) -> None:
        super().__init__(settings, lambda _: None)
        self.trial = trial
        if self.context.get_start_method() == "forkserver":
            self.context.set_forkserver_preload([__package__])

    def start(self, row: int, listener: socket.socket) -> None:
        """Start a worker, and wait until it is ready.

        Raises
        ------
        NotTakenError
            It has looked at its version and does not want it.
        """
        here, there = self.context.Pipe(duplex=False)
        worker = self.context.Process(
            target=work,
            args=(
                self.settings, self.trial, listener, self.cells, row, there,
            ),
        )  # fmt: skip
        worker.start()
        self.workers[row] = worker
        there.close()
        with here:
            wait_for([here, worker.sentinel], LIMIT)
            try:
                told = here.recv() if here.poll() else "it is not ready"
            except EOFError:
                told = "it died"
        if told != row:
            raise NotTakenError(f"worker {row}: {told}")


class Fleet:
    """A port that stays, and teams that come and go behind it.

    The listening socket belongs to nobody but this process. All teams accept
    from it; connections that wait in its queue wait for whoever comes.

    Parameters
    ----------
    store : Path
        Versions, as `publish` has put them there.
    name : str
        What clients ask for.
    """

    def __init__(
        self,
        store: Path,
        name: str = "model",
        design: Design | None = None,
        **trial: Any,
    ) -> None:
        self.store, self.name, self.trial = store, name, trial
        self.design = design or Design(workers=2)
        self.listener = listening(0)
        self.port: int = self.listener.getsockname()[1]
        self.team: Generation | None = None
        self.version = ""

    def __enter__(self) -> Self:
        """Start the current version."""
        try:
            self.change(current(self.store))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let the team finish, and close the port."""
        if self.team is not None:
            self.team.end()
        self.listener.close()

    def change(self, version: str) -> None:
        """Start a team of a version; when all of it is ready, end the old.

        Raises
        ------
        NotTakenError
            The version does not pass; the old team goes on as if nothing
            had been.
        """
        models = [(self.name, file_of(self.store, version))]
        new = Generation(
            Settings(models, self.design),
            Trial(self.store, version, **self.trial),
        )
        try:
            for row in range(self.design.workers):
                new.start(row, self.listener)
        except BaseException:
            new.end()
            raise
        old, self.team, self.version = self.team, new, version
        if old is not None:
            old.end()

    def roll(self, version: str) -> None:
        """Change to a version, and make it the current one."""
        self.change(version)
        point(self.store, version)
