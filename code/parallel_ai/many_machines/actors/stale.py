"""What old gradients do: the largest rate that still trains."""

import numpy as np

from parallel_ai.many_machines.actors.servers import descend
from parallel_ai.many_machines.actors.softmax import (
    CLASSES,
    Shard,
    cross_entropy,
    gradient,
    minibatch,
    start_theta,
)

BEGINNING = 5  # steps that may go up


def train_stale(
    theta: np.ndarray, shard: Shard, steps: int, rate: float, delay: int
) -> list[np.ndarray]:
    """Train, serially, with gradients that are all `delay` updates old.

    Returns
    -------
    list of array
        Parameters at the start and after each step.
    """
    history = [theta]
    for step in range(steps):
        old = history[max(0, step - delay)]
        total, n = gradient(old, *minibatch(shard, step))
        history.append(descend(history[-1], rate, total, n))
    return history


def curvature(shard: Shard) -> float:
    """Return the largest curvature of the mean loss, at theta = 0.

    There every class has probability 1/10, and the Hessian's largest
    eigenvalue is a tenth of that of the rows' second moments.
    """
    moments = shard.rows.T @ shard.rows / len(shard.rows)
    return float(np.linalg.eigvalsh(moments)[-1]) / CLASSES


def predicted_rate(curvature: float, delay: int) -> float:
    """Return the rate from which on a delayed descent grows, on a parabola.

    Of x ← x − rate · curvature · (x, `delay` steps ago): Levin and May 1976.
    """
    return float(2 * np.sin(np.pi / (4 * delay + 2)) / curvature)


def trains(shard: Shard, rate: float, delay: int) -> bool:
    """Tell whether the loss stays below that of the start, soon after it."""
    start = start_theta(shard.rows.shape[1])
    seen = Shard(shard.rows[:500], shard.labels[:500])
    above = cross_entropy(start, seen)
    history = train_stale(start, shard, 40 + 6 * delay, rate, delay)
    later = history[BEGINNING::2]
    return all(cross_entropy(theta, seen) < above for theta in later)


def largest_rate(shard: Shard, delay: int, rounds: int = 6) -> float:
    """Find by bisection the largest rate that trains with such a delay.

    Returns
    -------
    float
        Between a quarter and four times the predicted rate, to within
        16 ** (1 / 2 ** rounds).
    """
    middle = predicted_rate(curvature(shard), delay)
    low, high = middle / 4, middle * 4
    for _ in range(rounds):
        between = float(np.sqrt(low * high))
        if trains(shard, between, delay):
            low = between
        else:
            high = between
    return float(np.sqrt(low * high))
