"""A program that hangs: who waits, and where."""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, cast

import psutil

from parallel_ai.one_machine.bottlenecks.spying import dump
from parallel_ai.toolbox.attempts import tidy

LIMIT = 30.0  # seconds: no wait here lasts longer


class Place(NamedTuple):
    """Where a thread is."""

    thread: str
    active: bool  # uses a CPU; False if it waits
    stack: tuple[str, ...]  # ``name (file:line)``, the innermost first


def deadlocked() -> str:
    """Write the program of learner and actor, which never ends.

    It lets itself be looked at, and answers SIGUSR1 with a traceback of
    all threads, on systems that have that signal.
    """
    from parallel_ai.one_machine.threads import locks  # brings Numba along

    return (
        Path(locks.__file__).read_text("utf-8")
        + """
import faulthandler, signal, sys
from ctypes import CDLL, c_ulong

if sys.platform == "linux":  # PR_SET_PTRACER, PR_SET_PTRACER_ANY
    CDLL(None).prctl(0x59616D61, c_ulong(-1), 0, 0, 0)
if hasattr(faulthandler, "register"):
    faulthandler.register(signal.SIGUSR1, all_threads=True)
print("ready", file=sys.stderr, flush=True)
deadlock()
"""
    )


@contextmanager
def running(program: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a program as a child, and kill it at the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "program.py")
        script.write_text(program, encoding="utf-8")
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, str(script)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        try:
            yield child
        finally:
            child.kill()
            child.communicate()


def where(pid: int) -> list[Place]:
    """Ask py-spy, once, where each thread of a process is."""
    return [
        Place(
            thread["thread_name"] or str(thread["thread_id"]),
            thread["active"],
            tuple(
                f"{f['name']} ({f['short_filename']}:{f['line']})"
                for f in thread["frames"]
            ),
        )
        for thread in dump(pid)
    ]


def stuck(
    child: "subprocess.Popen[str]", looks: int = 3, pause: float = 0.2
) -> list[Place]:
    """Look at a program until several looks show the same.

    Parameters
    ----------
    looks : int
        That many looks in a row, `pause` seconds apart, must agree.

    Returns
    -------
    list of Place
        Where all threads stand still.

    Raises
    ------
    RuntimeError
        The program has ended: it did not hang.
    TimeoutError
        It still moved when the time was up: it is slow, no more.
    """
    seen: list[list[Place]] = []
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            child.wait(pause)
            raise RuntimeError("the program has ended")
        except subprocess.TimeoutExpired:
            pass
        try:
            seen.append(where(child.pid))
        except subprocess.CalledProcessError:
            continue  # Python is still starting
        if len(seen) >= looks and all(s == seen[-1] for s in seen[-looks:]):
            return seen[-1]
    raise TimeoutError(f"still moving after {LIMIT:g} s")


def ask_traceback(child: "subprocess.Popen[str]", pause: float = 0.2) -> str:
    """Ask a program by SIGUSR1 where it is, until two answers agree.

    Parameters
    ----------
    child : Popen
        Has registered `faulthandler` for the signal, and has then written
        one line to its standard error, to say so.
    pause : float
        Seconds from one question to the next.

    Raises
    ------
    EOFError
        The program ended, or did not answer in time and was killed.
    """
    alarm = threading.Timer(LIMIT, child.kill)
    alarm.start()
    try:
        errors = cast(IO[str], child.stderr)
        errors.readline()
        _rest(child, pause)
        before, answer = "", _answer(child, errors)
        while answer != before:
            with suppress(subprocess.TimeoutExpired):
                child.wait(pause)
            before, answer = answer, _answer(child, errors)
        return tidy(answer)
    finally:
        alarm.cancel()
        alarm.join()


def _rest(child: "subprocess.Popen[str]", pause: float) -> None:
    """Wait until a program uses no CPU, but not for ever: it may spin.

    Its threads cannot be stopped for the answer, and reading the stack of
    one that is just calling something has crashed a program.
    """
    process, before = psutil.Process(child.pid), -1.0
    for _ in range(20):
        with suppress(subprocess.TimeoutExpired):
            child.wait(pause)
        with suppress(psutil.Error):
            now = sum(process.cpu_times()[:2])
            if now == before:
                return
            before = now


def _answer(child: "subprocess.Popen[str]", errors: IO[str]) -> str:
    """Send the signal once; the main thread's module ends the answer."""
    child.send_signal(signal.SIGUSR1)
    lines: list[str] = []
    for line in errors:
        lines.append(line)
        if "<module>" in line:
            return "".join(lines)
    raise EOFError("the program ended before it had answered")
