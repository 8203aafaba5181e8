"""The task of a worker: start its rank, pass on what it says, end it."""

import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import IO, Any

from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.workers import SAFE
from parallel_ai.training.on_dask import rank_process

POLL = 0.1  # seconds between two looks at whether the task was cancelled
TAIL = 4_000  # bytes of what a rank wrote that an error shows
KEPT = 60  # seconds that the last state may be fetched after the end
STATES: dict[str, tuple[int, bytes]] = {}  # of each rank the newest, numbered

Job = dict[str, Any]
Outcome = tuple[str, Any]


def be_rank(job: Job, ident: str, topic: str) -> Outcome:
    """Start the process of a rank, and watch it until it has ended.

    Returns
    -------
    tuple
        "result" and its bytes; "died" and how; "restarted", if this worker
        is not the one that was asked; "ended", if the task was cancelled.
    """
    from distributed import get_worker

    worker = get_worker()
    name = state_name(topic, job["rank"])
    if worker.local_directory != ident:
        return "restarted", ""

    def say(kind: str, content: Any = None) -> None:
        message = {"rank": job["rank"], "kind": kind, "content": content}
        worker.log_event(topic, message)

    with ExitStack() as stack:
        log = stack.enter_context(tempfile.NamedTemporaryFile())
        job = {**job, "socket": None}
        if job["rank"] == 0:
            bound = stack.enter_context(socket.socket())
            bound.bind((job["address"], 0))  # a free port, kept from now on
            bound.listen()
            job |= {"port": bound.getsockname()[1], "socket": bound}
            say("port", job["port"])
        say("started")
        link, process = start_rank(job, log.name)
        stack.callback(end_rank, process, link)
        gone = partial(_gone, worker, str(worker.get_current_task()))
        kind, content = follow_rank(link, process, log, say, gone, name)
        if kind == "result":
            process.join(10)  # what it has to close, it may close
        late = partial(STATES.pop, name, None)
        worker.loop.add_callback(worker.loop.call_later, KEPT, late)
    if kind == "ended":
        say("gone", content)
    return kind, content


def start_rank(job: Job, log: str) -> tuple[Connection, BaseProcess]:
    """Start the process, by a server that imports PyTorch once for all."""
    link, theirs = multiprocessing.Pipe()
    context: Any = multiprocessing.get_context(SAFE)
    if SAFE == "forkserver":
        known = [*ranks.PRELOADED, rank_process.__name__]
        context.set_forkserver_preload(known)
    job = {**job, "environment": dict(os.environ)}
    process = context.Process(
        target=rank_process.main, args=(theirs, log, job), daemon=True
    )
    with theirs, children_allowed():
        process.start()
    return link, process  # type: ignore[return-value]


@contextmanager
def children_allowed() -> Iterator[None]:
    """Let this process have children: a nanny forbids it to its worker."""
    own = multiprocessing.current_process()
    before, own.daemon = own.daemon, False
    try:
        yield
    finally:
        own.daemon = before


def follow_rank(
    link: Connection,
    process: BaseProcess,
    log: IO[bytes],
    say: Any,
    gone: Any,
    name: str,
) -> Outcome:
    """Pass on what the rank says, until there is an outcome."""
    count = 0
    while not gone():
        try:
            if not link.poll(POLL):
                if process.is_alive() or link.poll():
                    continue
                raise EOFError  # a child that it forked holds its end
            kind, content = link.recv()
        except (EOFError, ConnectionError):
            process.join()
            return "died", _ending(process.exitcode or 0) + tail(log)
        if kind == "result":
            return kind, content
        if kind == "told":
            text, state = content
            if state is not None:
                count += 1
                STATES[name] = count, state
            content = [text, count if state is not None else None]
        say(kind, content)
    return "ended", where(process, log)


def end_rank(process: BaseProcess, link: Connection) -> None:
    """Leave no process, and none that it has forked."""
    link.close()
    process.kill()
    with suppress(ProcessLookupError):
        # Whatever it has forked: its session is its own.
        os.killpg(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
    process.join()
    process.close()


def where(process: BaseProcess, log: IO[bytes]) -> str:
    """Ask a rank for the stack of its main thread, by a signal."""
    if ranks.ASK is None or not process.is_alive():
        return ""
    before = size = os.fstat(log.fileno()).st_size
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(process.pid, ranks.ASK)  # type: ignore[arg-type]
    for _ in range(40):
        process.join(POLL / 2)
        last, size = size, os.fstat(log.fileno()).st_size
        if before < last == size:  # it has begun, and has no more to say
            break
    return tail(log, before)


def tail(log: IO[bytes], since: int = 0) -> str:
    """Return the end of what a rank wrote."""
    size = os.fstat(log.fileno()).st_size
    first = max(since, size - TAIL)
    text = os.pread(log.fileno(), size - first, first)
    return text.decode("utf8", "replace").strip()


def state_name(topic: str, rank: int) -> str:
    """Name the newest state of a rank in a run."""
    return f"{topic}-{rank}"


def take_state(name: str, number: int) -> bytes | None:
    """Give a state away, if no newer one has taken its place."""
    if STATES.get(name, (0, b""))[0] != number:
        return None
    return STATES.pop(name)[1]


def _gone(worker: Any, key: str) -> bool:
    """Whether nobody waits for this task any more: perhaps nobody lives."""
    task = worker.state.tasks.get(key)
    return task is None or task.state not in ("executing", "long-running")


def _ending(code: int) -> str:
    return f"it {ranks._ending(code)}.\n"
