"""Runs the cells of one page in a fresh kernel, and tells how far it is."""

from __future__ import annotations

import inspect
import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import nbformat
import zmq
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)
from nbformat import NotebookNode
from sphinx.application import Sphinx
from traitlets.config import Config

from fingerprint import installed
from kept import say
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.memory import ChildrenPeak

if TYPE_CHECKING:
    from fresh import Page

SHOWN_SECONDS = 0.5
SOCKET_PATH = 80
ANSI = re.compile(r"\x1b\[[0-9;]*m")
EXECUTION_ERRORS = (CellExecutionError, CellTimeoutError, DeadKernelError)


class CellFailure(Exception):
    """A cell that raised, ran out of time or killed its kernel."""


def execute(app: Sphinx, page: Page, label: str) -> dict[str, Any]:
    """Run a page's cells in a fresh kernel; returns the provenance."""
    start = time.perf_counter()
    progress = Progress(label, page)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            page.notebook,
            config=kernel_settings(folder),
            kernel_name=page.notebook.metadata.kernelspec.get(
                "name", "python3"
            ),
            timeout=app.config.nb_execution_timeout,
            allow_errors=app.config.nb_execution_allow_errors,
            resources={
                "metadata": {"path": working_folder(app, page, folder)}
            },
            record_timing=False,  # part of the cache's key, were it there
            on_cell_start=progress.start,
            on_cell_executed=progress.executed,
        )
        witness = nbformat.v4.new_code_cell(
            LOADED % app.config.fresh_package
            + f"{inspect.getsource(end_helpers)}{end_helpers.__name__}()"
        )
        page.notebook.cells.append(witness)
        try:
            with ChildrenPeak() as memory:
                client.execute()
        except EXECUTION_ERRORS as error:
            raise CellFailure(progress.describe(error)) from error
        finally:
            page.notebook.cells.remove(witness)
    check_loaded(page, json.loads(witness.outputs[0].text))
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - start, 1),
        "memory": memory.bytes,
        "machine": machine.describe(),
        "versions": {
            name: installed(name)[0] for name in page.inputs["imports"]
        },
    }


def kernel_settings(folder: str) -> Config:
    """Kernels talk through sockets in a private folder, not through open ports."""
    ipc = zmq.has("ipc") and len(folder) < SOCKET_PATH
    manager = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
    return Config({"KernelManager": manager if ipc else {}})


def working_folder(app: Sphinx, page: Page, folder: str) -> str:
    """Where the kernel runs: an empty folder, unless the settings say otherwise."""
    if not app.config.nb_execution_in_temp:
        return str((Path(app.srcdir) / page.docname).parent)
    path = Path(folder) / "work"
    path.mkdir()
    return str(path)


# Executed after a page's last cell: the modules that were really imported.
LOADED = """
import json, sys
print(json.dumps(sorted(n for n in sys.modules if (n + ".").startswith("%s."))))
"""


def end_helpers() -> None:
    """End the processes that Python starts beside a page's workers.

    It is sent to the kernel as text, and called there after the last cell.
    A fork server and the trackers of resources ignore the signal by which
    ipykernel ends what is left; it waits for them, until the kernel itself
    is killed after 2.5 seconds, and nothing is done that `atexit` was told
    to do. joblib's workers, which wait for more, are ended, too; if others
    are left, which may need a server or a tracker, those are left alone.
    """
    import contextlib
    import sys
    import threading
    from multiprocessing import forkserver, resource_tracker

    import psutil

    server: Any = forkserver._forkserver
    trackers: list[Any] = [resource_tracker._resource_tracker]
    with contextlib.suppress(AttributeError):  # what is private may change
        if "joblib.externals.loky.reusable_executor" in sys.modules:
            from joblib.externals.loky import reusable_executor
            from joblib.externals.loky.backend import (
                resource_tracker as joblibs,
            )

            trackers.append(joblibs._resource_tracker)
            if reusable_executor._executor is not None:
                reusable_executor._executor.terminate(kill_workers=True)
        known = {server._forkserver_pid, *(one._pid for one in trackers)}
        left = {one.pid for one in psutil.Process().children(recursive=True)}
        if left <= known:
            for helper in (server, *trackers):
                # A thread: they wait for it, as long as somebody holds its pipe.
                ending = threading.Thread(target=helper._stop, daemon=True)
                ending.start()
                ending.join(2)


def check_loaded(page: Page, loaded: list[str]) -> None:
    """Refuse a page that imported a module which its fingerprint does not cover."""
    missed = sorted(set(loaded) - set(page.inputs["modules"]))
    if missed:
        raise CellFailure(
            f"{page.docname}: imports {', '.join(missed)} in a way that reading the"
            " source does not show: name it under `depends:` in the front matter"
        )


class Progress:
    """Tells page, cell and seconds while a page executes."""

    def __init__(self, label: str, page: Page) -> None:
        self.label, self.page = label, page
        cells = [
            i
            for i, c in enumerate(page.notebook.cells)
            if c.cell_type == "code"
        ]
        self.number = {index: n for n, index in enumerate(cells, 1)}
        self.at = 0

    def start(self, cell: NotebookNode, cell_index: int) -> None:
        """Note the cell that begins, and show it on a terminal."""
        self.at = cell_index
        self.began = time.perf_counter()
        if sys.stdout.isatty() and cell_index in self.number:
            print(f"\r{self.where()} …\033[K", end="", flush=True)

    def executed(self, cell: NotebookNode, cell_index: int, **_: Any) -> None:
        """Say how long the cell took, unless that was a moment."""
        seconds = time.perf_counter() - self.began
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)
        if seconds >= SHOWN_SECONDS and cell_index in self.number:
            say(f"{self.where()}: {seconds:.1f} s")

    def where(self) -> str:
        """Page and cell."""
        return (
            f"{self.label}: cell {self.number[self.at]} of {len(self.number)}"
        )

    def describe(self, error: Exception) -> str:
        """Chapter, cell and error, with the end of the traceback."""
        cell = self.page.notebook.cells[self.at]
        place = f"{self.page.docname}, cell {self.number.get(self.at, '?')}"
        if not isinstance(error, CellExecutionError):
            first = cell.source.strip().partition("\n")[0]
            return f"{place} ({first}): {type(error).__name__}: {error}"
        output = next(o for o in cell.outputs if o.output_type == "error")
        trace = ANSI.sub("", "\n".join(output.traceback))
        return f"{place}: {output.ename}: {output.evalue}\n{trace}"
