"""A table scored in parallel: each partition whole, or not at all."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from parallel_ai.production.native import (
    CompilationError,
    MissingToolError,
    NativeBooster,
    NativeLinear,
    Weights,
    numpy_linear,
)
from parallel_ai.production.serving import Model, load_model, whole_trees
from parallel_ai.production.serving.packed import PIXELS, Predict
from parallel_ai.toolbox.files import whole

LAYOUTS = ("columns", "bytes")


def as_table(ids: np.ndarray, pixels: np.ndarray, layout: str) -> pa.Table:
    """Put pictures into a table.

    Parameters
    ----------
    ids : array of int64, (n,)
    pixels : array of uint8, (n, 784)
    layout : "columns" or "bytes"
        A column for each pixel, as a data frame has it; or one column whose
        values are whole pictures of 784 bytes.
    """
    if layout == "columns":
        named = {f"p{i}": pa.array(pixels[:, i]) for i in range(PIXELS)}
        return pa.table({"id": ids, **named})
    data = pa.py_buffer(np.ascontiguousarray(pixels))
    whole = pa.Array.from_buffers(pa.binary(PIXELS), len(ids), [None, data])
    return pa.table({"id": ids, "pixels": whole})


def write_table(
    folder: Path,
    pixels: np.ndarray,
    rows: int,
    size: int,
    layout: str = "bytes",
) -> list[Path]:
    """Write pictures, again and again, until there are enough rows.

    Parameters
    ----------
    size : int
        Rows of a partition; the last one may have fewer.

    Returns
    -------
    list of Path
        The partitions, in order. The ids count from 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, first in enumerate(range(0, rows, size)):
        ids = np.arange(first, min(first + size, rows))
        path = folder / f"part-{number:05}.parquet"
        table = as_table(ids, pixels[ids % len(pixels)], layout)
        pq.write_table(table, path, use_dictionary=layout == "columns")
        parts.append(path)
    return parts


def matrix_of(table: pa.Table) -> np.ndarray:
    """Turn a partition into rows of pixels; copies only if it must."""
    if "pixels" not in table.column_names:
        columns = [table[f"p{i}"].to_numpy() for i in range(PIXELS)]
        return np.stack(columns, axis=1)
    whole = table["pixels"].combine_chunks()
    data = np.frombuffer(whole.buffers()[1] or b"", np.uint8)
    first = PIXELS * whole.offset
    return data[first : first + PIXELS * len(whole)].reshape(-1, PIXELS)


