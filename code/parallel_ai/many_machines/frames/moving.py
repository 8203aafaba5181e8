"""Rows on their way: what a question moves between the workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client

from parallel_ai.toolbox import cluster


@dataclass
class Traffic:
    """Bytes that workers handed on while a block ran.

    Attributes
    ----------
    fetched : int
        Inputs of tasks that a worker got from another one.
    shuffled : int
        Pieces of partitions that went through a peer-to-peer shuffle. Of
        those, what stays on its worker is counted, too.
    tasks : Counter
        Tasks that ran, by name.
    """

    fetched: int = 0
    shuffled: int = 0
    tasks: Counter[str] | None = None

    @property
    def bytes(self) -> int:
        """All of them."""
        return self.fetched + self.shuffled


def _handed_on(dask_worker: Any) -> tuple[int, int]:
    """Totals of a worker since it was started: fetched, shuffled."""
    shuffled = sum(
        value
        for name, value in dask_worker.digests_total.items()
        if name[0] == "p2p"
        and "background-comms" in name
        and name[-2:] == ("process", "bytes")
    )
    fetched = sum(one["total"] for one in dask_worker.transfer_incoming_log)
    return fetched, round(shuffled)


def _totals(client: Client) -> np.ndarray:
    found = client.run(_handed_on)
    return np.array(list(found.values())).sum(axis=0)


@contextmanager
def traffic(client: Client) -> Iterator[Traffic]:
    """Count the bytes that workers hand on while a block runs.

    A worker keeps a log of its last thousand fetches: enough for a page.
    """
    seen = Traffic()
    before = _totals(client)
    with cluster.watched(client) as spans:
        yield seen
    seen.fetched, seen.shuffled = (_totals(client) - before).tolist()
    seen.tasks = Counter(s.name for s in spans if s.action == "compute")


def planes_of(frame: Any) -> pd.DataFrame:
    """One row for each plane: its number of flights in the year."""
    counts = frame["tailnum"].value_counts()
    planes = counts.rename("flights").rename_axis("tailnum").reset_index()
    return planes.sort_values("tailnum", ignore_index=True)


def dated(frame: Any) -> Any:
    """Add the day of each flight as one number, such as 20130704."""
    date = frame["year"] * 10000 + frame["month"] * 100 + frame["day"]
    return frame.assign(date=date)
