"""Start a group of processes that train together, and bring all of them home.

Every rank joins one process group of `torch.distributed` on this machine:
gloo on the CPU, NCCL where each rank has a GPU of its own. They meet through
a file and talk on loopback alone. A rank that raises, dies or hangs ends the
whole group with an error that names it; no process is left.

`torch` is imported when a function is called: `parallel_ai.toolbox` stays
cheap to import.
"""

import contextlib
import faulthandler
import itertools
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from parallel_ai.toolbox import machine
from parallel_ai.toolbox.workers import SAFE, begin

if TYPE_CHECKING:
    import torch

SECONDS = 120.0
GRACE = 1.0  # seconds in which others may end, too, after the first failure
SLACK = 30.0  # seconds a collective waits longer: our report comes first
ASK = getattr(signal, "SIGUSR1", None)  # "where are you?"; Windows has none
# Else each rank would import them itself, which takes seconds; the first
# optimizer that is made imports the compiler, whether it compiles or not.
PRELOADED = [__name__, "torch.distributed", "torch._dynamo"]
LOOPBACK = {"darwin": "lo0"}.get(sys.platform, "lo")


class RankError(RuntimeError):
    """A rank raised, died or did not end; the message names it and says why.

    Attributes
    ----------
    ranks : tuple of int
        The guilty ones. The others were ended because of them.
    """

    def __init__(self, message: str, ranks: Sequence[int]) -> None:
        super().__init__(message)
        self.ranks = tuple(ranks)


def run(
    function: Callable[..., Any],
    size: int,
    *args: Any,
    method: str = SAFE,
    seconds: float = SECONDS,
    threads: int | None = None,
) -> list[Any]:
    """Call a function in each rank of a new process group.

    Parameters
    ----------
    function : callable
        Of a module. It finds its rank by `torch.distributed.get_rank()` and
        its device by `device`.
    size : int
        Number of ranks, at least 1.
    args
        Arguments of the function, pickled; the same for every rank.
    method : str
        How the ranks start: `fork`, `spawn`, `forkserver`.
    seconds : float
        Limit for all of it. A single collective waits a little longer,
        so that the report of where all ranks wait comes first.
    threads : int, optional
        Of each rank; by default all CPUs divided by the ranks.

    Returns
    -------
    list
        What each rank returned, in the order of the ranks.

    Raises
    ------
    ValueError
        There is no rank.
    RankError
        A rank raised (with its traceback), died (with its signal) or did
        not end in time (with the place where it waits).
    """
    if size < 1:
        raise ValueError(f"need at least 1 rank, got {size}")
    threads = threads or max(1, machine.cpus() // size)
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        multiprocessing.set_forkserver_preload(_preloaded(function))
    with TemporaryDirectory(prefix="ranks-") as name:
        folder = Path(name)
        (folder / "job").write_bytes(pickle.dumps((function, args)))
        until = time.time() + seconds
        pipes = [context.Pipe(duplex=False) for _ in range(size)]
        team = [
            context.Process(  # type: ignore[attr-defined]
                target=_rank, args=(rank, folder, size, until, threads, place)
            )
            for rank, (_, place) in enumerate(pipes)
        ]
        try:
            for process in team:
                process.start()
            if not _wait(team, folder, until):
                raise _late(team, [place for place, _ in pipes], seconds)
            return [
                pickle.loads(  # noqa: S301, ours
                    (folder / f"{rank}.result").read_bytes()
                )
                for rank in range(size)
            ]
        finally:
            _end(team)
            for end in itertools.chain(*pipes):
                end.close()


def device() -> "torch.device":
    """Device of the rank that asks: a GPU of its own if all can have one."""
    import torch
    import torch.distributed as dist

    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def backend(size: int) -> str:
    """Choose how so many ranks on one machine talk.

    NCCL needs a GPU for each rank: two ranks cannot share one.
    """
    import torch

    enough = torch.cuda.is_available() and torch.cuda.device_count() >= size
    wanted = os.environ.get("PARALLEL_AI_DEVICE", "cuda")
    return "nccl" if enough and wanted.startswith("cuda") else "gloo"


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """Make gloo and NCCL talk on loopback, and restore the environment."""
    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, LOOPBACK))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def listening_store(size: int, seconds: float = SECONDS) -> Any:
    """Open the store of rank 0 for ranks elsewhere on this machine.

    `TCPStore("127.0.0.1", …)` listens on *every* address of the machine,
    whatever its first argument says. This one is given a socket that is
    bound to loopback, on a free port.

    Returns
    -------
    torch.distributed.TCPStore
        Its `port` is what the others need.
    """
    import torch.distributed as dist

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        port = bound.getsockname()[1]
        return dist.TCPStore(
            "127.0.0.1", port, size, is_master=True, wait_for_workers=False,
            timeout=timedelta(seconds=seconds), use_libuv=True,
            master_listen_fd=bound.detach(),
        )  # fmt: skip


