"""The first questions to twelve files, and the same files as Parquet."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from parallel_ai.many_machines.frames.counting import Reads
from parallel_ai.toolbox import cluster, datasets
from parallel_ai.toolbox.roofs import read_bandwidth
from parallel_ai.toolbox.stopwatch import Timing, compare

# Every column, so that no file has to be asked what is in it. Numbers that
# may be missing are floats; text is what pandas 3 makes of text anyway.
DTYPES = {
    **dict.fromkeys(["year", "month", "day", "flight", "distance"], "int64"),
    **dict.fromkeys(
        ["dep_time", "dep_delay", "arr_time", "arr_delay"], "float64"
    ),
    **dict.fromkeys(["air_time", "hour", "minute"], "float64"),
    **dict.fromkeys(["carrier", "tailnum", "origin", "dest"], "str"),
}


def mean_serial(paths: Sequence[str], column: str = "dep_delay") -> float:
    """Read all files with pandas, one after the other; then the mean."""
    frames = [pd.read_csv(path) for path in paths]
    return float(pd.concat(frames)[column].mean())


def csv_frame(paths: Sequence[str], reads: Reads | None = None) -> Any:
    """Open CSV files as one frame, a partition a file; reads no row yet.

    Parameters
    ----------
    reads : Reads, optional
        Counts what will be read.

    Returns
    -------
    dask.dataframe.DataFrame
    """
    options = {"dtype": DTYPES, "blocksize": None}
    if reads is None:
        return dd.read_csv(list(paths), **options)
    counted = [f"counted://{path}" for path in paths]
    return dd.read_csv(counted, storage_options={"log": reads.log}, **options)


def parquet_frame(
    folder: str | Path,
    reads: Reads | None = None,
    filesystem: str = "arrow",
    **options: Any,
) -> Any:
    """Open a folder of Parquet files as one frame, in the order of names.

    Given a folder, Dask's "arrow" reader takes its files in whatever order
    the system lists them; so it is given the files.

    Parameters
    ----------
    filesystem : str
        Dask has two readers: "arrow", or "fsspec", which is its default.
    **options
        For `dask.dataframe.read_parquet`.
    """
    if filesystem == "arrow":
        files = reads.arrow_files if reads else LocalFileSystem()
    else:
        files = reads.files if reads else filesystem
    names = sorted(map(str, Path(folder).rglob("*.parquet")))
    return dd.read_parquet(names, filesystem=files, **options)


def unpacked(paths: Sequence[str], folder: str | Path) -> list[str]:
    """Write each file again without gzip, as plain CSV."""
    found = []
    for path in paths:
        plain = Path(folder, Path(path).name.removesuffix(".gz"))
        with gzip.open(path) as source, open(plain, "wb") as target:
            shutil.copyfileobj(source, target)
        found.append(str(plain))
    return found


def _in_order(number: int) -> str:
    """Name a file such that names sort as numbers do: Dask's do not."""
    return f"part-{number:05}.parquet"


def as_parquet(frame: Any, folder: str | Path, **options: Any) -> str:
    """Write a frame as Parquet, a file a partition, each by its worker."""
    frame.to_parquet(
        str(folder), write_index=False, name_function=_in_order, **options
    )
    return str(folder)


def size_of(place: str | Path | Sequence[str]) -> int:
    """Bytes of files, or of all the files below a folder."""
    if isinstance(place, (str, Path)):
        files = [path for path in Path(place).rglob("*") if path.is_file()]
    else:
        files = [Path(path) for path in place]
    return sum(path.stat().st_size for path in files)


def column_sizes(file: str | Path) -> dict[str, int]:
    """Bytes that each column takes in a Parquet file, the largest first."""
    footer = pq.read_metadata(file)
    sizes: dict[str, int] = {}
    for group in range(footer.num_row_groups):
        for number in range(footer.num_columns):
            part = footer.row_group(group).column(number)
            name = part.path_in_schema
            sizes[name] = sizes.get(name, 0) + part.total_compressed_size
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def row_groups(file: str | Path, column: str) -> list[tuple[int, Any, Any]]:
    """Rows, least and greatest value of each row group, from the footer."""
    footer = pq.read_metadata(file)
    number = footer.schema.to_arrow_schema().get_field_index(column)
    found = []
    for group in range(footer.num_row_groups):
        part = footer.row_group(group)
        known = part.column(number).statistics
        found.append((part.num_rows, known.min, known.max))
    return found


def sorted_file(
    frame: pd.DataFrame, by: str | list[str], file: str | Path, rows: int
) -> str:
    """Write one Parquet file in the order of some columns.

    Parameters
    ----------
    rows : int
        In a row group: the smallest part that a reader can leave out.
    """
    table = pa.Table.from_pandas(frame.sort_values(by), preserve_index=False)
    pq.write_table(table, str(file), row_group_size=rows)
    return str(file)


def csv_or_parquet(
    folder: str | Path, repeats: int = 5
) -> dict[str, Timing | float]:
    """Time the mean delay from CSV, packed and plain, and from Parquet.

    Needs a running cluster; writes the files it needs into `folder`.

    Returns
    -------
    dict
        Timings; at last what memory allows: the seconds in which this
        machine can read the column once it is there, as 8-byte numbers.
    """
    packed = [str(path) for path in datasets.paths("flights").values()]
    plain = unpacked(packed, folder)
    parquet = as_parquet(csv_frame(packed), Path(folder, "parquet"))
    frames: dict[str, Callable[[], Any]] = {
        "CSV, gzip": partial(csv_frame, packed),
        "CSV": partial(csv_frame, plain),
        "Parquet": partial(parquet_frame, parquet),
    }

    def ask(frame: Callable[[], Any]) -> float:
        return float(frame()["dep_delay"].mean().compute())

    ways = {name: partial(ask, frame) for name, frame in frames.items()}
    rows = sum(pq.read_metadata(f).num_rows for f in Path(parquet).iterdir())
    limit = {"limit: 8 B a row / bandwidth": rows * 8 / read_bandwidth()}
    return {**compare(ways, repeats, warmup=0), **limit}


def compare_formats(repeats: int = 5) -> dict[str, Timing | float]:
    """Time `csv_or_parquet` on a cluster of its own."""
    with TemporaryDirectory(prefix="formats-") as folder, cluster.local():
        return csv_or_parquet(folder, repeats)
