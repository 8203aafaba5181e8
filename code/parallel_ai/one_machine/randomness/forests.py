"""Chance in scikit-learn: what `random_state` and `n_jobs` change."""

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier


def fit_forest(
    images: np.ndarray, labels: np.ndarray, n_jobs: int, random_state: Any = 0
) -> RandomForestClassifier:
    """Fit a small forest whose leaves hold several images.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8
    labels : array of shape (n,)
    n_jobs : int
        Threads.
    random_state : int, RandomState or None
    """
    model = RandomForestClassifier(
        24, min_samples_leaf=3, n_jobs=n_jobs, random_state=random_state
    )
    return model.fit(images.reshape(len(images), -1), labels)


def same_trees(a: RandomForestClassifier, b: RandomForestClassifier) -> bool:
    """Tell whether two forests are equal, split by split, bit by bit."""
    pairs = zip(a.estimators_, b.estimators_, strict=True)
    return all(
        np.array_equal(getattr(p.tree_, part), getattr(q.tree_, part))
        for p, q in pairs
        for part in ("feature", "threshold", "value")
    )


def votes(model: ClassifierMixin, images: np.ndarray) -> np.ndarray:
    """Mean of the trees' probabilities, as the forest's threads add them.

    Returns
    -------
    array of shape (n, classes), float64
        Each thread adds a tree's when it is ready, under a lock: nothing
        is lost, but the order is that of arrival.
    """
    return model.predict_proba(images.reshape(len(images), -1))


def votes_in_order(
    model: RandomForestClassifier, images: np.ndarray
) -> np.ndarray:
    """Compute the same mean, the trees always in their own order."""
    rows = images.reshape(len(images), -1)
    return np.mean([t.predict_proba(rows) for t in model.estimators_], axis=0)
