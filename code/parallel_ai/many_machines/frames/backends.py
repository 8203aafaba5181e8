"""Frames on a GPU: the same code, with one setting."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd


def gpu_frames() -> bool:
    """Whether RAPIDS' frames for Dask are installed here."""
    return importlib.util.find_spec("dask_cudf") is not None


def delay_by_carrier(
    folder: str | Path, backend: str = "pandas"
) -> dict[str, float]:
    """Mean departure delay of each airline, with frames of either kind.

    Parameters
    ----------
    folder : str or Path
        Parquet files.
    backend : str
        "pandas", or "cudf": partitions are read into a GPU's memory, and
        stay there until the result is asked for.

    Raises
    ------
    ValueError
        If there is no such backend.
    ModuleNotFoundError
        If it is not installed.
    """
    if backend not in ("pandas", "cudf"):
        raise ValueError(f"backend={backend!r}: it is pandas or cudf")
    if backend == "cudf" and not gpu_frames():
        raise ModuleNotFoundError(
            "the cudf backend needs an NVIDIA GPU and the package dask-cudf"
        )
    with dask.config.set({"dataframe.backend": backend}):
        flights = dd.read_parquet(str(folder))
        means: Any = flights.groupby("carrier")["dep_delay"].mean().compute()
    if backend == "cudf":
        means = means.to_pandas()
    return {str(name): float(mean) for name, mean in means.items()}
