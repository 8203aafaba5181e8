"""Code that looks harmless: each is shown going wrong, and then cured."""

from __future__ import annotations

import logging
from typing import Any

import dask
import pandas as pd
from distributed import wait

SECONDS = 120  # for a frame to be in memory
STATISTICS = ("min", "max", "mean")


def quiet() -> None:
    """Log no errors of tasks in this process: the page shows them itself."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


def in_a_loop(column: Any) -> list[float]:
    """Ask three questions, one after the other: each reads all files."""
    return [getattr(column, name)().compute() for name in STATISTICS]


def together(column: Any) -> list[float]:
    """Ask them at once: what they share is done once."""
    lazy = [getattr(column, name)() for name in STATISTICS]
    return list(dask.compute(*lazy))


def persisted(column: Any) -> list[float]:
    """Keep the column in the workers' memory, and ask in a loop."""
    kept = column.persist()
    wait(kept, timeout=SECONDS)
    return in_a_loop(kept)


def serials(registrations: pd.Series) -> pd.Series:
    """Take the number out of each registration: 14228 of "N14228"."""
    digits = registrations.dropna().str.extract(r"(\d+)", expand=False)
    return digits.astype("int64")


def made_up(row: pd.Series) -> float:
    """Subtract the delays of one row: a Python call for each flight."""
    return row["dep_delay"] - row["arr_delay"]


def made_up_columns(frame: pd.DataFrame) -> pd.Series:
    """Do so for whole columns: one call a partition."""
    return frame["dep_delay"] - frame["arr_delay"]
