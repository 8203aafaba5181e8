"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from parallel_ai.toolbox.exercises import exercise

GIB = 2**30


def _check_plan(
    candidate: Callable[[int, int, int, int], tuple[int, int]],
) -> None:
    cases = {
        (100, 8, GIB, 64 * GIB): (8, 1),
        (100, 8, 20 * GIB, 64 * GIB): (3, 2),
        (2, 8, GIB, 64 * GIB): (2, 4),
        (3, 8, GIB, 64 * GIB): (3, 2),
        (1, 8, GIB, 64 * GIB): (1, 8),
        (100, 8, 40 * GIB, 64 * GIB): (1, 8),
        (100, 1, GIB, 64 * GIB): (1, 1),
        (5, 4, 0, GIB): (4, 1),
    }
    for given, expected in cases.items():
        got = candidate(*given)
        assert tuple(got) == expected, (
            f"plan{given} returned {got!r}, expected {expected}"
        )
    try:
        got = candidate(4, 4, 2 * GIB, GIB)
    except MemoryError:
        return
    raise AssertionError(
        f"plan(4, 4, {2 * GIB}, {GIB}) returned {got!r}: not even one fit "
        "has the memory it needs, which should raise MemoryError"
    )


@exercise(_check_plan)
def plan(fits: int, cpus: int, each: int, memory: int) -> tuple[int, int]:
    """Divide a machine among the fits of a search.

    Fits that run at the same time share the CPUs and the memory. Several
    fits side by side use CPUs better than several threads in one fit, so
    run as many at a time as there are fits, as the CPUs allow and as fit
    into memory; then give each as many threads as leaves none over and
    never more threads in all than CPUs.

    Parameters
    ----------
    fits : int
        Independent fits to do, at least 1.
    cpus : int
        Usable CPUs, at least 1.
    each : int
        Bytes that one fit takes; may be 0.
    memory : int
        Bytes that there are.

    Returns
    -------
    (workers, threads) : tuple of int
        Fits at a time, and threads for each.

    Raises
    ------
    MemoryError
        Not even one fit has the memory that it needs.
    """
    room = memory // each if each else fits
    if room < 1:
        raise MemoryError(f"one fit takes {each} bytes of {memory}")
    workers = min(fits, cpus, room)
    return workers, cpus // workers


class _Model:
    """Labels a row by its first number, and remembers who asked."""

    classes_ = np.array(["bag", "coat"])

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def predict(self, X: np.ndarray) -> np.ndarray:
        if len(X) == 0:
            raise ValueError("found array with 0 sample(s)")
        self.calls.append((threading.get_ident(), len(X)))
        return self.classes_[(X[:, 0] > 0.5).astype(int)]


def _check_predict_in_parts(
    candidate: Callable[[Any, np.ndarray, int], np.ndarray],
) -> None:
    for size in (0, 1, 2, 7, 100):
        for workers in (1, 2, 3):
            X = np.random.default_rng(size).random((size, 2))
            model = _Model()
            got = candidate(model, X, workers)
            called = f"predict_in_parts(model, X, {workers})"
            assert isinstance(got, np.ndarray), (
                f"{called} returned {got!r}, not an array"
            )
            expected = _Model.classes_[(X[:, 0] > 0.5).astype(int)]
            assert got.tolist() == expected.tolist(), (
                f"{called} on {size} rows differs from model.predict(X)"
            )
            assert got.dtype == expected.dtype, (
                f"{called} on {size} rows has dtype {got.dtype}, expected "
                f"that of model.classes_, {expected.dtype}"
            )
            sizes = [length for _, length in model.calls]
            assert len(sizes) <= workers, (
                f"{called} called model.predict {len(sizes)} times"
            )
            assert not sizes or max(sizes) - min(sizes) <= 1, (
                f"{called} on {size} rows cut parts of {sorted(sizes)} rows"
            )
    callers = {who for who, _ in model.calls} - {threading.get_ident()}
    assert callers, "the calling thread predicted everything by itself"


@exercise(_check_predict_in_parts)
def predict_in_parts(model: Any, X: np.ndarray, workers: int) -> np.ndarray:
    """Predict with threads, each a part of the rows, in the rows' order.

    Many models predict on one CPU, whatever `n_jobs` they were trained
    with. Rows do not know of each other, so any model can be made parallel
    from outside.

    Parameters
    ----------
    model
        Has `predict` and `classes_`. Like those of scikit-learn, it raises
        an error when asked about no rows at all.
    X : array of shape (n, features)
        Perhaps of no rows, or of fewer than there are workers.
    workers : int
        At least 1; the parts' sizes differ by one row at most.

    Returns
    -------
    array of shape (n,)
        As `model.predict(X)`; of no rows, empty and of the dtype of
        `model.classes_`.
    """
    parts = [part for part in np.array_split(X, workers) if len(part)]
    if not parts:
        return np.empty(0, model.classes_.dtype)
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(model.predict, parts)))


def _check_encode_parts(
    candidate: Callable[..., tuple[list[str], list[np.ndarray]]],
) -> None:
    years = [["O80", "J18"], [], ["A09", "J18", "J18"], ["U07"]]
    for count in range(len(years) + 1):
        for workers in (1, 2, 3):
            parts = years[:count]
            names = sorted({code for part in parts for code in part})
            called = f"encode_parts({parts}, {workers})"
            got, tables = candidate(parts, workers)
            assert list(got) == names, (
                f"{called} gives the columns {got!r}, expected {names!r}"
            )
            assert len(tables) == count, (
                f"{called} returned {len(tables)} tables for {count} parts"
            )
            for part, table in zip(parts, tables, strict=True):
                wanted = [[code == name for name in names] for code in part]
                right = np.array(wanted, bool).reshape(len(part), len(names))
                assert np.shape(table) == right.shape, (
                    f"{called}: the table of {part} has the shape "
                    f"{np.shape(table)}, expected {right.shape}"
                )
                assert np.array_equal(np.asarray(table, bool), right), (
                    f"{called}: the table of {part} is {table!r}"
                )


@exercise(_check_encode_parts)
def encode_parts(
    parts: Sequence[list[str]], workers: int
) -> tuple[list[str], list[np.ndarray]]:
    """Encode text as one column for each value, part by part, in parallel.

    If each worker learnt the values of its own part, their columns would
    not agree. So there are two rounds: every worker lists the values of its
    part; the caller unites them; every worker encodes its part with all.

    Parameters
    ----------
    parts : sequence of list of str
        For example the diagnoses of each year. There may be no parts, and
        parts may be empty.
    workers : int
        Threads.

    Returns
    -------
    columns : list of str
        All values that occur anywhere, sorted.
    tables : list of bool arrays of shape (len(part), len(columns))
        Where a row has that value.
    """
    with ThreadPoolExecutor(workers) as pool:
        values: set[str] = set().union(*pool.map(set, parts))
        columns = sorted(values)
        names = np.array(columns, dtype=str)

        def encode(part: list[str]) -> np.ndarray:
            return np.array(part, dtype=str)[:, None] == names[None, :]

        return columns, list(pool.map(encode, parts))
