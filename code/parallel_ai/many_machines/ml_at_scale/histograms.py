"""Boosted trees: what is summed up is a histogram of every feature.

Claim: the split that is found from merged histograms is the one that is
found from all rows, and a histogram's size is set by bins, not by rows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from distributed import Client

from parallel_ai.many_machines.ml_at_scale.merging import merge_cluster
from parallel_ai.many_machines.ml_at_scale.sums import Block

BINS = 64


def edges_of(sample: np.ndarray, bins: int = BINS) -> list[np.ndarray]:
    """Where the bins of each feature end, so that they hold equal shares.

    Parameters
    ----------
    sample : array of shape (n, p)
        Of the training rows. A feature with few values gets few bins.

    Returns
    -------
    list of arrays
        p of them, each of at most bins - 1 rising values.
    """
    shares = np.linspace(0, 1, bins + 1)[1:-1]
    return [
        np.unique(np.quantile(column, shares, method="lower"))
        for column in sample.T
    ]


def binned(block: Block, edges: Sequence[np.ndarray]) -> Block:
    """Replace each number by the number of its bin; a byte each.

    Bin b of a feature holds what is above edge b - 1 and up to edge b.
    """
    X, y = block
    codes = np.empty(X.shape, np.uint8)
    for j, ends in enumerate(edges):
        codes[:, j] = np.searchsorted(ends, X[:, j], side="left")
    return codes, y


def some_rows(block: Block, every: int) -> np.ndarray:
    """Take every so-maniest row of a block."""
    return block[0][::every]


def bin_alike(
    client: Client, blocks: Sequence[Any], train: int, every: int = 10
) -> list[Any]:
    """Bin all blocks with the same edges, found on a sample of them all.

    Parameters
    ----------
    train : int
        Blocks, from the first, that the sample is taken from.
    every : int
        Of so many rows one is in the sample, which comes to the client.
    """
    parts = client.map(some_rows, blocks[:train], every=every, pure=False)
    edges = edges_of(np.concatenate(client.gather(parts)))
    return client.map(binned, blocks, edges=edges, pure=False)


class Split(NamedTuple):
    """Rows with ``code <= bin`` of a feature go left."""

    feature: int
    bin: int
    gain: float


def histogram(block: Block, chance: float, bins: int = BINS) -> np.ndarray:
    """Sum up what a split needs, for every bin of every feature.

    Parameters
    ----------
    block : pair of arrays
        Codes (n, p) and labels 0 or 1 (n,).
    chance : float
        What is predicted for all rows so far.

    Returns
    -------
    array of shape (2, p, bins)
        Gradients and curvatures of the logistic loss, summed over the rows
        of each bin.
    """
    codes, y = block
    p = codes.shape[1]
    places = codes + bins * np.arange(p)
    gradient = np.repeat(chance - y.astype(np.float64), p)
    counts = np.bincount(places.ravel(), minlength=p * bins)
    slopes = np.bincount(places.ravel(), gradient, minlength=p * bins)
    curves = chance * (1 - chance) * counts
    return np.stack([slopes, curves]).reshape(2, p, bins)


def both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Merge the histograms of two blocks."""
    return a + b


def best_split(total: np.ndarray) -> Split:
    """Find the split that lowers the loss most: one pass over all bins."""
    slopes, curves = total.cumsum(axis=2)
    all_slopes, all_curves = slopes[:, -1:], curves[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        left = slopes**2 / curves
        right = (all_slopes - slopes) ** 2 / (all_curves - curves)
        gain = left + right - all_slopes**2 / all_curves
    gain = np.where((curves > 1e-9) & (all_curves - curves > 1e-9), gain, 0)
    feature, place = np.unravel_index(gain.argmax(), gain.shape)
    return Split(int(feature), int(place), float(gain[feature, place]))


def first_split(
    client: Client, blocks: Sequence[Any], chance: float, bins: int = BINS
) -> Split:
    """Find the first split of a boosted tree over blocks on workers."""
    total = merge_cluster(
        client, histogram, blocks, both, chance=chance, bins=bins
    )
    return best_split(total)


def shares(client: Client, blocks: Sequence[Any]) -> tuple[int, float]:
    """Count the rows, and the share of them that is labelled 1."""
    counts = client.map(_labels, blocks, pure=False)
    ones, rows = np.sum(client.gather(counts), axis=0)
    return int(rows), float(ones / rows)


def _labels(block: Block) -> np.ndarray:
    return np.array([np.sum(block[1]), len(block[1])])
