"""Rows a second: of each step of the batch job, and of whole jobs."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from parallel_ai.production.operations.scoring import (
    LAYOUTS,
    Scorer,
    matrix_of,
    opened,
    save_table,
    score_on_dask,
    score_part,
    score_serial,
    score_threads,
    write_table,
)
from parallel_ai.production.serving import garments
from parallel_ai.production.serving.packed import CLASSES, PIXELS
from parallel_ai.toolbox import cluster, machine
from parallel_ai.toolbox.stopwatch import Timing, measure


def rows_that_fit(wanted: int = 20_000) -> int:
    """Choose a number of rows by the memory that is free, at least 6,000."""
    fit = machine.memory() // 40 // (5 * PIXELS)
    return max(6_000, min(wanted, fit // 1000 * 1000))


@contextmanager
def workplace() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="operations-") as folder:
        yield Path(folder)


def read_cold(path: Path) -> float:
    """Read a file that the system was told to forget; seconds.

    The system may keep it nevertheless, and a virtual machine's host has a
    memory of its own: it is an upper bound of the speed of a disk.
    """
    with path.open("rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begun = time.perf_counter()
        file.read()
        return time.perf_counter() - begun


def steps(model: Path, rows: int = 10_000) -> dict[str, dict[str, float]]:
    """Time each step of a partition, by one thread; rows a second.

    Returns
    -------
    dict
        For each layout of the table, and for the ``models`` alone, rows a
        second of each step.
    """
    native, library = (Scorer.of(model, w) for w in ("native", "library"))
    found: dict[str, dict[str, float]] = {}
    pixels = garments()[0]

    def rate(job: Callable[[], Any]) -> float:
        return rows / measure(job, repeats=3).median

    with workplace() as folder, threadpool_limits(1):
        for layout in LAYOUTS:
            place = folder / layout
            path = write_table(place, pixels, rows, rows, layout)[0]
            table = pq.read_table(path)
            found[layout] = {
                "read": rate(path.read_bytes),
                "read, not kept": rows / read_cold(path),
                "decode": rate(
                    partial(pq.read_table, path, use_threads=False)
                ),
                "to rows": rate(partial(matrix_of, table)),
                "bytes": float(path.stat().st_size / rows),
            }
        some = np.resize(pixels, (rows, PIXELS))
        out = pa.table({"id": np.arange(rows), "label": some[:, 0]})
        found["models"] = {
            opened(native)[1]: rate(partial(native, some)),
            opened(library)[1]: rate(partial(library, some)),
            "write": rate(partial(save_table, out, folder / "o")),
        }
    return found


def roofs() -> dict[str, float]:
    """Rows a second that one core cannot pass, for a logistic regression."""
    # Here, as no worker needs it: Numba comes with it, and takes memory.
    from parallel_ai.toolbox.roofs import multiply_rate, read_bandwidth

    size = max(
        2**27, min(2**28, 4 * max(machine.caches().values(), default=0))
    )
    return {
        "memory, a row of float32": read_bandwidth(1, size) / (4 * PIXELS),
        "arithmetic": multiply_rate(workers=1) / (2 * PIXELS * CLASSES),
    }


def race(
    client: Any,
    model: Path,
    rows: int | None = None,
    size: int = 2_000,
    repeats: int = 2,
) -> dict[str, Any]:
    """Score a whole table in each of four ways, side by side.

    Workers have started and have loaded the model before: what that costs
    is another section's subject.

    Returns
    -------
    dict
        ``rows``, ``bytes`` of the table, and for each layout the `Timing`
        of each way.
    """
    rows = rows or rows_that_fit()
    native, library = (Scorer.of(model, w) for w in ("native", "library"))
    cpus = machine.cpus()
    found: dict[str, Any] = {"rows": rows, "size": size, "workers": cpus}
    client.run(_ready, (native, library))
    with workplace() as folder:
        for layout in LAYOUTS:
            place = folder / layout
            parts = write_table(place, garments()[0], rows, size, layout)
            ways = {
                "Dask, scikit-learn": partial(
                    score_on_dask, parts, scorer=library, client=client
                ),
                "one process": partial(score_serial, parts, scorer=native),
                "threads": partial(
                    score_threads, parts, scorer=native, threads=cpus
                ),
                "Dask": partial(
                    score_on_dask, parts, scorer=native, client=client
                ),
            }
            found[layout] = _raced(ways, folder / "scores", repeats)
            sizes = [part.stat().st_size for part in parts]
            found[f"{layout}, bytes"] = sum(sizes)
    return found


def _ready(scorers: Sequence[Scorer]) -> None:
    """Load models in a worker, and call them once."""
    for scorer in scorers:
        scorer(np.zeros((1, PIXELS), np.uint8))


def _raced(
    ways: Mapping[str, Callable[..., Iterator[str]]],
    folder: Path,
    repeats: int,
) -> dict[str, Timing]:
    """Time jobs, each into an empty folder."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with threadpool_limits(1):  # as in Dask's workers
        for _ in range(repeats):
            for name, way in ways.items():
                begun = time.perf_counter()
                for _ in way(folder=folder):
                    pass
                seconds[name].append(time.perf_counter() - begun)
                shutil.rmtree(folder)
                pa.default_memory_pool().release_unused()  # keeps it, else
    return {name: Timing(tuple(taken)) for name, taken in seconds.items()}