def _preloaded(function: Callable[..., Any]) -> list[str]:
    """Modules for the server that ranks are forked from, if it is to start.

    The function's own is among them: all ranks share its memory.
    """
    module = getattr(function, "__module__", "__main__")
    return PRELOADED if module == "__main__" else [*PRELOADED, module]


def _rank(
    rank: int,
    folder: Path,
    size: int,
    until: float,
    threads: int,
    place: Connection,
) -> None:
    """Be one rank: join, call, leave what came of it in a file."""
    import torch
    import torch.distributed as dist

    begin(None)
    if ASK:
        faulthandler.register(ASK, file=place.fileno(), all_threads=False)
    left = max(1.0, until - time.time())
    try:
        torch.set_num_threads(threads)
        kind = backend(size)
        if kind == "nccl":
            torch.cuda.set_device(rank)
        with on_loopback():
            dist.init_process_group(
                kind, store=dist.FileStore(str(folder / "store"), size),
                rank=rank, world_size=size,
                timeout=timedelta(seconds=left + SLACK),
            )  # fmt: skip
            function, args = pickle.loads(  # noqa: S301, ours
                (folder / "job").read_bytes()
            )
            result = pickle.dumps(function(*args))
            (folder / f"{rank}.result").write_bytes(result)
            dist.barrier()  # nobody hangs up on those who still talk
            dist.destroy_process_group()
    except BaseException:  # noqa: BLE001, the parent raises it
        _write(folder / f"{rank}.error", traceback.format_exc())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # a group in trouble may never be destroyed


def _write(path: Path, text: str) -> None:
    """Write when, and what; whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(f"{time.monotonic()}\n{text}", encoding="utf8")
    draft.rename(path)


def _wait(team: list[Any], folder: Path, until: float) -> bool:
    """Wait for all ranks; tell whether they ended in time."""
    waiting = {process.sentinel: process for process in team}
    while waiting:
        ended = wait(list(waiting), max(0.0, until - time.time()))
        if not ended:
            return False
        for process in [waiting.pop(sentinel) for sentinel in ended]:
            process.join()
            if process.exitcode:
                for other in waiting.values():
                    other.join(GRACE / len(waiting))
                raise _guilty([one.exitcode for one in team], folder)
    return True


def _guilty(codes: list[int | None], folder: Path) -> RankError:
    """Find who failed first: the others fail because they lost it."""
    told = {}
    for path in folder.glob("*.error"):
        when, _, text = path.read_text(encoding="utf8").partition("\n")
        told[int(path.stem)] = (float(when), text)
    silent = [r for r, code in enumerate(codes) if code and r not in told]
    if silent:
        names = ", ".join(f"rank {r} {_ending(codes[r] or 0)}" for r in silent)
        return RankError(
            f"{names[0].upper()}{names[1:]}, without an error of its own. "
            "The other ranks were ended. (SIGKILL may mean: memory was full.)",
            silent,
        )
    rank = min(told, key=lambda one: told[one][0])
    return RankError(
        f"Rank {rank} of {len(codes)} raised; the other ranks were ended."
        f"\n\n{told[rank][1]}",
        [rank],
    )


def _ending(code: int) -> str:
    """Say in words how a process ended."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _late(
    team: list[Any], places: list[Connection], seconds: float
) -> RankError:
    """Say who has not ended, and where each of them waits."""
    late = [rank for rank, one in enumerate(team) if one.is_alive()]
    text = "\n".join(
        f"Rank {rank} is here:\n{_where(team[rank], places[rank])}"
        for rank in late
    )
    return RankError(
        f"After {seconds:.0f} s, {len(late)} of {len(team)} ranks had not "
        f"ended: {', '.join(map(str, late))}. A collective waits until every "
        f"rank has called it, in the same order.\n{text}",
        late,
    )


def _where(process: Any, place: Connection) -> str:
    """Ask a rank, by a signal, for the stack of its main thread."""
    text = b""
    if ASK:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(process.pid, ASK)
        patience = 5 * GRACE  # a busy machine may not answer at once
        while wait([place], patience):
            text += os.read(place.fileno(), 4096)
            patience = GRACE / 5
    return text.decode("utf8", "replace").strip()


def _end(team: list[Any]) -> None:
    """Leave no process, whatever happened."""
    started = [process for process in team if process.pid is not None]
    for process in started:
        process.kill()
    for process in started:
        process.join()
        process.close()
