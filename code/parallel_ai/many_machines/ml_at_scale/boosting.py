"""LightGBM on Dask's workers, with a network of our own.

Claim: trees grown from histograms that workers exchange are those of one
machine, and what is sent can be told before: bins × 16 bytes a split.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from distributed import Client, wait

from parallel_ai.many_machines.ml_at_scale.exchange import (
    Exchange,
    hush,
    listen,
)
from parallel_ai.many_machines.ml_at_scale.merging import SECONDS
from parallel_ai.many_machines.ml_at_scale.plugging import Network, Traffic
from parallel_ai.many_machines.ml_at_scale.sums import Block

if TYPE_CHECKING:  # slow to import: only where trees are grown
    import lightgbm

ENTRY = 16  # bytes of a bin: sums of gradients and of curvatures, doubles
SETTINGS = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.2,
    # Workers only estimate how many rows a leaf has; curvatures are exact.
    "min_data_in_leaf": 1,
    "min_sum_hessian_in_leaf": 5.0,
    "max_bin": 256,
    "min_data_in_bin": 1,  # the codes are bins already
    "feature_pre_filter": False,  # would judge by the rows of one worker
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


def highest(block: Block) -> np.ndarray:
    """Highest code of each feature; 0 for a block without rows."""
    return block[0].max(axis=0, initial=0)


def bins_like(codes: np.ndarray) -> lightgbm.Dataset:
    """Make LightGBM take each code up to the highest for a bin.

    Left alone, every worker would find bins on its own rows.

    Parameters
    ----------
    codes : array of shape (p,)
        The highest of each feature.
    """
    import lightgbm

    steps = np.arange(int(codes.max(initial=0)) + 1)[:, np.newaxis]
    rows = np.where(steps <= codes, steps, 0)
    return lightgbm.Dataset(rows, params=SETTINGS).construct()


def train_alone(
    block: Block,
    trees: int,
    settings: dict[str, Any] | None = None,
    bins: lightgbm.Dataset | None = None,
    after_each: Sequence[Callable[[Any], None]] = (),
) -> lightgbm.Booster:
    """Grow trees on the rows of one machine.

    Parameters
    ----------
    bins : lightgbm.Dataset, optional
        Whose bins to use; by default those that the rows suggest.
    after_each : sequence of callable
        Called after each tree.
    """
    import lightgbm

    data = lightgbm.Dataset(*block, reference=bins)
    return lightgbm.train(
        SETTINGS | (settings or {}), data, trees, callbacks=list(after_each)
    )


def train_rank(
    blocks: Sequence[Block],
    codes: np.ndarray,
    rank: int,
    addresses: Sequence[tuple[str, int]],
    secret: bytes,
    trees: int,
    settings: dict[str, Any],
) -> tuple[str, Traffic]:
    """Grow trees together with the other workers: the part of one of them.

    Returns
    -------
    model, traffic
        The model as text, the same on every worker.

    Raises
    ------
    ValueError
        There are fewer features than workers.
    """
    X = np.concatenate([block[0] for block in blocks])
    y = np.concatenate([block[1] for block in blocks])
    if X.shape[1] < len(addresses):
        raise ValueError(f"{len(addresses)} workers, {X.shape[1]} features")
    shared = {"tree_learner": "data", "num_machines": len(addresses)}
    with Exchange(rank, addresses, secret) as exchange:
        network = Network(exchange)
        bins, own = bins_like(codes), shared | settings
        with network.plugged_in():
            booster = train_alone((X, y), trees, own, bins, [network.check])
    return booster.model_to_string(), network.traffic()


class Grown(NamedTuple):
    """A model, and what its workers sent to each other."""

    model: lightgbm.Booster
    traffic: list[Traffic]


def train(
    client: Client,
    blocks: Sequence[Any],
    trees: int,
    settings: dict[str, Any] | None = None,
) -> Grown:
    """Grow trees on blocks, each worker on those that it holds.

    Parameters
    ----------
    blocks : sequence of Future
        Of pairs (codes, labels). Every worker needs one thread for it.

    Raises
    ------
    ValueError
        There are no blocks, or fewer features than workers: each worker
        decides about some.
    TimeoutError
        A worker waited too long for another.
    """
    import lightgbm

    if not len(blocks):
        raise ValueError("there is nothing to learn from: no blocks")
    wait(blocks, timeout=SECONDS)
    held: dict[str, list[Any]] = {}
    where = client.who_has(blocks)
    for block in blocks:
        held.setdefault(where[block.key][0], []).append(block)
    tops = client.gather(client.map(highest, blocks, pure=False))
    codes = np.max(tops, axis=0)
    workers, secret = list(held), os.urandom(16)
    try:
        opened = client.run(listen, secret, workers=workers)
        addresses = [opened[worker] for worker in workers]
        parts = [
            client.submit(
                train_rank,
                held[worker],
                codes,
                rank,
                addresses,
                secret,
                trees,
                settings or {},
                workers=[worker],
                pure=False,
            )
            for rank, worker in enumerate(workers)
        ]
        done = client.gather(parts)
    finally:
        client.run(hush, secret, workers=workers)
    model = lightgbm.Booster(model_str=done[0][0])
    return Grown(model, [traffic for _, traffic in done])


def bins_sent(codes: np.ndarray) -> int:
    """Count the bins that LightGBM sends of a histogram.

    It leaves out the lowest of each feature: what that holds is what the
    others lack of the total. So a column of zeros and ones is one bin.

    Parameters
    ----------
    codes : array of shape (p,)
        The highest of each feature.
    """
    return int(codes.sum(dtype=np.int64))


def predicted_bytes(bins: int, splits: int, workers: int) -> float:
    """Bytes of histograms that each worker sends, by the model.

    For a split the histogram of one leaf, the smaller of two, is summed up;
    of it a worker sends to each other one the features that are that one's.
    """
    return splits * bins * ENTRY * (workers - 1) / workers
