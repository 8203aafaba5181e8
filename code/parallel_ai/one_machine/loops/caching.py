"""Results kept on disk: what is a hit, what should not have been one."""

import ast
import hashlib
import inspect
import math
import os
import tempfile
import types
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib import Memory

from parallel_ai.toolbox import datasets
from parallel_ai.toolbox.stopwatch import Timing, compare

HUNDRED_MB = 5000  # images whose distances fill 100 MB


def distances(images: np.ndarray) -> np.ndarray:
    """Euclidean distance of every image to every other.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8

    Returns
    -------
    array of shape (n, n), float32
        From one matrix product; BLAS uses all CPUs.
    """
    pixels = math.prod(images.shape[1:])
    rows = images.reshape(len(images), pixels).astype(np.float32)
    squares = np.einsum("ij,ij->i", rows, rows)
    found = rows @ rows.T
    found *= -2
    found += squares
    found += squares[:, np.newaxis]
    np.maximum(found, 0, out=found)  # rounding may have left it below
    return np.sqrt(found, out=found)


def stored(folder: str | Path) -> tuple[int, int]:
    """How many results a Memory keeps below a folder, and their bytes."""
    sizes = [p.stat().st_size for p in Path(folder).rglob("output.pkl")]
    return len(sizes), sum(sizes)


def edited(folder: str | Path, source: str) -> types.ModuleType:
    """Save `source` as features.py, and import it as a new start would."""
    path = Path(folder, "features.py")
    path.write_text(source, encoding="utf-8")
    module = types.ModuleType("features")
    exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102
    return module


def fingerprint(*functions: Callable[..., Any]) -> str:
    """Digest of the source of functions; another one after any edit.

    Raises
    ------
    TypeError
        One of them has no source in Python.
    """
    digest = hashlib.sha256()
    for function in functions:
        name = f"{function.__module__}.{function.__qualname__}\n"
        digest.update(name.encode() + inspect.getsource(function).encode())
    return digest.hexdigest()[:16]


def keyed(
    function: Callable[..., Any], code: str, *args: Any, **kwargs: Any
) -> Any:
    """Call a function; `code` is there to be a part of the key."""
    return function(*args, **kwargs)


def cached(
    memory: Memory,
    function: Callable[..., Any],
    helpers: Sequence[Callable[..., Any]] = (),
) -> Callable[..., Any]:
    """Keep results by arguments, source, and the source of helpers.

    Other than ``memory.cache(function)`` it sees when a helper was edited,
    and keeps the results of older versions, which come back with the code.

    Parameters
    ----------
    helpers : sequence of callable
        What `function` calls and you may edit. Nobody finds them for you.
    """
    code = fingerprint(function, *helpers)
    return partial(memory.cache(keyed, ignore=["function"]), function, code)


def unchanged(metadata: dict[str, Any]) -> bool:
    """Whether the file named by a call's argument `path` is still the same.

    A ``cache_validation_callback``: joblib hands it the metadata of a
    stored call, and computes anew if it returns False.
    """
    path = ast.literal_eval(metadata["input_args"]["path"])
    began = metadata["time"] - metadata["duration"]
    return os.stat(path).st_mtime < began


class Trojan:
    """An object whose pickle calls `print` when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        """Say what to call instead of building an object."""
        return print, ("a stranger's code runs in your process",)


def replace_results(folder: str | Path, forged: Any) -> None:
    """Do what anyone can who may write to a Memory's folder."""
    for path in Path(folder).rglob("output.pkl"):
        joblib.dump(forged, path)


def hit_or_recompute(
    images: np.ndarray | None = None, repeats: int = 5
) -> dict[str, Timing | float]:
    """Compute an array of 100 MB, or get it from a Memory on disk.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8, optional
        By default as many of Fashion-MNIST as make 100 MB of distances.

    Returns
    -------
    dict
        Timings of computing and of hits: read into memory, only mapped, and
        mapped with every number used. Then the limit in seconds: the
        result's bytes at the bandwidth that memory can be read with.
    """
    # Here, so that the workers, who import this module, need no Numba.
    from parallel_ai.toolbox.roofs import read_bandwidth

    if images is None:
        images = datasets.load("fashion-mnist")["train_images"][:HUNDRED_MB]
    with tempfile.TemporaryDirectory() as folder:
        read = Memory(folder, verbose=0).cache(distances)
        mapped = Memory(folder, mmap_mode="r", verbose=0).cache(distances)
        size = read(images).nbytes  # the miss that fills the Memory
        ways: dict[str, Callable[[], Any]] = {
            # None returns its array: one of them at a time is enough memory.
            "recomputed": lambda: distances(images).nbytes,
            "hit, read": lambda: read(images).nbytes,
            "hit, mapped": lambda: mapped(images).nbytes,
            "hit, mapped, all used": lambda: mapped(images).max(),
        }
        found = compare(ways, repeats)
    limit = size / read_bandwidth()
    return {**found, "limit: memory's read bandwidth": limit}
