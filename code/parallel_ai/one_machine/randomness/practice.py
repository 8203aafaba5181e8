"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np

from parallel_ai.one_machine.randomness.counters import at
from parallel_ai.one_machine.randomness.seeding import stream
from parallel_ai.toolbox.exercises import exercise
from parallel_ai.toolbox.workers import bounds


def _check_held_out(candidate: Callable[[list[int], float, int], Any]) -> None:
    keys = list(range(100, 2100))
    whole = [bool(out) for out in candidate(keys, 0.3, 7)]
    assert len(whole) == len(keys), (
        f"held_out of {len(keys)} keys returned {len(whole)} answers"
    )
    assert 500 < sum(whole) < 700, (
        f"held_out(range(100, 2100), 0.3, 7) holds out {sum(whole)} of 2000, "
        "expected about 600"
    )
    turned = [bool(out) for out in candidate(keys[::-1], 0.3, 7)]
    assert turned == whole[::-1], (
        "the same keys in another order: some changed sides"
    )
    fewer = [bool(out) for out in candidate(keys[::3], 0.3, 7)]
    assert fewer == whole[::3], (
        "a third of the keys alone: some changed sides, so a worker that "
        "sees only its part decides otherwise"
    )
    more = [bool(out) for out in candidate(keys, 0.5, 7)]
    assert all(b for a, b in zip(whole, more, strict=True) if a), (
        "with share 0.5 a key came back that was held out with 0.3"
    )
    assert [bool(out) for out in candidate(keys, 0.3, 8)] != whole, (
        "seeds 7 and 8 hold out the same keys"
    )
    assert list(candidate([], 0.3, 7)) == [], "no keys: expected []"


@exercise(_check_held_out)
def held_out(keys: list[int], share: float, seed: int) -> list[bool]:
    """Decide for each key whether it belongs to the test set.

    The decision for a key depends on the seed and on the key alone: not on
    the other keys, their order, or who decides. So workers that see parts
    of the data agree, and a table that grows keeps its split.

    Parameters
    ----------
    keys : list of int
        Numbers of rows, patients, flights …; each below 2**64.
    share : float
        Between 0 and 1: the part to hold out. With a larger share, what
        was held out stays held out.
    seed : int

    Returns
    -------
    list of bool
    """
    return [bool(at(seed, 0, key).random() < share) for key in keys]


def _check_bootstrap(candidate: Callable[..., Any]) -> None:
    values = np.random.default_rng(5).exponential(10, 40)
    one = np.asarray(candidate(values, np.median, 30, 3, 1))
    assert one.shape == (30,), (
        f"bootstrap(values, np.median, 30, 3, 1) has shape {one.shape}, "
        "expected (30,)"
    )
    assert len(set(one)) > 5, "nearly all the samples are the same"
    assert np.isin(
        np.asarray(candidate(values, np.max, 9, 3, 1)), values
    ).all()
    for workers in (2, 3):
        got = np.asarray(candidate(values, np.median, 30, 3, workers))
        assert np.array_equal(got, one), (
            f"{workers} workers found other results than one"
        )
    fewer = np.asarray(candidate(values, np.median, 10, 3, 2))
    assert np.array_equal(fewer, one[:10]), (
        "the first 10 of 30 samples are not the 10 that one gets alone: "
        "who wants 20 more has to begin again"
    )
    other = np.asarray(candidate(values, np.median, 30, 4, 2))
    assert not np.array_equal(other, one), "seeds 3 and 4 give the same"
    assert np.asarray(candidate(values, np.median, 0, 3, 2)).shape == (0,)


@exercise(_check_bootstrap)
def bootstrap(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    times: int,
    seed: int,
    workers: int,
) -> np.ndarray:
    """Compute a statistic of samples drawn with replacement, by threads.

    Sample number i is the same whatever the number of workers and whatever
    `times`, so that a run can be extended later.

    Parameters
    ----------
    values : array of shape (n,)
    statistic : callable
        Of an array of shape (n,).
    times : int
        Samples; may be 0.
    seed : int
    workers : int

    Returns
    -------
    array of shape (times,), float64
    """

    def one(number: int) -> float:
        rng = stream(seed, number)
        return statistic(values[rng.integers(0, len(values), len(values))])

    with ThreadPoolExecutor(workers) as pool:
        return np.array(list(pool.map(one, range(times))), np.float64)


def _check_sum_any_order(
    candidate: Callable[[list[float], int], float],
) -> None:
    rng = np.random.default_rng(6)
    hard = [1e16, 1.0, -1e16, 1e-8, *rng.normal(0, 1e8, 9).tolist()]
    cases = [[], [0.5], [1e16, 1.0, 1.0, -1e16], [0.1] * 10, hard]
    for values in cases:
        for workers in (1, 2, 3):
            got = candidate(values, workers)
            called = f"sum_any_order({values}, {workers})"
            assert got == math.fsum(values), (
                f"{called} returned {got!r}, expected {math.fsum(values)!r}"
            )
    for _ in range(20):
        mixed = rng.permutation(hard).tolist()
        assert candidate(mixed, 3) == math.fsum(hard), (
            f"sum_any_order({mixed}, 3): another order, another sum"
        )


@exercise(_check_sum_any_order)
def sum_any_order(values: list[float], workers: int) -> float:
    """Sum floats so that no order and no number of workers matters.

    Cut the values (`processes.bounds`), let each of `workers` threads add
    its part, and add what they return. The result is the exact sum, rounded
    once, which is also what `math.fsum` gives of all values at once.

    Parameters
    ----------
    values : list of float
        Finite, possibly none.
    workers : int

    Returns
    -------
    float
    """

    def exact(cut: tuple[int, int]) -> Fraction:
        return sum(map(Fraction, values[slice(*cut)]), Fraction())

    with ThreadPoolExecutor(workers) as pool:
        return float(
            sum(pool.map(exact, bounds(len(values), workers)), Fraction())
        )
