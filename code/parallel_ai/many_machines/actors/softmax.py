"""Softmax regression in NumPy: what is trained, wherever it is trained."""

import math
from typing import NamedTuple

import numpy as np

CLASSES = 10
BATCH = 128  # images in a worker's minibatch


class Shard(NamedTuple):
    """The examples that one worker learns from."""

    rows: np.ndarray  # (n, features), float32, the last column is 1
    labels: np.ndarray  # (n,), integers from 0 to 9


def as_rows(images: np.ndarray) -> np.ndarray:
    """Make a row of each image, from 0 to 1, and a 1 for the bias."""
    pixels = images.reshape(len(images), math.prod(images.shape[1:]))
    pixels = pixels / np.float32(255)
    return np.hstack([pixels, np.ones((len(images), 1), np.float32)])


def shards(images: np.ndarray, labels: np.ndarray, count: int) -> list[Shard]:
    """Deal the examples out, like cards: sizes differ by one at most."""
    rows = as_rows(images)
    return [Shard(rows[i::count], labels[i::count]) for i in range(count)]


def start_theta(features: int) -> np.ndarray:
    """Return the parameters at the start: zeros, (features, classes)."""
    return np.zeros((features, CLASSES), np.float32)


def probabilities(theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the probability of each class for each row."""
    scores = rows @ theta
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    return scores / scores.sum(axis=1, keepdims=True)


def gradient(
    theta: np.ndarray, rows: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return the gradient of the *summed* cross-entropy, and of how many.

    Sums and counts can be added up, whoever has how many examples; means
    cannot.
    """
    residual = probabilities(theta, rows)
    residual[np.arange(len(labels)), labels] -= 1
    return rows.T @ residual, len(labels)


def minibatch(
    shard: Shard, step: int, size: int = BATCH
) -> tuple[np.ndarray, np.ndarray]:
    """Return the examples of one step: the next ones, round and round."""
    start = step * size % max(1, len(shard.labels))
    cut = slice(start, start + size)
    return shard.rows[cut], shard.labels[cut]


def cross_entropy(theta: np.ndarray, shard: Shard) -> float:
    """Return the mean cross-entropy, in nats; lower is better."""
    chosen = probabilities(theta, shard.rows)[
        np.arange(len(shard.labels)), shard.labels
    ]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def accuracy(theta: np.ndarray, shard: Shard) -> float:
    """Return the share of examples whose likeliest class is the right one."""
    guesses = (shard.rows @ theta).argmax(axis=1)
    return float((guesses == shard.labels).mean())
