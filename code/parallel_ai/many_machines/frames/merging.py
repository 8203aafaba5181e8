"""What partitions can tell each other: statistics that merge, and others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from distributed import Client

SECONDS = 120  # for a result, on a machine that is busy


def column_of(path: str, column: str) -> np.ndarray:
    """Read one column of one file of flights; missing values are NaN."""
    frame = pd.read_csv(path, usecols=[column])
    return frame[column].to_numpy(dtype=float)


def mean_of_means(parts: Iterable[np.ndarray]) -> float:
    """Average the averages: wrong, unless all parts have as many values."""
    return float(np.mean([np.nanmean(part) for part in parts]))


@dataclass(frozen=True)
class Moments:
    """Count, mean and spread of numbers, in a form that merges.

    Attributes
    ----------
    count : int
        Known values, of any number of parts.
    mean : float
    squares : float
        Sum of squared deviations from the mean.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Summarise one part; what is NaN is not counted."""
        known = values[~np.isnan(values)]
        if len(known) == 0:
            return cls()
        mean = float(known.mean())
        return cls(len(known), mean, float(((known - mean) ** 2).sum()))

    def merge(self, other: Moments) -> Moments:
        """Summarise both parts from their summaries (Chan et al. 1983)."""
        count = self.count + other.count
        if count == 0:
            return self
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * other.count / count,
            self.squares
            + other.squares
            + apart**2 * self.count * other.count / count,
        )

    @property
    def variance(self) -> float:
        """Of the sample; NaN for fewer than two values."""
        return self.squares / (self.count - 1) if self.count > 1 else math.nan


def moments_of(path: str, column: str) -> Moments:
    """Read a file's column, and keep three numbers of it."""
    return Moments.of(column_of(path, column))


def merged(summaries: Sequence[Moments]) -> Moments:
    """Merge any number of summaries, also none."""
    return reduce(Moments.merge, summaries, Moments())


def moments_serial(paths: Sequence[str], column: str) -> Moments:
    """Summarise a column of all files, one after the other."""
    return merged([moments_of(path, column) for path in paths])


def moments_tree(
    client: Client, paths: Sequence[str], column: str, fan_in: int = 4
) -> Moments:
    """Summarise a column of all files on the workers, merged in a tree.

    Parameters
    ----------
    fan_in : int
        Summaries that one task merges, at least 2. The tree then has
        log(files) / log(fan_in) levels above its leaves.

    Raises
    ------
    ValueError
        A task would merge fewer than two.
    """
    if fan_in < 2:
        raise ValueError("a task must merge at least two summaries")
    level: list[Any] = client.map(moments_of, paths, column=column)
    while len(level) > 1:
        level = [
            client.submit(merged, level[start : start + fan_in])
            for start in range(0, len(level), fan_in)
        ]
    return level[0].result(timeout=SECONDS) if level else Moments()


def merges(
    statistic: Callable[[Any], float], parts: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Apply a statistic to its values in the parts, and to all at once.

    Returns
    -------
    tuple of float
        Equal if the statistic of parts is all that another level needs.
    """
    parts = [part[~np.isnan(part)] for part in parts]
    of_parts = [statistic(part) for part in parts]
    return float(statistic(of_parts)), float(statistic(np.concatenate(parts)))
