"""The same report, cured stage by stage, and then divided among workers."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from parallel_ai.one_machine.bottlenecks.written import (
    KEYS,
    aggregate_by_filter,
    features_by_row,
    part_of_day,
    read_growing,
)
from parallel_ai.toolbox.workers import LIMIT

COLUMNS = [
    *("year", "month", "day", "dep_time", "arr_delay"),
    *("carrier", "air_time", "distance"),
]
PARTS = np.array(["night", "morning", "afternoon", "evening"])


@cache
def is_weekend(year: int, month: int, day: int) -> bool:
    """Tell whether a date is a Saturday or a Sunday; look once at each."""
    date = f"{year}-{month}-{day}"
    return datetime.strptime(date, "%Y-%m-%d").weekday() >= 5


def features_by_date(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the features row by row still, but parse each date only once."""
    table = flights.dropna(subset=["arr_delay"]).copy()
    table["weekend"] = table.apply(
        lambda flight: is_weekend(flight.year, flight.month, flight.day),
        axis=1,
    )
    table["part"] = table.apply(part_of_day, axis=1)
    table["late"] = table.arr_delay > 15
    table["speed"] = 1.609344 * table.distance / (table.air_time / 60)
    return table


def features_by_column(flights: pd.DataFrame) -> pd.DataFrame:
    """Add the features by whole columns; no Python for each flight."""
    table = flights.dropna(subset=["arr_delay"])
    dates = pd.to_datetime(table[["year", "month", "day"]])
    quarter = np.digitize(table.dep_time, [600, 1200, 1800])
    return table.assign(
        weekend=dates.dt.day_of_week >= 5,
        part=PARTS[quarter],
        late=table.arr_delay > 15,
        speed=1.609344 * table.distance / (table.air_time / 60),
    )


def aggregate_grouped(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the flights into their groups in one pass."""
    return table.groupby(KEYS).agg(
        flights=("late", "size"),
        late=("late", "mean"),
        delay=("arr_delay", "mean"),
        speed=("speed", "mean"),
    )


def read_once(files: Sequence[Path]) -> pd.DataFrame:
    """Read the columns that are needed; join the months once, at the end."""
    months = [pd.read_csv(file, usecols=COLUMNS) for file in files]
    return pd.concat(months, ignore_index=True)


STAGES: dict[str, tuple[Callable, Callable, Callable]] = {
    "as written": (read_growing, features_by_row, aggregate_by_filter),
    "each date once": (read_growing, features_by_date, aggregate_by_filter),
    "by column": (read_growing, features_by_column, aggregate_by_filter),
    "grouped": (read_growing, features_by_column, aggregate_grouped),
    "read once": (read_once, features_by_column, aggregate_grouped),
}


def sums_of(
    file: Path,
    features: Callable[[pd.DataFrame], pd.DataFrame] = features_by_column,
) -> pd.DataFrame:
    """Reduce one month to a few sums for each group.

    Parameters
    ----------
    features : callable
        The stage that adds the features; any form of it.

    Returns
    -------
    DataFrame, indexed as the report
        flights, and the sums of late, arr_delay and speed.
    """
    table = features(read_once([file]))
    groups = table.groupby(KEYS)
    sums = groups[["late", "arr_delay", "speed"]].sum()
    return sums.astype(float).assign(flights=groups.size())


def merge_sums(months: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add up the months and divide at last: the report."""
    total = pd.concat(list(months)).groupby(level=KEYS).sum()
    return pd.DataFrame(
        {
            "flights": total.flights,
            "late": total.late / total.flights,
            "delay": total.arr_delay / total.flights,
            "speed": total.speed / total.flights,
        }
    )


def report_serial(files: Sequence[Path]) -> pd.DataFrame:
    """Report month by month; only one is in memory at a time."""
    return merge_sums(map(sums_of, files))


def report_threads(files: Sequence[Path], threads: int = 2) -> pd.DataFrame:
    """Report by threads, a month at a time each."""
    with ThreadPoolExecutor(threads) as pool:
        return merge_sums(pool.map(sums_of, files))


def report_processes(
    files: Sequence[Path],
    pool: ProcessPoolExecutor,
    features: Callable[[pd.DataFrame], pd.DataFrame] = features_by_column,
) -> pd.DataFrame:
    """Report by processes, a month a task; only sums are sent back."""
    task = partial(sums_of, features=features)
    return merge_sums(pool.map(task, files, timeout=LIMIT))
