"""Models that are sums: a ridge regression, and principal components.

Claim: fitted on partitions they equal the fit on one array, up to rounding,
and what crosses the network does not depend on the number of rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from distributed import Client

from parallel_ai.many_machines.ml_at_scale.merging import (
    add,
    merge_cluster,
    merge_serial,
)

Block = tuple[np.ndarray, np.ndarray]


class Sums(NamedTuple):
    """All that least squares needs to know of n rows with p features."""

    rows: int
    x: np.ndarray  # (p,), sum of the rows
    y: float  # sum of the targets
    xx: np.ndarray  # (p, p), sum of the products of any two features
    xy: np.ndarray  # (p,), sum of the products with the target


class Linear(NamedTuple):
    """A line: prediction = X @ coef + intercept."""

    coef: np.ndarray
    intercept: float


def sums(block: Block, shift: Any = 0) -> Sums:
    """Summarise a block of rows.

    Parameters
    ----------
    block : pair of arrays
        X of shape (n, p), y of shape (n,). n may be 0.
    shift : float or array of shape (p,)
        Subtracted from every row. Anything near the mean keeps digits.
    """
    X = block[0].astype(np.float64) - shift
    y = block[1].astype(np.float64)
    return Sums(len(X), X.sum(axis=0), float(y.sum()), X.T @ X, X.T @ y)


def ridge(total: Sums, penalty: float = 1.0, shift: Any = 0) -> Linear:
    """Minimise |y - Xw - b|² + penalty |w|², from the sums alone.

    p³ operations, whatever the number of rows.
    """
    x, y = total.x / total.rows, total.y / total.rows
    spread = total.xx - total.rows * np.outer(x, x)
    spread[np.diag_indices(len(x))] += penalty
    coef = np.linalg.lstsq(spread, total.xy - total.rows * x * y)[0]
    return Linear(coef, float(y - coef @ (x + shift)))


def fit_ridge_serial(
    blocks: Sequence[Block], penalty: float = 1.0, shift: Any = 0
) -> Linear:
    """Fit on blocks, of which only one must be in memory at a time."""
    total = merge_serial(sums, blocks, add, shift=shift)
    return ridge(total, penalty, shift)


def fit_ridge(
    client: Client,
    blocks: Sequence[Any],
    penalty: float = 1.0,
    shift: Any = 0,
) -> Linear:
    """Fit on blocks that lie on the workers of a cluster."""
    total = merge_cluster(client, sums, blocks, add, shift=shift)
    return ridge(total, penalty, shift)


def payload(features: int) -> int:
    """Bytes of the sums that a worker sends, whatever its rows."""
    return 8 * (features * features + 2 * features + 2)


class Components(NamedTuple):
    """The directions in which rows differ most.

    Attributes
    ----------
    axes : array of shape (k, p)
        Orthonormal; the largest entry of each is positive.
    variances : array of shape (k,)
        Of the rows along each axis, falling.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray


def components(total: Sums, k: int) -> Components:
    """Principal components, from the same sums: the target is not used."""
    mean = total.x / total.rows
    spread = total.xx - total.rows * np.outer(mean, mean)
    values, vectors = np.linalg.eigh(spread / (total.rows - 1))
    axes = vectors[:, ::-1][:, :k].T
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, np.newaxis]
    return Components(mean, axes, values[::-1][:k])


def fit_components(
    client: Client, blocks: Sequence[Any], k: int
) -> Components:
    """Principal components of blocks on the workers of a cluster."""
    return components(merge_cluster(client, sums, blocks, add), k)
