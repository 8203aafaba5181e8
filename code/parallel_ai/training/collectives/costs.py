"""What a message costs, and therefore an algorithm: the α–β model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Link:
    """A message of n bytes takes α + β n seconds (Hockney 1994).

    Adding n received bytes to one's own takes γ n (Thakur et al. 2005).

    Attributes
    ----------
    alpha : float
        Seconds for a message, however short.
    beta : float
        Seconds for a byte.
    gamma : float
        Seconds for adding a byte.
    """

    alpha: float
    beta: float
    gamma: float = 0.0

    def message(self, count: float) -> float:
        """Seconds for one message of so many bytes."""
        return self.alpha + self.beta * count


def fit_link(seconds: Mapping[int, float], gamma: float = 0.0) -> Link:
    """Fit α and β to measured messages: seconds by bytes.

    Least squares of the *relative* errors: otherwise the longest message
    alone would decide. Neither is negative.

    Raises
    ------
    ValueError
        There are fewer than two sizes.
    """
    if len(seconds) < 2:
        raise ValueError(f"need two sizes at least, got {len(seconds)}")
    count = np.array(list(seconds), float)
    time = np.array(list(seconds.values()), float)
    rows = np.stack([1 / time, count / time], axis=1)
    scale = np.abs(rows).max(0)
    (alpha, beta), *_ = np.linalg.lstsq(
        rows / scale, np.ones(len(time)), rcond=None
    )
    alpha, beta = alpha / scale[0], beta / scale[1]
    if alpha < 0:  # then the best is at the edge: one unknown is left
        beta = rows[:, 1].sum() / (rows[:, 1] ** 2).sum()
        return Link(0.0, float(beta), gamma)
    if beta < 0:
        alpha = rows[:, 0].sum() / (rows[:, 0] ** 2).sum()
        return Link(float(alpha), 0.0, gamma)
    return Link(float(alpha), float(beta), gamma)


def star_time(size: int, count: float, link: Link) -> float:
    """Rank 0 receives p - 1 vectors, one by one, and sends as many."""
    adding = (size - 1) * count * link.gamma
    return 2 * (size - 1) * link.message(count) + adding


def tree_time(size: int, count: float, link: Link) -> float:
    """As many levels up as down; every level moves a whole vector."""
    levels = math.ceil(math.log2(size))
    return levels * (2 * link.message(count) + count * link.gamma)


def ring_time(size: int, count: float, link: Link) -> float:
    """Twice around but one; every step moves a piece."""
    piece = count / size
    return (size - 1) * (2 * link.message(piece) + piece * link.gamma)


def shared_time(
    size: int,
    count: float,
    link: Link,
    model: Callable[[int, float, Link], float],
) -> float:
    """Time if all ranks share one link, so that bytes pass one by one.

    The messages' α stay as the model counts them. The bytes are the same
    for star, tree and ring: 2 (p - 1) vectors, over all ranks, of which
    half are added.
    """
    starts = model(size, 0, link)
    return starts + (size - 1) * count * (2 * link.beta + link.gamma)


def bus_bandwidth(size: int, count: float, seconds: float) -> float:
    """Bytes a second that a link must carry for this all-reduce.

    Bytes of the vector by seconds would depend on the number of ranks;
    times 2 (p - 1) / p it can be held against what a link can do. NCCL's
    tests call it busbw.
    """
    return 2 * (size - 1) / size * count / seconds
