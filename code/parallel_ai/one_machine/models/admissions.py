"""Hospital admissions: fields of text, year by year, into features."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from parallel_ai.toolbox import datasets

# What is known when a patient comes, and how long each then stayed.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BEDS = ("01", "02", "03", "05", "07")
FIELDS = (
    "COD_IDADE",
    "IDADE",
    "SEXO",
    "CAR_INT",
    "DT_INTER",
    "ESPEC",
    "DIAG_PRINC",
    "DIAS_PERM",
)
# Age has a unit: days, months, years, and years beyond a hundred.
YEARS = {"2": 1 / 365.25, "3": 1 / 12, "4": 1.0, "5": 1.0}
LONG = 7  # days


def files() -> list[Path]:
    """List the verified files of the admissions, one for each year."""
    return [
        path
        for name, path in datasets.paths("admissions").items()
        if Path(name).name.startswith("RDAC") and path.suffix == ".parquet"
    ]


MADE_UP = (
    "These admissions are **made up**: every field is drawn at random, in the "
    "form of the real files, which cannot be downloaded (see *Data*). What is "
    "measured here is only how long the work takes; what the model learns "
    "means nothing."
)


def made_up(folder: Path, rows: int = 4000, seed: int = 0) -> list[Path]:
    """Write files in the form of the real ones, where those cannot be had.

    As in those, some kinds of diagnoses do not occur in every year.

    Returns
    -------
    list of Path
        Fifteen Parquet files of `rows` rows, every field text.
    """
    rng = np.random.default_rng(seed)
    paths = []
    for number in [*range(2008, 2022), 2024]:
        kinds = LETTERS[: 19 + number % 3]
        values: dict[str, Sequence[str]] = {
            "COD_IDADE": ("2", "3", "4", "4", "4", "5"),
            "IDADE": [f"{age:02}" for age in range(100)],
            "SEXO": ("1", "3"),
            "CAR_INT": ("01", "02"),
            "DT_INTER": [f"{number}01{day:02}" for day in range(1, 32)],
            "ESPEC": BEDS,
            "DIAG_PRINC": [f"{letter}000" for letter in kinds],
            "DIAS_PERM": [f"{days:5}" for days in range(15)],
        }
        drawn = {name: rng.choice(v, rows) for name, v in values.items()}
        paths.append(folder / f"RDAC{number % 100:02}01.parquet")
        pd.DataFrame(drawn, dtype=str).to_parquet(paths[-1])
    return paths


def year(path: Path) -> int:
    """Read the year out of a name such as ``RDAC0801.parquet``."""
    return 2000 + int(path.stem[4:6])


def features(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn one year's fields of text into numbers, row by row.

    Nothing here depends on other rows: neither a mean nor a list of
    categories is learnt from the data. So it does not matter how the rows
    are divided among workers.

    Parameters
    ----------
    frame : DataFrame
        With at least `FIELDS`, all of them text.

    Returns
    -------
    DataFrame of float32
        What is known on arrival; missing is NaN. The last column, ``long``,
        is what shall be predicted: a stay of more than a week.
    """
    text = {name: frame[name].str.strip() for name in FIELDS}
    unit = text["COD_IDADE"]
    age = _numbers(text["IDADE"]) * unit.map(YEARS).to_numpy(float)
    day = pd.to_datetime(text["DT_INTER"], format="%Y%m%d", errors="coerce")
    stayed = _numbers(text["DIAS_PERM"])
    columns: dict[str, Any] = {
        "age": age + 100 * (unit == "5").to_numpy(float),
        "female": text["SEXO"] == "3",  # men are 1
        "urgent": text["CAR_INT"] == "02",
        "weekday": _numbers(day.dt.strftime("%w")),
        "month": day.dt.month,
    }
    for bed in BEDS:
        columns[f"bed {bed}"] = text["ESPEC"] == bed
    letter = text["DIAG_PRINC"].str[:1]
    for one in LETTERS:
        columns[f"diagnosis {one}"] = letter == one
    columns["long"] = np.where(np.isnan(stayed), np.nan, stayed > LONG)
    return pd.DataFrame(
        {name: np.asarray(c, np.float32) for name, c in columns.items()}
    )


def _numbers(text: pd.Series) -> np.ndarray:
    """Read numbers from text; NaN where there is none."""
    return np.asarray(pd.to_numeric(text, errors="coerce"), float)


def read_features(path: Path) -> pd.DataFrame:
    """Read one year's file, only the fields that are needed, and convert.

    Arrow would start threads of its own for this; we count ours.
    """
    table = parquet.read_table(path, columns=list(FIELDS), use_threads=False)
    return features(table.to_pandas(use_threads=False))


def prepare_serial(paths: Sequence[Path]) -> list[pd.DataFrame]:
    """Read and convert the files one after the other."""
    return [read_features(path) for path in paths]


def prepare_threads(
    paths: Sequence[Path], workers: int = 2
) -> list[pd.DataFrame]:
    """Read and convert the files with threads."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(read_features, paths))


def prepare_processes(
    paths: Sequence[Path], workers: int = 2
) -> list[pd.DataFrame]:
    """Read and convert the files with processes.

    A path travels to the worker, numbers travel back; the text never does.
    """
    return joblib.Parallel(n_jobs=workers)(
        joblib.delayed(read_features)(path) for path in paths
    )


def divide(
    years: Mapping[int, pd.DataFrame], last: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Divide by time: learn from the years up to `last`, test on later ones.

    Returns
    -------
    X_train, y_train, X_test, y_test
        Rows whose length of stay is missing are left out.
    """

    def both(chosen: list[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
        rows = pd.concat(chosen).dropna(subset="long")
        return (
            rows.drop(columns="long").to_numpy(),
            rows["long"].to_numpy().astype(int),
        )

    before = [frame for year, frame in years.items() if year <= last]
    after = [frame for year, frame in years.items() if year > last]
    return *both(before), *both(after)


def codes(paths: Sequence[Path], field: str = "DIAG_PRINC") -> list[set[str]]:
    """Collect the different values of a field, for each file."""
    return [
        set(
            parquet.read_table(path, columns=[field], use_threads=False)[field]
            .unique()
            .to_pylist()
        )
        for path in paths
    ]


def arrow_threads() -> int:
    """Tell how many threads Arrow would use to read a file."""
    return pyarrow.cpu_count()
