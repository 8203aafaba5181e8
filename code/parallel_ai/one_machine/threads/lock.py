"""Looking at the GIL: when it changes hands, and what waiting for it costs."""

import dis
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple


@contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    """Let threads ask for the lock after another time than 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Interruptions(NamedTuple):
    """One instruction, and how often the interpreter was interrupted at it."""

    offset: int
    instruction: str
    times: int


def interruptions(
    function: Callable[..., Any], *args: Any, seconds: float = 0.3
) -> list[Interruptions]:
    """Find the instructions after which other code may run.

    A timer sends this process a signal about every 0.2 ms. The interpreter
    remembers it and looks at the same few places where it also looks
    whether another thread wants the GIL. The signal's handler notes which
    instruction of `function` was the last.

    Parameters
    ----------
    function : callable
        Called with `args`, over and over; plain Python.
    seconds : float
        For how long.

    Raises
    ------
    ValueError
        This is not the main thread, which alone handles signals.

    Notes
    -----
    Not on Windows, which has no such timer. The places are those of
    `_Py_HandlePending` in CPython's ``Python/ceval_gil.c``.
    """
    code = function.__code__
    seen: dict[int, int] = {}

    def note(_: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code is code:
            seen[frame.f_lasti] = seen.get(frame.f_lasti, 0) + 1

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
    try:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            function(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return [
        Interruptions(i.offset, f"{i.opname} {i.argrepr}".strip(), times)
        for i in dis.get_instructions(function)
        for times in [seen.get(i.offset, 0)]
        if i.opname not in ("CACHE", "PRECALL")
    ]


def turns(threads: int, seconds: float) -> list[list[tuple[float, float]]]:
    """Let threads compute for a while and tell which of them ran when.

    Returns
    -------
    list, for each thread, of (start, stop)
        Its turns, in seconds from the beginning. Two looks at the clock
        more than 0.2 ms apart mean that somebody else had the lock or the
        CPU in between.
    """
    begin = time.perf_counter()
    end = begin + seconds
    found: list[list[tuple[float, float]]] = [[] for _ in range(threads)]

    def work(mine: list[tuple[float, float]]) -> None:
        start = last = time.perf_counter()
        while (now := time.perf_counter()) < end:
            if now - last > 2e-4:
                mine.append((start - begin, last - begin))
                start = now
            last = now
        mine.append((start - begin, last - begin))

    team = [threading.Thread(target=work, args=(mine,)) for mine in found]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return found


def echo(connection: Any, seconds: float) -> None:
    """Send back what comes, after some time, until the other side closes."""
    try:
        while True:
            message = connection.recv_bytes()
            time.sleep(seconds)
            connection.send_bytes(message)
    except (EOFError, OSError):
        connection.close()


def answer_times(
    busy: int, interval: float, rounds: int = 40, seconds: float = 2e-3
) -> list[float]:
    """Time the answers of another process beside threads that compute.

    Parameters
    ----------
    busy : int
        Threads of this process that never wait.
    interval : float
        Seconds after which a thread asks for the GIL.
    seconds : float
        What the other process takes for an answer.

    Returns
    -------
    list of float
        Seconds from each question to its answer.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    partner = context.Process(target=echo, args=(there, seconds))
    partner.start()
    there.close()
    stop = threading.Event()
    team = [threading.Thread(target=spin, args=(stop,)) for _ in range(busy)]
    try:
        ping(here)  # the partner is up
        with switch_interval(interval):
            for thread in team:
                thread.start()
            return [ping(here) for _ in range(rounds)]
    finally:
        stop.set()
        for thread in team:
            thread.join()
        here.close()
        partner.join()


def spin(stop: threading.Event) -> None:
    """Keep a CPU, and the GIL, busy."""
    while not stop.is_set():
        pass


def ping(connection: Any) -> float:
    """Seconds that one question and its answer take."""
    start = time.perf_counter()
    connection.send_bytes(b"?")
    connection.recv_bytes()
    return time.perf_counter() - start
