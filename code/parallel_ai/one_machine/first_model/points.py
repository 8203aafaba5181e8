"""A small file of points, and a line fitted to them by hand."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from parallel_ai.toolbox.files import whole

SLOPE, INTERCEPT, NOISE = 0.3, 1.0, 0.5


class Line(NamedTuple):
    """A fitted line ``y = slope * x + intercept``."""

    slope: float
    intercept: float


class Split(NamedTuple):
    """Rows to fit with and rows to test with; none is in both."""

    train: pd.DataFrame
    test: pd.DataFrame


def make_points(count: int = 100, seed: int = 0) -> pd.DataFrame:
    """Draw points around a line that we know.

    Returns
    -------
    DataFrame of shape (count, 2)
        ``x`` uniform in [0, 10), ``y = 0.3 x + 1`` plus normal noise with
        standard deviation 0.5.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 10, count)
    y = SLOPE * x + INTERCEPT + rng.normal(0, NOISE, count)
    return pd.DataFrame({"x": x, "y": y})


def load_points(path: Path) -> pd.DataFrame:
    """Read the points from a CSV file, which is made if it is missing.

    The file appears whole or not at all, so that an interrupted program
    leaves nothing that the next one would take for the data.

    Raises
    ------
    ValueError
        The file holds something else; the message says what to do.
    """
    if not path.exists():
        with whole(path) as draft:
            make_points().to_csv(draft, index=False)
    table = pd.read_csv(path)
    numbers = table.select_dtypes("number").columns
    if list(table.columns) != ["x", "y"] or list(numbers) != ["x", "y"]:
        raise ValueError(
            f"{path}: expected two columns of numbers, x and y, found "
            f"{list(table.columns)}: delete the file, it will be made again"
        )
    return table


def split(table: pd.DataFrame, share: float = 0.2, seed: int = 0) -> Split:
    """Put a share of the rows aside, chosen at random.

    Raises
    ------
    ValueError
        One of the two parts would be empty.
    """
    order = np.random.default_rng(seed).permutation(len(table))
    held = round(share * len(table))
    if not 0 < held < len(table):
        raise ValueError(
            f"{share:g} of {len(table)} rows leaves nothing to "
            f"{'fit' if held else 'test'} with"
        )
    return Split(table.iloc[order[held:]], table.iloc[order[:held]])


def fit_line(table: pd.DataFrame) -> Line:
    """Fit a line by least squares: slope = covariance / variance of x.

    Raises
    ------
    ValueError
        There are not two different values of x.
    """
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    if len(np.unique(x)) < 2:
        raise ValueError("a line needs two different values of x")
    dx = x - x.mean()
    slope = dx @ (y - y.mean()) / (dx @ dx)
    return Line(float(slope), float(y.mean() - slope * x.mean()))


def predict(line: Line, x: np.ndarray) -> np.ndarray:
    """Return the line's value at each x, shape of `x`."""
    return line.slope * x + line.intercept


def r_squared(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the variance that a prediction explains.

    1 is perfect, 0 as good as always predicting the mean of `truth`, less
    than 0 is worse than that.

    Raises
    ------
    ValueError
        All true values are equal: there is no variance to explain.
    """
    total = np.sum((truth - truth.mean()) ** 2)
    if total == 0:
        raise ValueError("all true values are equal: R² says nothing")
    return float(1 - np.sum((truth - predicted) ** 2) / total)


def best_r_squared(y: np.ndarray) -> float:
    """R² of the true line itself: nobody can predict the noise."""
    return float(1 - NOISE**2 / y.var())