@dataclass(frozen=True)
class Scorer:
    """A model that travels as the path of its file, and is checked there.

    Attributes
    ----------
    path : Path
        As of *Serving*; every worker must see it.
    version : str
        Of the file when the job began.
    way : str
        ``native``, or ``library`` for scikit-learn's or LightGBM's own.
    """

    path: Path
    version: str
    way: str = "native"

    @classmethod
    def of(cls, path: Path, way: str = "native") -> "Scorer":
        """Read the version of a model's file."""
        return cls(path, load_model("model", path).version, way)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Compute probabilities, (n, 10)."""
        return opened(self)[0](pixels)


@cache
def opened(scorer: Scorer) -> tuple[Predict, str]:
    """Load a scorer's model, once in each process.

    Returns
    -------
    tuple
        The function, and what it runs on.

    Raises
    ------
    ValueError
        The file is not what it was when the job began: two halves of a
        table would be scored by two models.
    """
    model = load_model("model", scorer.path)
    if model.version != scorer.version:
        raise ValueError(
            f"{scorer.path} is version {model.version}, "
            f"the job began with {scorer.version}"
        )
    if scorer.way == "library":
        return library_way(model, scorer.path)
    return native_way(model, scorer.path)


def native_way(model: Model, path: Path) -> tuple[Predict, str]:
    """Choose the best of *Native and parallel* for a file; one thread."""
    if path.suffix == ".txt":
        booster = NativeBooster(whole_trees(path.read_text("utf8")))
        return lambda pixels: booster(pixels.astype("f4")), "LightGBM's C"
    if path.suffix != ".npz":
        return model.predict, "PyTorch"
    weights = weights_from(path)
    try:
        linear = NativeLinear(weights)
    except (MissingToolError, CompilationError):
        plain = partial(numpy_linear, weights)
        return lambda x: plain(x.astype("f4")), "NumPy: no compiler here"
    return lambda pixels: linear(pixels.astype("f4")), "C"


def weights_from(path: Path) -> Weights:
    """Read a logistic regression, which takes pixels from 0 to 255."""
    with np.load(path, allow_pickle=False) as file:
        return Weights(file["weights"], file["bias"])


def library_way(model: Model, path: Path) -> tuple[Predict, str]:
    """Take what most would take: scikit-learn for a logistic regression."""
    if path.suffix != ".npz":
        return model.predict, "the library"
    from sklearn.linear_model import LogisticRegression

    weights = weights_from(path)
    linear = LogisticRegression()
    linear.coef_ = weights.matrix.T.astype(float)
    linear.intercept_ = weights.bias.astype(float)
    linear.classes_ = np.arange(len(weights.bias))
    return linear.predict_proba, "scikit-learn"


def score_part(scorer: Scorer, part: Path, folder: Path) -> str:
    """Score one partition and write its output; returns the output's name.

    Doing it twice does no harm: the same name, the same content.
    """
    table = pq.read_table(part, use_threads=False)
    found = scorer(matrix_of(table))
    scored = pa.table(
        {
            "id": table["id"],
            "label": found.argmax(axis=1).astype("i1"),
            "score": found.max(axis=1).astype("f4"),
        }
    )
    said = {"model": scorer.version, "input": fingerprint(part)}
    save_table(scored.replace_schema_metadata(said), folder / part.name)
    return part.name


def fingerprint(part: Path) -> str:
    """Tell a partition from what else may once lie under its name."""
    status = part.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def save_table(table: pa.Table, path: Path) -> None:
    """Write a file that is there as a whole or not at all, once and again.

    It is written under a name that nobody reads, brought to the disk, and
    renamed. That name is random: if a scheduler lets two workers do the same
    task, they do not meet.
    """
    with whole(path) as draft:
        pq.write_table(table, draft)


def complete(part: Path, folder: Path, version: str) -> bool:
    """Say whether a partition's output is there, whole, and by this model.

    A Parquet file ends with its description: half of one cannot be opened.
    """
    try:
        said = pq.read_schema(folder / part.name).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    wanted = {b"model": version, b"input": fingerprint(part)}
    return all(said.get(k) == v.encode() for k, v in wanted.items())


def todo(parts: Sequence[Path], folder: Path, version: str) -> list[Path]:
    """List the partitions that have no complete output; removes halves."""
    folder.mkdir(parents=True, exist_ok=True)
    for half in folder.glob(".part-*"):  # of a job that was killed
        half.unlink(missing_ok=True)
    return [part for part in parts if not complete(part, folder, version)]


def score_serial(
    parts: Sequence[Path], folder: Path, scorer: Scorer
) -> Iterator[str]:
    """Score what is missing, one partition after the other."""
    for part in todo(parts, folder, scorer.version):
        yield score_part(scorer, part, folder)


def score_threads(
    parts: Sequence[Path], folder: Path, scorer: Scorer, threads: int
) -> Iterator[str]:
    """Let threads of one process do it: decoding and C let go of the GIL."""
    missing = todo(parts, folder, scorer.version)
    job = partial(score_part, scorer, folder=folder)
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(job, missing)


def score_on_dask(
    parts: Sequence[Path], folder: Path, scorer: Scorer, client: Any
) -> Iterator[str]:
    """Let the workers of a cluster do it; a task that dies is done again.

    What travels is names: of a model's file, of partitions, of outputs.
    """
    from distributed import as_completed

    missing = todo(parts, folder, scorer.version)
    tasks = [
        client.submit(score_part, scorer, part, folder, pure=False, retries=2)
        for part in missing
    ]
    for task in as_completed(tasks):
        yield task.result()


@dataclass(frozen=True)
class Audit:
    """What became of the ids of a table.

    Attributes
    ----------
    rows, missing, double : int
        Rows of all outputs; ids without one; rows beyond the first of an id.
    """

    rows: int
    missing: int
    double: int


def audit(parts: Sequence[Path], outputs: Sequence[Path]) -> Audit:
    """Count how often each row of a table has been scored."""

    def ids(paths: Sequence[Path]) -> np.ndarray:
        read = [pq.read_table(p, columns=["id"])["id"] for p in paths]
        return np.concatenate([np.empty(0, int), *map(np.asarray, read)])

    wanted, got = ids(parts), ids(outputs)
    different = np.unique(got)
    missing = len(np.setdiff1d(wanted, different))
    return Audit(len(got), missing, len(got) - len(different))
