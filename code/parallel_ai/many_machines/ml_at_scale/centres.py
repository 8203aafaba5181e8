"""k-means: every step is one sum over all rows.

Claim: Lloyd's algorithm on partitions takes the same steps as on one array,
and sends k·p numbers for each worker and step, whatever the rows.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from distributed import Client

from parallel_ai.many_machines.ml_at_scale.merging import (
    add,
    merge_cluster,
    merge_serial,
)
from parallel_ai.many_machines.ml_at_scale.sums import Block


class Assigned(NamedTuple):
    """What a step needs to know of some rows."""

    sums: np.ndarray  # (k, p), of the rows nearest to each centre
    counts: np.ndarray  # (k,), of those rows
    inertia: float  # sum of the squared distances to them


class Clustering(NamedTuple):
    """Centres, and how far the rows are from them."""

    centres: np.ndarray  # (k, p)
    inertia: float
    steps: int


def assign(block: Block, centres: np.ndarray) -> Assigned:
    """Find the nearest centre of each row, and sum up the rows of each."""
    X = block[0].astype(np.float64)
    squares = np.einsum("ij,ij->i", centres, centres)
    distances = squares - 2 * (X @ centres.T)  # less |x|², the same for all
    nearest = distances.argmin(axis=1)
    k = len(centres)
    chosen = (nearest[:, np.newaxis] == np.arange(k)).astype(np.float64)
    least = distances[np.arange(len(X)), nearest]
    inertia = float(least.sum() + np.einsum("ij,ij->", X, X))
    return Assigned(chosen.T @ X, chosen.sum(axis=0), inertia)


def moved(centres: np.ndarray, found: Assigned) -> np.ndarray:
    """Put each centre into the mean of its rows; one without rows stays."""
    counts = found.counts[:, np.newaxis]
    means = found.sums / np.maximum(counts, 1)
    return np.where(counts > 0, means, centres)


def lloyd_serial(
    blocks: Sequence[Block],
    centres: np.ndarray,
    steps: int,
    tolerance: float = 0.0,
) -> Clustering:
    """Lloyd's algorithm, from given centres.

    Parameters
    ----------
    centres : array of shape (k, p)
    steps : int
        At most.
    tolerance : float
        End when the squares of all moves add up to no more than this.
    """
    look = partial(merge_serial, assign, blocks, add)
    return _lloyd(look, centres, steps, tolerance)


def lloyd(
    client: Client,
    blocks: Sequence[Any],
    centres: np.ndarray,
    steps: int,
    tolerance: float = 0.0,
) -> Clustering:
    """Lloyd's algorithm on blocks that lie on the workers of a cluster."""
    look = partial(merge_cluster, client, assign, blocks, add)
    return _lloyd(look, centres, steps, tolerance)


def _lloyd(
    look: Callable[..., Assigned],
    centres: np.ndarray,
    steps: int,
    tolerance: float,
) -> Clustering:
    centres = centres.astype(np.float64)
    done, move = 0, np.inf
    while done < steps and move > tolerance:
        before = centres
        centres = moved(centres, look(centres=centres))
        move, done = ((centres - before) ** 2).sum(), done + 1
    return Clustering(centres, look(centres=centres).inertia, done)
