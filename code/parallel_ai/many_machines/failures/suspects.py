"""Tasks that fail now and then, and tasks that take their worker along."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from distributed import Client

from parallel_ai.many_machines.failures.faults import SECONDS, wait_for_file
from parallel_ai.many_machines.failures.journal import write_line
from parallel_ai.toolbox.cluster import wait_until


def flaky(journal: Path, failures: int) -> str:
    """Raise an error so many times, then succeed, like a busy service.

    Raises
    ------
    ConnectionError
        At each of the first tries.
    """
    write_line(journal, "begin flaky")
    tries = len(journal.read_text("utf8").splitlines())
    if tries <= failures:
        raise ConnectionError(f"try {tries}: the service is busy")
    return f"answered at try {tries}"


def poison(journal: Path, gate: Path) -> None:
    """Kill the own worker, as a bug in a library written in C may do."""
    write_line(journal, "begin poison")
    wait_for_file(gate)
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def allowed_failures(client: Client, number: int) -> Iterator[None]:
    """Set for a block how many dead workers a task is forgiven.

    A cluster of your own takes it from its configuration, when it starts:
    ``distributed.scheduler.allowed-failures``.
    """

    def change(dask_scheduler, value):  # type: ignore[no-untyped-def]
        before = dask_scheduler.allowed_failures
        dask_scheduler.allowed_failures = value
        return before

    before = client.run_on_scheduler(change, value=number)
    try:
        yield
    finally:
        client.run_on_scheduler(change, value=before)


def beside_poison(
    client: Client, folder: Path
) -> tuple[BaseException | None, BaseException | None]:
    """Send a poisoned task and, behind it, an innocent one to one worker.

    Returns
    -------
    tuple
        Error of each, where no death is forgiven; the journal in the
        folder tells what was begun.
    """
    worker = min(client.nthreads())
    journal, gate = folder / "journal", folder / "gate"
    place = {"workers": [worker], "pure": False}
    with allowed_failures(client, 0):
        poisoned = client.submit(poison, journal, gate, **place)
        wait_for_file(journal)  # it has begun: what is sent now comes second
        innocent = client.submit(write_line, journal, "begin good", **place)
        both = {poisoned.key, innocent.key}
        wait_until(
            lambda: both <= set(client.processing()[worker]),
            "both tasks are with one worker",
        )
        gate.touch()
        return poisoned.exception(SECONDS), innocent.exception(SECONDS)


def again_and_again(
    client: Client, folder: Path, allowed: int
) -> BaseException | None:
    """Send a poisoned task alone, and return the error that ends it."""
    gate = folder / "gate"
    gate.touch()
    with allowed_failures(client, allowed):
        key = f"poison-{uuid4().hex[:8]}"
        future = client.submit(poison, folder / "journal", gate, key=key)
        return future.exception(SECONDS)
