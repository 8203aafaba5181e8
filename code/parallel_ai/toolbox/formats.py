"""How the files of a dataset are read: one function for each format."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from parallel_ai.toolbox.downloads import DatasetError

Row = dict[str, Any]  # of datasets.toml
DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)


def members(folder: Path, file: Row) -> list[Path]:
    """Name the files of one row of a dataset's files: one, or its images."""
    path = folder / file["name"]
    if "images" not in file:
        return [path]
    return [path / f"image_{number:04}.jpg" for number in file["images"]]


@contextlib.contextmanager
def packages() -> Iterator[None]:
    """Say how to get a package that only some datasets need.

    Raises
    ------
    DatasetError
        It was not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"{error}: python -m pip install 'parallel-ai[data]'"
        ) from error


def read_idx(path: Path) -> np.ndarray:
    """Read an array of bytes in MNIST's format: magic, shape, data, gzipped.

    Raises
    ------
    DatasetError
        The magic is not that of bytes, the shape not that of the data, or
        the file is not whole.
    """
    try:
        with gzip.open(path) as stream:
            magic, rest = stream.read(4), bytearray(stream.read())
    except DAMAGE as error:
        raise DatasetError(
            f"{path} is truncated or damaged: {error}"
        ) from error
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or len(rest) < 4 * magic[-1]:
        raise DatasetError(f"{path} is no IDX file of bytes: {magic!r}.")
    shape = struct.unpack_from(f">{magic[3]}I", rest)
    data = np.frombuffer(rest, np.uint8, offset=4 * len(shape))
    if data.size != math.prod(shape):
        raise DatasetError(f"{path} has {data.size} bytes for shape {shape}.")
    return data.reshape(shape)


def _read_idx(row: Row, folder: Path, files: list[Row]) -> dict[str, Any]:
    return {file["key"]: read_idx(folder / file["name"]) for file in files}


def _read_npz(row: Row, folder: Path, files: list[Row]) -> dict[str, Any]:
    (file,) = files
    with np.load(folder / file["name"], allow_pickle=False) as arrays:
        data = {
            key: array.ravel() if key.endswith("labels") else array
            for key, array in arrays.items()
        }
    return {**data, "labels": row["labels"], "source": file["source"]}


def _read_parquet(row: Row, folder: Path, files: list[Row]) -> dict[int, Any]:
    import pandas as pd

    return {
        file["year"]: pd.read_parquet(folder / file["name"])
        for file in files
        if "year" in file
    }


def _read_jpeg(row: Row, folder: Path, files: list[Row]) -> dict[str, Any]:
    (index,) = (folder / f["name"] for f in files if "images" not in f)
    names = json.loads(index.read_text(encoding="utf-8"))
    classes = {Path(f["name"]).name: f for f in files if "images" in f}
    return {
        "images": [
            (path, name)
            for name, file in classes.items()
            for path in members(folder, file)
        ],
        "labels": {name: tuple(f["imagenet"]) for name, f in classes.items()},
        "class_index": [tuple(names[str(i)]) for i in range(len(names))],
    }


def _read_csv(row: Row, folder: Path, files: list[Row]) -> Any:
    import pandas as pd

    months = [pd.read_csv(folder / file["name"]) for file in files]
    return pd.concat(months, ignore_index=True)


READERS = {
    "idx": _read_idx,
    "npz": _read_npz,
    "parquet": _read_parquet,
    "jpeg": _read_jpeg,
    "csv": _read_csv,
}
