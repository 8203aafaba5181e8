"""The same question in seven ways, each a program for `run_within`.

::

    python -m parallel_ai.many_machines.bigger_than_memory WAY LIMIT FOLDER...

prints a line for each folder. Every way imports its library only when it is
called: nobody pays for the others.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from parallel_ai.many_machines.bigger_than_memory.fences import (
    Outcome,
    limit_addresses,
    run_within,
)
from parallel_ai.many_machines.bigger_than_memory.layouts import (
    DERIVED,
    fields,
)
from parallel_ai.many_machines.bigger_than_memory.questions import (
    ASKED,
    KEYS,
    add,
    sums,
)
from parallel_ai.toolbox import memory

PROGRAM = "parallel_ai.many_machines.bigger_than_memory"
# What Arrow frees goes back to the system at once, and is not counted.
SETTINGS = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
NUMBERS = [field.name for field in fields() if field.kind != "C"]
NUMBERS += DERIVED  # so that no text is held
THREADS = 2  # of the one worker
SAMPLING = 0.1  # seconds
MEASURES = ("process", "managed", "spilled")
FAILED = 1
ITSELF = ", addresses"  # limits its own address space


def ask_pandas(folder: Path) -> pd.DataFrame:
    """Read everything, then ask."""
    return sums(pd.read_parquet(folder))


def ask_for_columns(folder: Path) -> pd.DataFrame:
    """Read the columns of the question, then ask."""
    return sums(pd.read_parquet(folder, columns=ASKED))


def ask_by_month(folder: Path) -> pd.DataFrame:
    """Ask one month after the other, and add the answers."""
    parts = (
        sums(pd.read_parquet(path, columns=ASKED))
        for path in sorted(folder.rglob("*.parquet"))
    )
    return add(parts)


def ask_polars(folder: Path) -> pd.DataFrame:
    """Ask Polars, whose streaming engine reads piece by piece."""
    import polars as pl

    banded = pl.scan_parquet(folder / "**/*.parquet").with_columns(
        BAND=(pl.col("AGE") // 10).fill_null(-1)
    )
    totals = banded.group_by(KEYS).agg(
        admissions=pl.len(),
        cost=pl.sum("VAL_TOT"),
        days=pl.sum("DIAS_PERM"),
        deaths=pl.sum("MORTE"),
    )
    return totals.collect(engine="streaming").to_pandas().set_index(KEYS)


def ask_duckdb(folder: Path) -> pd.DataFrame:
    """Ask DuckDB, in SQL."""
    import duckdb

    with duckdb.connect() as base:
        return (
            base.execute(
                """
            SELECT MONTH, CHAPTER, COALESCE(FLOOR(AGE / 10), -1) AS BAND,
                   COUNT(*) AS admissions, SUM(VAL_TOT) AS cost,
                   SUM(DIAS_PERM) AS days, SUM(MORTE) AS deaths
            FROM read_parquet(?) GROUP BY ALL
            """,
                [str(folder / "**/*.parquet")],
            )
            .df()
            .set_index(KEYS)
        )


def ask_dask(folder: Path) -> pd.DataFrame:
    """Ask Dask: the code for pandas, computed by the workers."""
    import dask.dataframe as dd

    return sums(dd.read_parquet(folder), split_out=1).compute()


def ask_held(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let the worker hold all numbers and dates of the table, and ask then.

    Returns
    -------
    DataFrame
    dict
        For each of `MEASURES`, pairs of seconds and bytes over all workers;
        ``held``, seconds until the table was there; ``limit`` of the worker.
    """
    from contextlib import ExitStack

    import dask.dataframe as dd
    from distributed import get_client, wait
    from distributed.diagnostics import MemorySampler

    sampler, begun = MemorySampler(), time.time()
    with ExitStack() as stack:
        for measure in MEASURES:
            stack.enter_context(
                sampler.sample(
                    measure,
                    client=get_client(),
                    measure=measure,
                    interval=SAMPLING,
                )
            )
        table = dd.from_map(
            pd.read_parquet,
            sorted(folder.rglob("*.parquet")),
            columns=NUMBERS,
        ).persist()
        wait(table, timeout=600)
        held = time.time() - begun
        answer = sums(table, split_out=1).compute()
    curves: dict[str, Any] = {
        name: [[at - begun, size] for at, size in pairs]
        for name, pairs in sampler.samples.items()
    }
    (worker,) = get_client().scheduler_info()["workers"].values()
    limit = worker["memory_limit"]
    return answer, {**curves, "held": held, "limit": limit}


WAYS: dict[str, Callable[[Path], Any]] = {
    "pandas": ask_pandas,
    "pandas, its columns": ask_for_columns,
    "pandas, by month": ask_by_month,
    "Polars": ask_polars,
    "DuckDB": ask_duckdb,
    "Dask": ask_dask,
    "Dask, held": ask_held,
}


def contend(
    way: str, limit: int, folders: Sequence[Path], seconds: float = 300.0
) -> Outcome:
    """Let one of `WAYS` answer for each folder, within a limit of memory.

    Returns
    -------
    Outcome
        ``said`` has a line for each folder: the ``seconds`` of the answer
        alone, and its ``totals``.
    """
    arguments = [PROGRAM, way, str(limit), *map(str, folders)]
    # Who limits itself must not meet the watcher first.
    fence = 2 * limit if way.endswith(ITSELF) else limit
    return run_within(fence, arguments, seconds, SETTINGS)


def main(way: str, limit: int, folders: Sequence[Path]) -> int:
    """Answer for each folder, and say how long that took and what came."""
    from contextlib import ExitStack

    ask = WAYS[way.removesuffix(ITSELF)]
    with ExitStack() as stack:
        if way.startswith("Dask"):
            import dask.dataframe  # noqa: F401 - takes memory, so it comes first

            from parallel_ai.toolbox import cluster

            # What this process takes is not the worker's.
            rest = limit - memory.taken([psutil.Process()])
            stack.enter_context(cluster.local(1, THREADS, rest))
        elif way.endswith(ITSELF):
            # Arrow's threads first: one that finds no room ends the process.
            pd.read_parquet(folders[0], columns=["MORTE"])
            limit_addresses(limit)
        for folder in folders:
            begun = time.perf_counter()
            try:
                got = ask(folder)
            except MemoryError as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                return FAILED
            taken = time.perf_counter() - begun
            answer, more = got if isinstance(got, tuple) else (got, {})
            totals = answer.sum().to_dict()
            line = {"seconds": taken, "groups": len(answer), **totals, **more}
            print(json.dumps(line), flush=True)
    return 0
