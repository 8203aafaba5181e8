"""Preparing rows on the workers: flights, a file for each month.

Claim: columns mean the same in every partition if what is learnt about them
(words, means) is merged first; and nothing of the test months is in it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from distributed import Client

from parallel_ai.many_machines.ml_at_scale.merging import (
    merge_cluster,
    merge_serial,
)
from parallel_ai.many_machines.ml_at_scale.sums import Block

NUMBERS = ["dep_delay", "distance", "hour"]
WORDS = ["carrier", "origin"]
TARGET = "arr_delay"
LATE = 15  # minutes


def read_month(path: str) -> pd.DataFrame:
    """Read a file of flights: those that arrived, and what we use of them."""
    columns = [*NUMBERS, *WORDS, TARGET]
    table = pd.read_csv(path, usecols=columns)[columns]
    return table.dropna(ignore_index=True)


class Known(NamedTuple):
    """What is to be known of the columns before a table becomes numbers."""

    rows: int
    mean: np.ndarray  # of each of NUMBERS
    squares: np.ndarray  # sums of the squared deviations from the mean
    words: tuple[frozenset[str], ...]  # that occur in each of WORDS


def know(table: pd.DataFrame) -> Known:
    """Summarise a partition."""
    numbers = table[NUMBERS].to_numpy(np.float64)
    mean = numbers.mean(axis=0) if len(numbers) else np.zeros(len(NUMBERS))
    words = tuple(frozenset(table[word].unique()) for word in WORDS)
    return Known(
        len(numbers), mean, ((numbers - mean) ** 2).sum(axis=0), words
    )


def merge_known(a: Known, b: Known) -> Known:
    """Merge what two partitions know.

    Means are weighted, and the spread between them is added; Chan, Golub
    and LeVeque, 1983.
    """
    rows = a.rows + b.rows
    step = (b.mean - a.mean) * (b.rows / rows if rows else 0)
    between = (b.mean - a.mean) ** 2 * (a.rows * b.rows / max(rows, 1))
    words = tuple(i | j for i, j in zip(a.words, b.words, strict=True))
    return Known(rows, a.mean + step, a.squares + b.squares + between, words)


def columns(known: Known) -> list[str]:
    """Names of the features, the same on every worker, in a fixed order."""
    dummies = [
        f"{name}={word}"
        for name, words in zip(WORDS, known.words, strict=True)
        for word in sorted(words)
    ]
    return [*NUMBERS, *dummies]


def encode(table: pd.DataFrame, known: Known) -> Block:
    """Turn a partition into numbers: scaled, words as zeros and ones.

    A word that is not known has zeros in all columns.

    Returns
    -------
    X, y
        (n, p) and (n,), float32; y in minutes.
    """
    scale = np.sqrt(known.squares / max(known.rows, 1))
    numbers = table[NUMBERS].to_numpy(np.float64) - known.mean
    parts = [numbers / np.where(scale > 0, scale, 1)]
    for name, words in zip(WORDS, known.words, strict=True):
        order = pd.Index(sorted(words))
        codes = order.get_indexer(pd.Index(table[name]))
        parts.append(codes[:, np.newaxis] == np.arange(len(order)))
    X = np.concatenate(parts, axis=1, dtype=np.float32)
    return X, table[TARGET].to_numpy(np.float32)


def late(block: Block) -> Block:
    """Ask another question of the rows: more than `LATE` minutes, or not."""
    return block[0], (block[1] > LATE).astype(np.uint8)


def prepare_serial(
    paths: Sequence[str], train: int
) -> tuple[Known, list[Block]]:
    """Read and encode all partitions; learn from the first `train` only."""
    tables = [read_month(path) for path in paths]
    known = merge_serial(know, tables[:train], merge_known)
    return known, [encode(table, known) for table in tables]


def prepare(
    client: Client, paths: Sequence[str], train: int
) -> tuple[Known, list[Any]]:
    """Do so on a cluster: two rounds, and the rows never leave the workers.

    Returns
    -------
    known, blocks
        The blocks are futures of pairs (X, y).
    """
    tables = client.map(read_month, paths)
    known = merge_cluster(client, know, tables[:train], merge_known)
    return known, client.map(encode, tables, known=known)
