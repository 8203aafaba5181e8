"""How time and memory grow with the data, for each way to ask.

::

    make bench   # or: python -m parallel_ai.toolbox.benches admissions
"""

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from parallel_ai.many_machines.bigger_than_memory.contenders import (
    WAYS,
    contend,
)
from parallel_ai.many_machines.bigger_than_memory.drawing import draw
from parallel_ai.many_machines.bigger_than_memory.layouts import harmonise
from parallel_ai.many_machines.bigger_than_memory.months import (
    Month,
    load_dask,
)
from parallel_ai.toolbox.stopwatch import Timing, readable, readable_bytes

if TYPE_CHECKING:
    from distributed import Client

STREAMING = [way for way in WAYS if not way.endswith("held")]
BENCH_LIMIT = 1_000_000_000


@dataclass(frozen=True)
class Point:
    """One way to ask, at one size of the data.

    Attributes
    ----------
    seconds : float
        Of the answer alone, without starting; infinite if none came.
    peak : int
        Most bytes that the processes took.
    problem : str
        Empty, or why there is no answer.
    """

    seconds: float
    peak: int
    problem: str = ""


def bytes_a_row(year: int = 2018) -> float:
    """Bytes that pandas needs for a row with all of its columns."""
    rows = 2000
    table = harmonise(draw(Month("SP", year, 1), rows))
    frame = pd.DataFrame(
        {
            name: table[name].cast("string").to_pandas()
            if str(table[name].type).startswith("dictionary")
            else table[name].to_pandas()
            for name in table.column_names
        }
    )
    return frame.memory_usage(deep=True).sum() / rows


def rows_for(size: float, months: int) -> int:
    """Rows a month that make a table of so many bytes in pandas."""
    return int(size / bytes_a_row() / months) + 1


def first(folder: Path, share: float, into: Path) -> Path:
    """Make a folder of the first months of another, without a copy."""
    paths = sorted(folder.rglob("*.parquet"))
    for path in paths[: max(1, round(share * len(paths)))]:
        target = into / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    return into


def grow(
    ways: Iterable[str], folders: Sequence[Path], limit: int
) -> dict[str, list[Point]]:
    """Ask for folders of growing size, each within one limit of memory.

    A cluster is started once for all sizes. Where a size has failed, larger
    ones are not tried.
    """
    found: dict[str, list[Point]] = {}
    for way in ways:
        together = way.startswith("Dask")
        batches = [[folder] for folder in folders]
        if together:  # once more, since workers import what they need first
            batches = [[folders[0], *folders]]
        points: list[Point] = []
        for batch in batches:
            outcome = contend(way, limit, batch)
            points += [
                Point(line["seconds"], line["peak"])
                for line in outcome.said[together:]
            ]
            if outcome.problem:
                points.append(
                    Point(float("inf"), outcome.peak, outcome.problem)
                )
                break
        found[way] = points
    return found


def draw_months(
    client: "Client", wanted: Sequence[Month], rows: int, folder: Path
) -> list[Path]:
    """Draw months of that many rows into a folder, by the workers."""
    return load_dask(client, wanted, partial(draw, rows=rows), folder)


@cache
def _bench_data(times: float) -> tuple[tempfile.TemporaryDirectory[str], Path]:
    """São Paulo, 2008 to 2018, drawn: so many times the bench's limit."""
    from parallel_ai.many_machines.bigger_than_memory.months import months
    from parallel_ai.toolbox import cluster

    room = tempfile.TemporaryDirectory(prefix="admissions-")
    folder, wanted = Path(room.name, "whole"), months("SP", 2008, 2018)
    rows = rows_for(times * BENCH_LIMIT, len(wanted))
    with cluster.local() as client:
        draw_months(client, wanted, rows, folder)
    return room, folder


def _compared(share: float, limit: int) -> dict[str, Timing | float]:
    """Time every way three times for one folder; print what is no time."""
    _, folder = _bench_data(4.2)
    with tempfile.TemporaryDirectory() as room:
        place = first(folder, share, Path(room))
        found: dict[str, Timing | float] = {}
        for way in ("Dask", *(way for way in STREAMING if way != "Dask")):
            outcome = contend(way, limit, [place] * 3)
            print(
                f"  {way}: peak {readable_bytes(outcome.peak)}"
                f" of {readable_bytes(limit)} {outcome.problem}"
            )
            if not outcome.problem:
                found[way] = Timing(
                    tuple(line["seconds"] for line in outcome.said)
                )
    return found


def in_memory() -> dict[str, Timing | float]:
    """Compare the ways on a table that fits: a sixteenth of the bench's."""
    return _compared(1 / 16, 4 * BENCH_LIMIT)


def beyond_memory() -> dict[str, Timing | float]:
    """Compare them on one of four times the limit; who fails is printed."""
    return _compared(1, BENCH_LIMIT)


def growing() -> dict[str, Timing | float]:
    """Ask Dask for 1, 4 and 16 times the data, seconds for each time.

    Time grows linearly where they are alike. Peaks are printed.
    """
    _, folder = _bench_data(4.2)
    shares = {1: 1 / 16, 4: 1 / 4, 16: 1.0}
    with tempfile.TemporaryDirectory() as room:
        folders = [
            first(folder, share, Path(room, str(times)))
            for times, share in shares.items()
        ]
        points = grow(["Dask"], folders, BENCH_LIMIT)["Dask"]
    for times, point in zip(shares, points, strict=False):
        print(
            f"  {times}×: {readable(point.seconds)}, peak"
            f" {readable_bytes(point.peak)} {point.problem}"
        )
    return {
        f"Dask, {times} times the data, for each": Timing(
            (point.seconds / times,)
        )
        for times, point in zip(shares, points, strict=False)
        if not point.problem
    }


COMPARISONS = {
    "the admissions question in memory": in_memory,
    "the admissions question at 4 times the memory": beyond_memory,
    "growth at 1, 4, 16 times the data": growing,
}