def by_size(
    client: Any,
    model: Path,
    sizes: Sequence[int] = (500, 2_000, 5_000, 10_000),
    rows: int | None = None,
) -> dict[str, Any]:
    """Score the same rows in partitions of several sizes, by Dask.

    Parameters
    ----------
    sizes : sequence of int
        Rows of a partition. Left out are those that would leave a worker
        without any.

    Returns
    -------
    dict
        ``rows``, ``sizes``, ``workers``, ``seconds`` by size, and for the
        model ``part`` and ``row``: seconds that one partition costs
        whatever is in it, and that each of its rows costs.
    """
    rows = rows or rows_that_fit()
    scorer, cpus = Scorer.of(model), machine.cpus()
    sizes = [n for n in sizes if n * cpus <= rows] or [rows]
    seconds = []
    client.run(_ready, (scorer,))
    with workplace() as folder:
        small, large = (
            write_table(folder / f"one{n}", garments()[0], n, n)[0]
            for n in (100, 5_000)
        )
        job = partial(score_part, scorer, folder=folder)
        with threadpool_limits(1):
            least, most = (
                measure(job, part, repeats=3).median for part in (small, large)
            )
        for size in sizes:
            parts = write_table(
                folder / f"table{size}", garments()[0], rows, size
            )
            begun = time.perf_counter()
            list(score_on_dask(parts, folder / f"out{size}", scorer, client))
            seconds.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        client.gather(client.map(_nothing, range(100)))
        task = (time.perf_counter() - begun) / 100 * cpus
    row = (most - least) / (5_000 - 100)
    return {
        "rows": rows, "sizes": sizes, "workers": cpus,
        "seconds": seconds, "row": row, "part": max(least - 100 * row, 0.0) + task,
    }  # fmt: skip


def _nothing(number: int) -> int:
    """Be a task that costs what every task costs."""
    return number


def job_time(
    rows: int, size: int, workers: int, part: float, row: float
) -> float:
    """Predict the seconds of a job: the last worker to finish decides.

    Parameters
    ----------
    size : int
        Rows of a partition.
    part, row : float
        Seconds that a partition costs whatever is in it, and that a row
        costs.
    """
    whole, rest = divmod(rows, size)
    parts = [size] * whole + [rest] * (rest > 0)
    free = [0.0] * workers
    for count in parts:  # the next one goes to whoever is free first
        first = free.index(min(free))
        free[first] += part + row * count
    return max(free)


def compare_scoring(repeats: int = 5) -> dict[str, Timing]:
    """Compare the ways on a table of columns: scikit-learn by Dask first."""
    from parallel_ai.production.serving import trained

    with cluster.local() as client:
        found = race(client, trained()["linear"], repeats=repeats)
    timings: dict[str, Timing] = found["columns"]
    return timings | {
        f"{name}, bytes": timing for name, timing in found["bytes"].items()
    }
