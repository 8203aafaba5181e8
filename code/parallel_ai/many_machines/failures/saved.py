"""A scheduler that dies, and a second start from what was saved."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from distributed import Client, as_completed

from parallel_ai.many_machines.failures.faults import SECONDS
from parallel_ai.many_machines.failures.outputs import save_whole
from parallel_ai.toolbox.cluster import LOOPBACK, wait_until


@contextlib.contextmanager
def separate(
    workers: int = 2, ttl: str = "5 minutes"
) -> Iterator[tuple[Client, list[psutil.Popen]]]:
    """Start scheduler and workers as programs of their own, as on a cluster.

    Parameters
    ----------
    ttl : str
        How long a worker may be silent until the scheduler gives it up;
        Dask takes it for at least ten heartbeats, which are 5 s.

    Yields
    ------
    tuple
        A client, and the processes, the scheduler's first. All have ended
        when the block ends, whatever happened to them.
    """
    settings = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": ttl}
    private = ["--host", LOOPBACK, "--dashboard-address", f"{LOOPBACK}:0"]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        address = Path(folder, "scheduler.json")

        def start(program: str, *options: str) -> psutil.Popen:
            module = f"distributed.cli.dask_{program}"
            command = [sys.executable, "-m", module, *private, *options]
            process = psutil.Popen(
                [*command, "--no-dashboard"],
                env={**os.environ, **settings},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(_end, process)
            return process

        file = ["--scheduler-file", str(address)]
        alone = ["--no-nanny", "--nthreads", "1", "--local-directory", folder]
        # A worker that imports for seconds is silent for seconds.
        alone += ["--preload", "parallel_ai.many_machines.failures"]
        processes = [start("scheduler", "--port", "0", *file)]
        wait_until(lambda: _complete(address), "the scheduler is up")
        processes += [start("worker", *file, *alone) for _ in range(workers)]
        client = Client(scheduler_file=str(address), timeout=SECONDS)
        stack.callback(client.close, timeout=1)
        client.wait_for_workers(workers, timeout=SECONDS)
        yield client, processes


def _complete(file: Path) -> bool:
    """Whether the scheduler has written its whole address."""
    try:
        return bool(json.loads(file.read_text("utf8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return False


def _end(process: psutil.Popen) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    process.wait(SECONDS)


def save_result(file: Path, function: Callable[..., Any], *args: Any) -> None:
    """Compute and save in the worker: what is done is then on the disk."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(function(*args)), allow_pickle=False)
    save_whole(file, stream.getvalue())


def resume(
    client: Client,
    function: Callable[[Any], Any],
    items: dict[str, Any],
    folder: Path,
    progress: Callable[[int], object] | None = None,
) -> dict[str, np.ndarray]:
    """Compute what the folder does not hold yet, and return all of it.

    Parameters
    ----------
    items : dict
        What the function is called with, by the name of its partition.
    folder : path
        Seen by all workers and by this process, and for this function and
        these items only: a name says nothing of what is behind it.
    progress : callable, optional
        Called with the number of partitions saved, after each.

    Raises
    ------
    concurrent.futures.CancelledError
        The scheduler died. What was saved is saved: call again.
    """
    files = {name: folder / f"{name}.npy" for name in items}
    missing = [name for name, file in files.items() if not file.exists()]
    futures = [
        client.submit(
            save_result, files[name], function, items[name], pure=False
        )
        for name in missing
    ]
    already = len(items) - len(missing)
    for done, future in enumerate(as_completed(futures), already + 1):
        future.result()
        if progress is not None:
            progress(done)
    return {name: np.load(file) for name, file in files.items()}
