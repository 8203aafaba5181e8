"""What is asked, and why it can be asked piece by piece.

Counts and sums of pieces add up to those of the whole. So each piece becomes
a small table of counts and sums, the tables are added, and every rate is one
sum divided by another, at the very end.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

# All that the questions need, of 116 columns.
ASKED = ["MONTH", "CHAPTER", "AGE", "VAL_TOT", "DIAS_PERM", "MORTE"]
KEYS = ["MONTH", "CHAPTER", "BAND"]
SUMS = {
    "admissions": ("MORTE", "size"),
    "cost": ("VAL_TOT", "sum"),  # in reais
    "days": ("DIAS_PERM", "sum"),
    "deaths": ("MORTE", "sum"),
}


def sums(frame: Any, **how: Any) -> Any:
    """Count and add up, for each month, cause and decade of age.

    The same code for a frame of pandas and one of Dask, which computes
    nothing yet.

    Parameters
    ----------
    frame : DataFrame
        With `ASKED`, among others.

    Returns
    -------
    DataFrame
        `SUMS`, indexed by `KEYS`; an unknown age is in the band -1.
    """
    banded = frame[ASKED].assign(BAND=(frame["AGE"] // 10).fillna(-1))
    return banded.groupby(KEYS).agg(**SUMS, **how)


def add(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add the tables of several pieces, which may share keys."""
    return pd.concat(list(parts)).groupby(level=KEYS).sum()


def rates(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Answer the questions for one of the `KEYS`.

    Returns
    -------
    DataFrame
        admissions; cost, days and deaths for each admission.
    """
    total = table.groupby(level=by).sum()
    each = total[["cost", "days", "deaths"]].div(total["admissions"], axis=0)
    return each.assign(admissions=total["admissions"])


def stays(frame: Any) -> Any:
    """Count the admissions of each length of stay: counts add up, too."""
    return frame["DIAS_PERM"].value_counts()


def median_stay(counts: pd.Series) -> float:
    """Exact median of a value of which only the counts are known."""
    ordered = counts.sort_index()
    reached = np.cumsum(ordered.to_numpy())
    middle = np.array([reached[-1] + 1, reached[-1] + 2]) // 2
    places = np.searchsorted(reached, middle)
    return float(ordered.index.to_numpy()[places].mean())
