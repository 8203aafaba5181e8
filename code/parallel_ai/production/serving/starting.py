"""Start a service: from a notebook or a test, and from the command line."""

import argparse
import contextlib
import multiprocessing
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parallel_ai.production.serving.batching import Design
from parallel_ai.production.serving.checking import Limits
from parallel_ai.production.serving.packed import import_for
from parallel_ai.production.serving.team import HOST, Settings, supervise
from parallel_ai.toolbox.workers import SAFE

# The command imports all, and starts no thread, before it forks.
FORK = "fork" if sys.platform == "linux" else SAFE


@dataclass(frozen=True)
class Running:
    """A service that runs.

    Attributes
    ----------
    port : int
        Of 127.0.0.1.
    pids : list of int
        The workers', as they were at the start.
    """

    port: int
    pids: list[int]
    stop: Any
    code: Future[int]

    def end(self) -> int:
        """End it, as SIGTERM ends the command; returns the exit code."""
        with contextlib.suppress(OSError):  # it has ended by itself
            self.stop.send("end")
        return self.code.result()


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Run a service whose workers a thread of this process looks after.

    Raises
    ------
    RuntimeError
        It did not come up; with what it said.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    up: Future[tuple[int, list[int]]] = Future()
    said: list[str] = []

    def announce(port: int, pids: list[int]) -> None:
        up.set_result((port, pids))

    with here, there, ThreadPoolExecutor(1) as pool:
        code = pool.submit(supervise, settings, announce, here, said.append)
        try:
            either: list[Future[Any]] = [up, code]
            futures.wait(either, return_when=futures.FIRST_COMPLETED)
            if not up.done():
                code.result()
                raise RuntimeError(f"no service: {said[-1]}")
            service = Running(*up.result(), there, code)
            yield service
        finally:
            with contextlib.suppress(OSError):
                there.send("end")
            code.result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve models from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m parallel_ai.production.serving",
        description="Serve models over HTTP, on loopback.",
    )
    parser.add_argument("models", nargs="+", metavar="name=path")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--max-wait", type=float, default=0.0)
    parser.add_argument("--room", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--head-seconds", type=float, default=5.0)
    parser.add_argument("--body-seconds", type=float, default=5.0)
    parser.add_argument("--drain", type=float, default=10.0)
    told = parser.parse_args(arguments)
    models = [tuple(text.partition("=")[::2]) for text in told.models]
    for name, path in models:
        if not re.fullmatch(r"[\w.-]+", name) or not path:
            parser.error(f"no name for an address: {name}; write name=path")
        if not Path(path).is_file():
            parser.error(f"no file of a model: {path}")
    design = Design(
        told.workers, told.threads, told.max_batch, told.max_wait,
        told.room, told.seconds,
    )  # fmt: skip
    limits = Limits(
        head_seconds=told.head_seconds, body_seconds=told.body_seconds
    )
    files = [(name, Path(path).resolve()) for name, path in models]
    settings = Settings(files, design, limits, told.port, told.drain)
    try:
        import_for(path for _, path in files)
    except ImportError as error:
        extras = "accelerators,production"
        parser.error(f"{error}: python -m pip install 'parallel-ai[{extras}]'")
    here, there = multiprocessing.Pipe(duplex=False)
    with here, there, signals_to(there):
        return supervise(
            settings,
            lambda port, pids: print(
                f"serving on http://{HOST}:{port}, workers {pids}", flush=True
            ),
            here,
            lambda text: print(text, flush=True),
            FORK,
        )


@contextmanager
def signals_to(pipe: Any) -> Iterator[None]:
    """Send SIGTERM and Ctrl-C into a pipe, which can be waited for."""

    def send(number: int, _: object) -> None:
        with contextlib.suppress(OSError):
            pipe.send(number)

    before = {
        number: signal.signal(number, send)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
