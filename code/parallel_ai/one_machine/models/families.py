"""One small model of each family, and the pictures that all of them learn."""

from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import QuantileTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from parallel_ai.toolbox.datasets import load


def garments(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Load the first pictures of Fashion-MNIST, at half the resolution.

    Returns
    -------
    X : array of shape (count, 196), float32
        Every second pixel of every second row, from 0 to 1.
    y : array of shape (count,), uint8
        The kind of garment, 0 to 9.
    """
    data = load("fashion-mnist")
    small = data["train_images"][:count, ::2, ::2].astype(np.float32)
    return small.reshape(count, -1) / 255, data["train_labels"][:count]


def estimators() -> dict[str, Any]:
    """Make one small model of each family, with a fixed seed.

    So small that each learns a few thousand pictures in a fraction of a
    second: this chapter asks how they use a machine, not how good they are.
    """
    quantiles = QuantileTransformer(n_quantiles=200, random_state=0)
    quarters = [
        (f"rows {i}", clone(quantiles), slice(49 * i, 49 * (i + 1)))
        for i in range(4)
    ]
    return {
        "logistic regression": LogisticRegression(tol=0.01, max_iter=500),
        "decision tree": DecisionTreeClassifier(
            max_features=0.1, random_state=0
        ),
        "random forest": RandomForestClassifier(16, random_state=0),
        "gradient boosting": GradientBoostingClassifier(
            n_estimators=1, max_features=14, random_state=0
        ),
        "histogram boosting": HistGradientBoostingClassifier(
            max_iter=1, max_leaf_nodes=8, early_stopping=False
        ),
        "LightGBM": LGBMClassifier(
            n_estimators=2, num_leaves=8, random_state=0, verbose=-1
        ),
        "k-means": KMeans(10, n_init=2, max_iter=40, tol=0, random_state=0),
        "principal components": PCA(50, svd_solver="covariance_eigh"),
        "scaling": StandardScaler(),
        "quantiles by columns": ColumnTransformer(quarters),
    }


def has_jobs(model: Any) -> bool:
    """Say whether a model takes `n_jobs`, which does not mean it heeds it."""
    return "n_jobs" in model.get_params(deep=False)


def with_jobs(model: Any, jobs: int | None) -> Any:
    """Copy a model, unfitted, with so many jobs if it knows the word."""
    copy = clone(model)
    return copy.set_params(n_jobs=jobs) if has_jobs(copy) else copy
