"""What it costs to move a result: through the network, from the disk."""

import os
import pickle
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from distributed import Client, Future, wait

from parallel_ai.toolbox import cluster
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.toolbox.workers import LIMIT


@dataclass(frozen=True)
class Line:
    """Seconds to move bytes: ``latency + size / rate``.

    Notes
    -----
    The α–β model of Hockney (1994), with α the latency and β = 1 / rate,
    https://doi.org/10.1016/S0167-8191(06)80021-9
    """

    latency: float
    rate: float

    def seconds(self, size: float) -> float:
        """Predict how long `size` bytes take."""
        return self.latency + size / self.rate


def fit_line(sizes: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fit the model so that all points count alike: by relative errors.

    Raises
    ------
    ValueError
        Fewer than two different sizes, through which many lines pass.
    """
    if len(set(sizes)) < 2:
        raise ValueError("a line needs two different sizes")
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    rows = np.column_stack([1 / y, x / y])
    scale = np.linalg.norm(rows, axis=0)  # sizes are large, ones are not
    (latency, slope), *_ = np.linalg.lstsq(rows / scale, np.ones_like(y))
    tiny = np.finfo(float).tiny
    return Line(
        max(float(latency / scale[0]), 0.0),
        1 / max(float(slope / scale[1]), tiny),
    )


def make_array(size: int) -> np.ndarray:
    """Make an array of so many bytes, which travels as it lies there."""
    return np.ones(max(1, size), np.uint8)


def make_list(size: int) -> list[dict[str, int]]:
    """Make small objects that have about so many bytes when pickled."""
    return [{"place": i, "hits": 0} for i in range(size // 13)]


def make_packed(size: int) -> bytes:
    """Make the same objects, and pickle them as one."""
    return pickle.dumps(make_list(size))


def nothing(_: Any) -> None:
    """Take a result, so that it has to be here."""


def transfer_seconds(
    client: Client,
    make: Callable[[int], Any],
    sizes: Sequence[int],
    repeats: int = 3,
) -> dict[int, float]:
    """Time how long results of each size travel from one worker to another.

    Parameters
    ----------
    client
        Of a cluster with at least two workers.
    make
        Makes a result of about so many bytes, on the first worker.

    Returns
    -------
    dict
        Median of what the second worker says it took, by size.
    """
    source, target = list(client.nthreads())[:2]
    found: dict[int, float] = {}
    for size in sizes:
        took = []
        for _ in range(repeats):
            made = client.submit(make, size, workers=source, pure=False)
            wait(made, LIMIT)
            with cluster.watched(client) as spans:
                at = client.submit(nothing, made, workers=target, pure=False)
                wait(at, LIMIT)
            took += [
                span.stop - span.start
                for span in spans
                if span.action == "transfer"
            ]
            client.cancel([made, at])
        found[size] = median(took)
    return found


def from_disk() -> int:
    """Bytes this process had to get from a disk; 0 if the system is silent."""
    try:
        return int(psutil.Process().io_counters().read_bytes)
    except (AttributeError, psutil.Error, OSError):
        return 0


def forget(path: Path) -> None:
    """Ask the system to drop its copy of a file from memory, if it can."""
    if not hasattr(os, "posix_fadvise"):  # macOS, Windows
        return
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@dataclass(frozen=True)
class Reading:
    """Seconds to read a file, and bytes of it that came from a disk."""

    seconds: float
    from_disk: int


def read_file(path: Path, cold: bool) -> Reading:
    """Read a file: as the system has it, or after it had to forget it."""
    if cold:
        forget(path)
    before, begun = from_disk(), time.perf_counter()
    path.read_bytes()
    return Reading(time.perf_counter() - begun, from_disk() - before)


def read_seconds(
    size: int, cold: bool, repeats: int = 3, folder: Path | None = None
) -> Reading:
    """Time the reading of a file of random bytes, the median of some."""
    with tempfile.TemporaryDirectory(dir=folder) as room:
        path = Path(room, "bytes")
        path.write_bytes(np.random.default_rng(0).bytes(size))
        readings = [read_file(path, cold) for _ in range(repeats)]
    return Reading(
        median(r.seconds for r in readings),
        int(median(r.from_disk for r in readings)),
    )


def cheapest(
    size: float, compute: float, lines: Mapping[str, Line]
) -> tuple[str, float]:
    """Choose how to get a result: compute it again, or move it.

    Parameters
    ----------
    size
        Bytes of the result.
    compute
        Seconds to compute it where it is needed.
    lines
        Ways to move it, by name.
    """
    ways = {"compute it again": compute}
    ways |= {name: line.seconds(size) for name, line in lines.items()}
    return min(ways.items(), key=lambda way: way[1])


def spread_out(client: Client, parts: int, size: int) -> list[Future]:
    """Make arrays of so many bytes on the workers, in turn."""
    workers = list(client.nthreads())
    made = [
        client.submit(
            make_array, size, workers=workers[i % len(workers)], pure=False
        )
        for i in range(parts)
    ]
    wait(made, LIMIT)
    return made


def total(array: np.ndarray) -> int:
    """Add up an array."""
    return int(array.sum())


def sum_here(client: Client, parts: Sequence[Future]) -> int:
    """Bring the arrays to the client, and add them up there."""
    return sum(total(array) for array in client.gather(list(parts)))


def sum_there(client: Client, parts: Sequence[Future]) -> int:
    """Send the function to the arrays, and bring the sums."""
    return sum(client.gather(client.map(total, list(parts), pure=False)))


def here_or_there(
    client: Client, parts: int = 8, size: int = 8_000_000, repeats: int = 3
) -> dict[str, Timing]:
    """Compare moving the data to the function with the other direction."""
    made = spread_out(client, parts, size)
    return compare(
        {
            "bring the data": partial(sum_here, client, made),
            "send the function": partial(sum_there, client, made),
        },
        repeats,
    )


def bring_or_send(
    parts: int = 8, size: int = 32_000_000, repeats: int = 5
) -> dict[str, Timing | float]:
    """Compare `sum_here` with `sum_there` on a cluster of their own.

    Returns
    -------
    dict
        Timings, then the limit: to read all bytes from memory once.
    """
    # Not above: workers import this module, and do not need a compiler.
    from parallel_ai.toolbox.roofs import read_bandwidth

    with cluster.local() as client:
        found = here_or_there(client, parts, size, repeats)
    limit = parts * size / read_bandwidth()
    return {**found, "limit: memory, read once": limit}
