"""Predictions for more rows than fit: the easiest of the three questions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from distributed import Client
from distributed.protocol.pickle import dumps

from parallel_ai.many_machines.ml_at_scale.sums import Block


def label(model: Any, block: Block) -> np.ndarray:
    """Predict the labels of a block's rows."""
    X = block[0]
    return model.predict(X) if len(X) else np.empty(0, model.classes_.dtype)


def predict_serial(model: Any, blocks: Sequence[Block]) -> np.ndarray:
    """Predict for one block after the other."""
    return np.concatenate([label(model, block) for block in blocks])


def predict(client: Client, model: Any, blocks: Sequence[Any]) -> np.ndarray:
    """Send the model once to each worker, and predict where the rows are."""
    there = client.scatter(model, broadcast=True, hash=False)
    labels = client.map(label, [there] * len(blocks), blocks, pure=False)
    return np.concatenate(client.gather(labels))


def right(model: Any, block: Block) -> np.ndarray:
    """Count a block's rows, and those that the model labels rightly.

    Returns
    -------
    array of two int
        It adds up, so that the accuracy of all rows needs no prediction to
        leave its worker.
    """
    return np.array([np.sum(label(model, block) == block[1]), len(block[1])])


def accuracy(client: Client, model: Any, blocks: Sequence[Any]) -> float:
    """Share of rows that a model labels rightly."""
    there = client.scatter(model, broadcast=True, hash=False)
    counts = client.map(right, [there] * len(blocks), blocks, pure=False)
    hits, rows = np.sum(client.gather(counts), axis=0)
    return float(hits / rows)


def graph_bytes(collection: Any) -> int:
    """Bytes of a collection's task graph, pickled task by task.

    So each task carries what it names, as it does on its way to a worker.
    """
    return sum(len(dumps(task)) for task in dict(collection.dask).values())
