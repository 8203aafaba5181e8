"""Real rows: how late a flight will arrive, from what its departure tells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import parallel_config
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.stopwatch import Timing, measure

NUMBERS = ["dep_delay", "distance", "hour"]
WORDS = ["carrier", "origin", "month"]
TARGET = "arr_delay"


def load_flights() -> pd.DataFrame:
    """Return the flights that arrived, with what is known at departure."""
    table = datasets.load("flights")
    return table[[*NUMBERS, *WORDS, TARGET]].dropna().reset_index(drop=True)


def load_times() -> np.ndarray:
    """Return when flights left and how late they arrived.

    Returns
    -------
    array of shape (flights, 3)
        Ones; seconds since 1970 of the departure; minutes late.
    """
    table = datasets.load("flights").dropna(subset=["dep_time", TARGET])
    parts = table[["year", "month", "day", "hour", "minute"]].astype(int)
    left = pd.to_datetime(parts).to_numpy("datetime64[s]").astype(float)
    return np.column_stack([np.ones(len(left)), left, table[TARGET]])


def baseline() -> Pipeline:
    """Return a model that always predicts the mean of what it saw."""
    return make_pipeline(DummyRegressor())


def pipeline() -> Pipeline:
    """Scale numbers, turn words into columns, fit a linear regression.

    Whatever learns from data stands inside, so that cross-validation fits
    all of it anew on the training rows of each fold.
    """
    columns = make_column_transformer(
        (StandardScaler(), NUMBERS),
        (OneHotEncoder(handle_unknown="ignore"), WORDS),
    )
    return make_pipeline(columns, LinearRegression())


def score_folds(
    model: Any, x: Any, y: Any, folds: int = 5, workers: int = 1, seed: int = 0
) -> np.ndarray:
    """Cross-validate, some folds at the same time, with one thread each.

    One worker would otherwise use all threads of BLAS and several share
    them: two mechanisms compared as if they were one. Such small products
    lose by threads besides.

    Parameters
    ----------
    model : estimator
        Fitted anew for each fold.
    folds : int
        Parts, of which each is the test set once; at least 2.
    workers : int
        Processes among which joblib divides the folds.

    Returns
    -------
    array of shape (folds,)
        R² of each test part, in the order of the folds.

    Raises
    ------
    ValueError
        There are fewer rows than folds, or a fit failed.
    """
    cut = KFold(folds, shuffle=True, random_state=seed)
    with (
        threadpool_limits(1),
        parallel_config("loky", inner_max_num_threads=1),
    ):
        done = cross_validate(
            model, x, y, cv=cut, n_jobs=workers, error_score="raise"
        )
    return done["test_score"]


def compare_folds(
    tables: Sequence[pd.DataFrame], steps: Sequence[int], folds: int = 8
) -> list[dict[int, Timing]]:
    """Time a cross-validation with several numbers of workers.

    Returns
    -------
    list of dict
        For each table the timings by number of workers.
    """
    found: list[dict[int, Timing]] = [{} for _ in tables]
    # One number after the other: the workers stay while it is the same, and
    # the warm-up starts those that are missing.
    for k in steps:
        for table, times in zip(tables, found, strict=True):
            x, y = table[NUMBERS + WORDS], table[TARGET]
            times[k] = measure(
                score_folds, pipeline(), x, y, folds, k, repeats=2
            )
    return found


def choose_then_split(noise: np.ndarray, y: np.ndarray) -> float:
    """Choose the ten best columns from *all* rows, then cross-validate.

    The trap: the choice has seen the rows that will test it.
    """
    chosen = SelectKBest(f_regression, k=10).fit_transform(noise, y)
    return float(score_folds(LinearRegression(), chosen, y).mean())


def choose_inside(noise: np.ndarray, y: np.ndarray) -> float:
    """Choose them anew in each fold, from its training rows only."""
    model = make_pipeline(SelectKBest(f_regression, k=10), LinearRegression())
    return float(score_folds(model, noise, y).mean())
