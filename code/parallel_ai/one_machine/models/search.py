"""A grid search, and the threads inside the processes inside it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold

from parallel_ai.one_machine.models.counting import pools, threads_at_work

Fold = tuple[np.ndarray, np.ndarray]


class Fit(NamedTuple):
    """One fit of a search."""

    score: float  # share of the held-out rows that it labels rightly
    process: int  # where it ran
    threads: int  # that it used there; 0 if nobody counted


def candidates(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """List every combination of the values, the last name fastest.

    >>> candidates({"a": [1, 2], "b": [3]})
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    return [
        dict(zip(grid, values, strict=True))
        for values in product(*grid.values())
    ]


def folds(y: np.ndarray, count: int = 3) -> list[Fold]:
    """Divide the rows `count` times into training and held-out ones."""
    return list(StratifiedKFold(count).split(np.zeros((len(y), 1)), y))


def evaluate(
    model: Any,
    params: Mapping[str, Any],
    X: np.ndarray,
    y: np.ndarray,
    fold: Fold,
    count: bool = False,
) -> Fit:
    """Fit a copy of a model on one part and score it on the other.

    Parameters
    ----------
    count : bool
        Whether to count the threads that computed.
    """
    train, test = fold

    def fit() -> Any:
        return clone(model).set_params(**params).fit(X[train], y[train])

    fitted, threads = threads_at_work(fit) if count else (fit(), 0)
    score = float(np.mean(fitted.predict(X[test]) == y[test]))
    return Fit(score, os.getpid(), threads)


def _tasks(
    grid: Mapping[str, Sequence[Any]], y: np.ndarray, cuts: int
) -> Iterator[tuple[dict[str, Any], Fold]]:
    parts = folds(y, cuts)
    return ((params, fold) for params in candidates(grid) for fold in parts)


def search_serial(
    model: Any,
    grid: Mapping[str, Sequence[Any]],
    X: np.ndarray,
    y: np.ndarray,
    cuts: int = 3,
    count: bool = False,
) -> list[Fit]:
    """Evaluate every candidate on every fold, one after the other.

    Returns
    -------
    list of Fit
        For each candidate, in order, one for each of its `cuts` folds.
    """
    return [
        evaluate(model, params, X, y, fold, count)
        for params, fold in _tasks(grid, y, cuts)
    ]


def search_joblib(
    model: Any,
    grid: Mapping[str, Sequence[Any]],
    X: np.ndarray,
    y: np.ndarray,
    cuts: int = 3,
    count: bool = False,
    workers: int = 2,
) -> list[Fit]:
    """Evaluate the same fits by processes, or what joblib is told to use."""
    return joblib.Parallel(n_jobs=workers)(
        joblib.delayed(evaluate)(model, params, X, y, fold, count)
        for params, fold in _tasks(grid, y, cuts)
    )


def means(fits: Sequence[Fit], cuts: int = 3) -> np.ndarray:
    """Average the scores of each candidate over its folds."""
    return np.array([fit.score for fit in fits]).reshape(-1, cuts).mean(axis=1)


def pools_of_workers(workers: int) -> list[dict[str, int]]:
    """Ask workers of joblib how many threads their libraries would use."""
    return joblib.Parallel(n_jobs=workers)(
        joblib.delayed(pools)() for _ in range(workers)
    )
