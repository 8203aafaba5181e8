"""Models that learn row by row: they have an order, so they have one lane.

Claim: stochastic gradient descent over partitions is a chain. A cluster lets
it pass over data that no machine holds, and makes it no faster; and the
order of the rows becomes a part of the result.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from operator import getitem
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from distributed import Client, wait

from parallel_ai.many_machines.ml_at_scale.merging import SECONDS
from parallel_ai.many_machines.ml_at_scale.sums import Block

if TYPE_CHECKING:  # slow to import, and only the client needs it
    import dask.array as da


def pixels(images: np.ndarray, labels: np.ndarray) -> Block:
    """Shrink pictures to half, and flatten them into rows of numbers.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8, of even sides

    Returns
    -------
    X, y
        (n, height·width / 4), float32, from 0 to 1; the labels.
    """
    n, height, width = images.shape
    squares = images.reshape(n, height // 2, 2, width // 2, 2)
    rows = squares.mean(axis=(2, 4), dtype=np.float32) / np.float32(255)
    return rows.reshape(n, height * width // 4), labels


def place(client: Client, block: Block, parts: int) -> list[Any]:
    """Cut rows into blocks and lay them on the workers, in turn.

    For data that fit here, and so for a page like this one. Otherwise every
    worker reads its own files.

    Returns
    -------
    list of Future
        Of pairs (X, y), in order, of lengths that differ by one at most.
    """
    cut = (np.array_split(array, parts) for array in block)
    return client.scatter(list(zip(*cut, strict=True)), hash=False)


def arrays(client: Client, blocks: Sequence[Any]) -> tuple[da.Array, da.Array]:
    """See blocks on workers as two Dask arrays, as dask-ml wants them.

    Parameters
    ----------
    blocks : sequence of Future
        Of pairs (X, y).

    Returns
    -------
    X, y
        Dask checks shapes, so each worker is asked for those of its blocks.
    """
    import dask.array as da

    X, y = [], []
    kinds = client.gather(client.map(_kind, blocks, pure=False))
    for block, (shape, one_type, other_type) in zip(
        blocks, kinds, strict=True
    ):
        one, other = dask.delayed(tuple, nout=2)(block)
        X.append(da.from_delayed(one, shape, one_type))
        y.append(da.from_delayed(other, shape[:1], other_type))
    return da.concatenate(X), da.concatenate(y)


def _kind(block: Block) -> tuple[tuple[int, ...], Any, Any]:
    return block[0].shape, block[0].dtype, block[1].dtype


def learn(model: Any, block: Block, classes: np.ndarray) -> Any:
    """Return a copy of a model that has seen one block more.

    Parameters
    ----------
    classes : array, (k,)
        All there are: a block may lack some, and the first call fixes the
        shape of the model.
    """
    model = copy.deepcopy(model)
    return model.partial_fit(*block, classes=classes)


def stream_serial(
    model: Any, blocks: Sequence[Block], classes: np.ndarray
) -> Any:
    """Let a model see one block after the other."""
    for block in blocks:
        model = learn(model, block, classes)
    return model


def stream(
    client: Client, model: Any, blocks: Sequence[Any], classes: np.ndarray
) -> Any:
    """Let a model travel along blocks that lie on workers: a chain.

    What `dask_ml.wrappers.Incremental` does, without the wrapper.
    """
    for block in blocks:
        model = client.submit(learn, model, block, classes, pure=False)
    return model.result(SECONDS) if len(blocks) else model


def apart(
    client: Client, model: Any, blocks: Sequence[Any], classes: np.ndarray
) -> list[Any]:
    """Let a model of its own see each block: no chain, all at once."""
    models = client.map(
        learn, [model] * len(blocks), blocks, classes=classes, pure=False
    )
    return client.gather(models)


def averaged(models: Sequence[Any]) -> Any:
    """Average linear models that were fitted apart, weights and all.

    Another model than the one that has seen all rows: see Zinkevich and
    others, "Parallelized stochastic gradient descent", 2010.
    """
    mean = copy.deepcopy(models[0])
    mean.coef_ = np.mean([model.coef_ for model in models], axis=0)
    mean.intercept_ = np.mean([model.intercept_ for model in models], axis=0)
    return mean


def deal(block: Block, piles: int, seed: int) -> list[Block]:
    """Deal the rows of a block, at random, to so many piles."""
    X, y = block
    pile = np.random.default_rng(seed).integers(piles, size=len(X))
    return [(X[pile == i], y[pile == i]) for i in range(piles)]


def gather_pile(seed: int, *parts: Block) -> Block:
    """Put together what all blocks dealt to one pile, and mix it."""
    X = np.concatenate([part[0] for part in parts])
    y = np.concatenate([part[1] for part in parts])
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order], y[order]


def shuffle(client: Client, blocks: Sequence[Any], seed: int) -> list[Any]:
    """Mix the rows of all blocks. Most of them cross the network.

    Each part of each block is a task of its own, blocks² in all. A list of
    parts would be one thing, and travel as one, to every pile.

    Returns
    -------
    list of Future
        As many blocks, of about the same size; the same for any number of
        workers, since every block and pile has a seed of its own.
    """
    count = len(blocks)
    seeds = np.random.SeedSequence(seed).generate_state(2 * count).tolist()
    dealt = client.map(
        deal, blocks, [count] * count, seeds[:count], pure=False
    )
    wait(dealt, timeout=SECONDS)
    where = client.who_has(dealt)  # to cut there, and send the parts only

    def part(one: Any, i: int) -> Any:
        there = where[one.key]
        return client.submit(getitem, one, i, workers=there, pure=False)

    return [
        client.submit(
            gather_pile,
            seeds[count + i],
            *(part(one, i) for one in dealt),
            pure=False,
        )
        for i in range(count)
    ]
