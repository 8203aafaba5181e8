"""The same three questions to pandas, Polars, DuckDB and Dask."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask.dataframe as dd
import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

from parallel_ai.many_machines.frames.asking import as_parquet, csv_frame
from parallel_ai.many_machines.frames.moving import planes_of
from parallel_ai.toolbox import cluster, datasets, machine
from parallel_ai.toolbox.roofs import read_bandwidth
from parallel_ai.toolbox.stopwatch import Timing, compare

BUSY = 200  # flights a year that make a plane a busy one
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # no I and no O: too like 1 and 0
REGISTERED = re.compile(
    f"N[1-9]([0-9]{{0,4}}|[0-9]{{0,3}}[{LETTERS}]|[0-9]{{0,2}}[{LETTERS}]{{2}})"
)
# Registrations below one digit in second, third and fourth place.
BELOW = (10_111, 951, 35)
SUFFIXES = 1 + len(LETTERS) * (1 + len(LETTERS))  # none, one or two letters


@dataclass(frozen=True)
class Data:
    """Where the tables are.

    Attributes
    ----------
    flights : str
        Folder of Parquet files.
    planes : str
        One Parquet file.
    rows : int
        Of all flights.
    """

    flights: str
    planes: str
    rows: int


def _times(frame: pd.DataFrame, copies: int) -> pd.DataFrame:
    return pd.concat([frame] * copies, ignore_index=True)


def replicated(paths: list[str], folder: str | Path, copies: int) -> Data:
    """Write the flights so many times over, and their planes, as Parquet."""
    many = csv_frame(paths).map_partitions(_times, copies)
    flights = as_parquet(many, Path(folder, "flights"))
    planes = Path(folder, "planes.parquet")
    tails = [pd.read_csv(path, usecols=["tailnum"]) for path in paths]
    planes_of(pd.concat(tails)).to_parquet(planes, index=False)
    rows = sum(pq.read_metadata(f).num_rows for f in Path(flights).iterdir())
    return Data(flights, str(planes), rows)


# How late, on average?


def mean_pandas(data: Data) -> float:
    """Read one column, then reduce it."""
    frame = pd.read_parquet(data.flights, columns=["dep_delay"])
    return float(frame["dep_delay"].mean())


def mean_polars(data: Data) -> float:
    """Lazily: Polars plans, reads and reduces in its own threads."""
    flights = pl.scan_parquet(f"{data.flights}/*.parquet")
    return float(flights.select(pl.mean("dep_delay")).collect().item())


def _duckdb(query: str, function: Callable[..., Any] | None = None) -> Any:
    with duckdb.connect(config={"threads": machine.cpus()}) as link:
        if function is not None:
            link.create_function(
                function.__name__, function, ["VARCHAR"], "BIGINT"
            )
        return link.execute(query).fetchall()


def mean_duckdb(data: Data) -> float:
    """In SQL, with a thread for each CPU that we have."""
    [(mean,)] = _duckdb(
        f"SELECT avg(dep_delay) FROM '{data.flights}/*.parquet'"  # noqa: S608
    )
    return float(mean)


def mean_dask(data: Data) -> float:
    """On the workers of the running cluster."""
    return float(dd.read_parquet(data.flights)["dep_delay"].mean().compute())


# How late is each airline, with its busy planes?


def busy_pandas(data: Data) -> dict[str, float]:
    """Join each flight with its plane, filter, group."""
    columns = ["tailnum", "carrier", "dep_delay"]
    flights = pd.read_parquet(data.flights, columns=columns)
    both = flights.merge(pd.read_parquet(data.planes), on="tailnum")
    both = both[both["flights"] >= BUSY]
    return dict(both.groupby("carrier")["dep_delay"].mean())


def busy_polars(data: Data) -> dict[str, float]:
    """Lazily: the planner puts the filter before the join by itself."""
    flights = pl.scan_parquet(f"{data.flights}/*.parquet")
    both = flights.join(pl.scan_parquet(data.planes), on="tailnum")
    both = both.filter(pl.col("flights") >= BUSY)
    means = both.group_by("carrier").agg(pl.mean("dep_delay"))
    return dict(means.collect().iter_rows())


def busy_duckdb(data: Data) -> dict[str, float]:
    """In SQL."""
    query = f"""
        SELECT carrier, avg(dep_delay)
        FROM '{data.flights}/*.parquet' JOIN '{data.planes}' USING (tailnum)
        WHERE flights >= {BUSY} GROUP BY carrier
    """  # noqa: S608 - our own numbers and file names
    return dict(_duckdb(query))


def busy_dask(data: Data) -> dict[str, float]:
    """As with pandas; the planes are one partition, sent to every worker."""
    both = dd.read_parquet(data.flights).merge(
        dd.read_parquet(data.planes), on="tailnum"
    )
    both = both[both["flights"] >= BUSY]
    return dict(both.groupby("carrier")["dep_delay"].mean().compute())


# Which address does the transponder of each flight answer with?


def transponder(registration: str) -> int:
    """Find the number of the address that a plane's transponder answers with.

    The United States own the addresses from A00001 (hexadecimal) on, and
    give them to registrations in the order N1, N1A, N1AA, N1AB, ...

    Parameters
    ----------
    registration : str
        Such as "N14228".

    Returns
    -------
    int
        From 1 (N1) to 915,399 (N99999); 0 for what is no registration.
    """
    if not REGISTERED.fullmatch(registration):
        return 0
    found = 1 + (int(registration[1]) - 1) * (10 * BELOW[0] + SUFFIXES)
    for place, sign in enumerate(registration[2:]):
        rest = registration[2 + place :]
        if place == 3:  # the last one: a letter comes before a digit
            return found + 1 + (LETTERS + "0123456789").index(sign)
        if sign in LETTERS:
            found += 1 + LETTERS.index(sign) * (1 + len(LETTERS))
            return found + (1 + LETTERS.index(rest[1]) if rest[1:] else 0)
        found += int(sign) * BELOW[place] + SUFFIXES
    return found


def addresses(registrations: pd.Series) -> pd.Series:
    """Apply `transponder` to each registration that is known, in Python."""
    return registrations.dropna().map(transponder).astype("int64")


def address_pandas(data: Data) -> int:
    """Sum of the numbers of all flights: every flight is one Python call."""
    frame = pd.read_parquet(data.flights, columns=["tailnum"])
    return int(addresses(frame["tailnum"]).sum())


def address_polars(data: Data) -> int:
    """Python calls from Polars take turns: there is one GIL."""
    numbers = pl.col("tailnum").map_elements(
        transponder, return_dtype=pl.Int64
    )
    flights = pl.scan_parquet(f"{data.flights}/*.parquet")
    return int(flights.select(numbers.sum()).collect().item())


def address_duckdb(data: Data) -> int:
    """So do those from DuckDB."""
    [(total,)] = _duckdb(
        "SELECT sum(transponder(tailnum)) FROM "  # noqa: S608
        f"'{data.flights}/*.parquet'",
        transponder,
    )
    return int(total)


def address_dask(data: Data) -> int:
    """Each worker is a process, with a GIL of its own."""
    tails = dd.read_parquet(data.flights)["tailnum"]
    numbers = tails.map_partitions(addresses, meta=("tailnum", "int64"))
    return int(numbers.sum().compute())


QUESTIONS: dict[str, dict[str, Callable[[Data], Any]]] = {
    "mean": {
        "pandas": mean_pandas,
        "Polars": mean_polars,
        "DuckDB": mean_duckdb,
        "Dask": mean_dask,
    },
    "join, group": {
        "pandas": busy_pandas,
        "Polars": busy_polars,
        "DuckDB": busy_duckdb,
        "Dask": busy_dask,
    },
    "Python function": {
        "pandas": address_pandas,
        "Polars": address_polars,
        "DuckDB": address_duckdb,
        "Dask": address_dask,
    },
}


def ask_all(
    data: Data, question: str, repeats: int = 3, warmup: int = 1
) -> dict[str, Timing]:
    """Time one of the `QUESTIONS` in each library, side by side."""
    return compare(
        {
            name: partial(answer, data)
            for name, answer in QUESTIONS[question].items()
        },
        repeats,
        warmup,
    )


def compare_libraries(
    question: str, copies: int = 20, repeats: int = 3
) -> dict[str, Timing | float]:
    """Time one of the `QUESTIONS` to all libraries, on a cluster of its own.

    Returns
    -------
    dict
        Timings by library; of the mean, at last what memory allows: 8 bytes
        a row at this machine's bandwidth.
    """
    paths = [str(path) for path in datasets.paths("flights").values()]
    with TemporaryDirectory(prefix="engines-") as folder, cluster.local():
        data = replicated(paths, folder, copies)
        found: dict[str, Timing | float] = {**ask_all(data, question, repeats)}
    if question == "mean":
        found["limit: 8 B a row / bandwidth"] = (
            data.rows * 8 / read_bandwidth()
        )
    return found
