"""MedMNIST's two scores, a report by class, and how sure they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Scores:
    """AUC: one class against the rest, mean over the classes. ACC: right."""

    auc: float
    acc: float


def softmax(logits: torch.Tensor, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities in double precision, (n, classes)."""
    scaled = logits.detach().cpu().double() / temperature
    return scaled.softmax(1).numpy()


def auc_of(scores: np.ndarray, positive: np.ndarray) -> float:
    """Say how often a positive has the higher score; a tie counts half.

    This is the area under the ROC curve: the sum of the positives' ranks
    tells how many negatives stand below each (Mann and Whitney, 1947).

    Parameters
    ----------
    scores : array, (n,)
    positive : array of bool, (n,)

    Raises
    ------
    ValueError
        There are no pairs to compare.
    """
    count = int(positive.sum())
    pairs = count * (len(positive) - count)
    if not pairs:
        raise ValueError("an AUC needs positives and negatives")
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(ties) - (ties - 1) / 2  # the mean rank of equal scores
    above = rank[place][positive].sum() - count * (count + 1) / 2
    return float(above / pairs)


def macro_auc(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Average the AUC of each class against the rest, unweighted."""
    return float(
        np.mean(
            [
                auc_of(column, labels == k)
                for k, column in enumerate(probabilities.T)
            ]
        )
    )


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of pictures whose highest column is right."""
    return float((probabilities.argmax(1) == labels).mean())


def score(probabilities: np.ndarray, labels: np.ndarray) -> Scores:
    """Score by MedMNIST's protocol."""
    return Scores(
        macro_auc(probabilities, labels), accuracy(probabilities, labels)
    )


def confusion_of(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count for each true class (row) what was answered (column)."""
    classes = probabilities.shape[1]
    pairs = labels * classes + probabilities.argmax(1)
    counts = np.bincount(pairs, minlength=classes**2)
    return counts.reshape(classes, classes)


def report(table: np.ndarray, names: list[str]) -> Any:
    """Report by class, from the counts of `confusion_of`.

    Returns
    -------
    frame
        A row each class. Precision: of its answers, how many are right (0
        where there is none). Recall: of its cells, how many are found.
    """
    import pandas as pd

    right = table.diagonal()
    answered, cells = table.sum(0), table.sum(1)
    return pd.DataFrame(
        {
            "precision": right / np.maximum(answered, 1),
            "recall": right / np.maximum(cells, 1),
            "F1": 2 * right / np.maximum(answered + cells, 1),
            "cells": cells,
        },
        index=names,
    )


def bootstrap(
    measure: Score,
    probabilities: np.ndarray,
    labels: np.ndarray,
    draws: int = 300,
    seed: int = 0,
) -> tuple[float, float]:
    """Draw pictures with replacement; return where 95 % of scores lie.

    It tells how the score would move with *other test pictures*. It says
    nothing of other seeds or other training sets.
    """
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        some = random.integers(len(labels), size=len(labels))
        found.append(measure(probabilities[some], labels[some]))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
