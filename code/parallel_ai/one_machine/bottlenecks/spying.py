"""Looking into other processes with py-spy."""

import contextlib
import functools
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from parallel_ai.one_machine.bottlenecks.sampling import Stack

LIMIT = 60.0  # seconds: no program that is watched runs longer
WAIT = "import sys; sys.stdin.read()\n"  # until py-spy is looking
CHATTER = "py-spy>"  # how lines begin in which py-spy speaks of itself


class NotAllowed(RuntimeError):
    """The system does not let py-spy look; the message has the cure."""


class Spied(NamedTuple):
    """What py-spy saw of a program, and all that the program printed.

    py-spy does not say how the program ended: a traceback is in the output.
    """

    stacks: Counter[Stack]
    output: str


def spy(
    program: str, *options: str, rate: int = 100, seconds: float = LIMIT
) -> Spied:
    """Run a program under ``py-spy record``.

    Parameters
    ----------
    program : str
        Python source.
    options : str
        Of py-spy: ``--subprocesses``, ``--threads``, ``--gil``, ``--idle`` …
    rate : int
        Looks in a second.
    seconds : float
        After that the program is killed, with all that it started.

    Raises
    ------
    NotAllowed
        py-spy is missing, or the system forbids it to look.
    subprocess.TimeoutExpired
        The program was still running.
    subprocess.CalledProcessError
        py-spy failed for another reason.
    """
    with tempfile.TemporaryDirectory() as folder:
        script, folded = Path(folder, "program.py"), Path(folder, "folded.txt")
        script.write_text(WAIT + program, encoding="utf-8")
        output = _run(
            ["record", "--format=raw", f"--rate={rate}", "--nolineno"]
            + [f"--output={folded}", *options]
            + ["--", sys.executable, str(script)],
            seconds,
        )
        return Spied(unfold(folded.read_text("utf-8")), output)


def unfold(text: str) -> Counter[Stack]:
    """Read folded stacks: in each line a stack, and how often it was seen.

    The form is that of Gregg's ``flamegraph.pl``: the outermost function
    first, separated by semicolons. Of a process the number is kept, of a
    thread the name.
    """
    stacks: Counter[Stack] = Counter()
    for line in text.splitlines():
        frames, _, times = line.rpartition(" ")
        frames = re.sub(r'(process \d+):".*?"(?=;|$)', r"\1", frames)
        frames = re.sub(r"(?<![^;])thread \(\w+\): ", "thread ", frames)
        stacks[tuple(frames.split(";"))] += int(times)
    return stacks


def dump(pid: int) -> list[dict[str, Any]]:
    """Ask py-spy where each thread of a process is now.

    Returns
    -------
    list of dict
        A thread each: thread_name, active (False if it waits), owns_gil
        and frames, the innermost first, with name, short_filename and line.

    Raises
    ------
    NotAllowed, subprocess.CalledProcessError
        As in `spy`.
    """
    return json.loads(_run(["dump", "--json", "--pid", str(pid)], LIMIT))


@functools.cache
def why_not() -> str:
    """Say why py-spy cannot look into a program here; empty if it can."""
    try:
        spy("import time\nfor _ in range(20): time.sleep(0.01)")
    except NotAllowed as error:
        return str(error)
    return ""


def _run(arguments: Sequence[str], seconds: float) -> str:
    """Run py-spy; return what it, or the program below it, printed."""
    here = sysconfig.get_path("scripts")
    command = shutil.which("py-spy", path=here) or shutil.which("py-spy")
    if command is None:
        raise NotAllowed("py-spy is not installed: pip install py-spy")
    child = subprocess.Popen(  # noqa: S603
        [command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    late = threading.Event()

    def stop() -> None:
        late.set()
        _end(child)

    limit = threading.Timer(seconds, stop)
    limit.start()
    try:
        output = _talk(child)
    except BaseException:
        _end(child)
        raise
    finally:
        limit.cancel()
    if late.is_set():
        raise subprocess.TimeoutExpired(command, seconds, output)
    if child.returncode and "elevated permissions" in output:
        raise NotAllowed(_cure(sys.platform))
    if child.returncode:
        error = subprocess.CalledProcessError(
            child.returncode, command, output
        )
        error.add_note(output)
        raise error
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)  # no colours
    lines = plain.splitlines(keepends=True)
    return "".join(x for x in lines if not x.startswith(CHATTER)).strip()


def _talk(child: "subprocess.Popen[str]") -> str:
    """Let the program begin once py-spy looks; return all that they print."""
    with child:  # it has ended when this ends
        output = ""
        for line in child.stdout or ():
            output += line
            if "Sampling process" in line and child.stdin:
                child.stdin.close()
        return output


def _end(child: "subprocess.Popen[str]") -> None:
    """Kill py-spy and the program that it runs."""
    try:
        below = psutil.Process(child.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    for process in below:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    child.kill()
    child.wait()


def _cure(system: str) -> str:
    """Say what a system needs before py-spy may look."""
    if system == "darwin":
        return "macOS lets only root look into processes: use sudo."
    if system == "win32":
        return "Windows refused: run as the same user, or as administrator."
    return (
        "Linux refused. In a container, start it with --cap-add=SYS_PTRACE; "
        "elsewhere let py-spy start the program, or use sudo."
    )
