"""Programs that fail or hang, run where they can do no harm."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, cast

import psutil

FRAME = re.compile(r'^  File "[^\n]*\n(?:    [^\n]*\n)*', re.MULTILINE)
OURS = re.compile(r"program\.py|parallel_ai|<string>|<stdin>")


def tidy(text: str) -> str:
    """Fold a traceback: keep our frames, count those of other people.

    Paths are cut to the last folder, so that no reader's home appears.
    """

    def fold(match: re.Match[str]) -> str:
        frames = FRAME.findall(match[0])
        kept = [frame for frame in frames if OURS.search(frame)]
        folded = len(frames) - len(kept)
        note = f"  … {folded} of Python's own lines …\n" if folded else ""
        return note + "".join(kept)

    text = re.sub(rf"({FRAME.pattern})+", fold, text, flags=re.MULTILINE)
    text = re.sub(r"^  warnings\.warn\(.*\n", "", text, flags=re.MULTILINE)
    return re.sub(
        r"[^\s\"]*[/\\]([^/\\\s\"]+[/\\][^/\\\s\"]+\.py)", r"…/\1", text
    )


def attempt(
    program: str,
    seconds: float = 20.0,
    interrupt_at: str | None = None,
    as_cell: bool = False,
) -> str:
    """Run a program as a child with a time limit; return all it printed.

    Parameters
    ----------
    program : str
        Python source, run as a script of its own.
    seconds : float
        After that many seconds the child and all that it started are
        killed.
    interrupt_at : str, optional
        Press Ctrl-C when a printed line holds this text: everything that
        the terminal runs gets the signal, the workers too. Not on Windows.
    as_cell : bool
        Run the source as a notebook runs a cell: without a file that a
        worker could import.

    Returns
    -------
    str
        Output and errors in the order of their arrival, and how it ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "program.py")
        script.write_text(program, encoding="utf-8")
        what = ["-c", program] if as_cell else [str(script)]
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, "-u", *what],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        output = cast(IO[str], child.stdout)
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            _kill(child)

        alarm = threading.Timer(seconds, end)
        alarm.start()
        try:
            lines = []
            for line in output:
                lines.append(line)
                if interrupt_at is not None and interrupt_at in line:
                    os.killpg(child.pid, signal.SIGINT)
            child.wait()
        finally:
            alarm.cancel()
            alarm.join()
            _kill(child)
            child.wait()
            output.close()
        verdict = (
            f"[killed: still running after {seconds:g} s]"
            if overdue.is_set()
            else f"[ended with exit code {child.returncode}]"
        )
        text = "".join(lines).replace(str(script), "program.py")
        return tidy(text) + verdict


def _kill(child: subprocess.Popen[str]) -> None:
    """Kill a child and all that it started and that can still be found."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            for process in psutil.Process(child.pid).children(recursive=True):
                process.kill()
            child.kill()
    except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
        pass
