"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from parallel_ai.one_machine.processes.means import Part
from parallel_ai.toolbox.exercises import exercise
from parallel_ai.toolbox.workers import LIMIT, bounds, executor

Moments = tuple[int, float, float]


def _check_group_means(
    candidate: Callable[[list[dict[int, Part]]], dict[int, float]],
) -> None:
    cases: list[tuple[list[dict[int, Part]], dict[int, float]]] = [
        ([], {}),
        ([{3: Part(2, 5.0)}], {3: 5.0}),
        ([{0: Part(1, 2.0)}, {0: Part(3, 6.0)}], {0: 5.0}),
        (
            [{0: Part(1, 2.0), 1: Part(4, 1.0)}, {0: Part(3, 6.0)}],
            {0: 5.0, 1: 1.0},
        ),
    ]
    for parts, expected in cases:
        got = candidate(parts)
        called = f"group_means({parts})"
        assert isinstance(got, dict), f"{called} returned {got!r}: no dict"
        assert got.keys() == expected.keys(), (
            f"{called} returned the labels {sorted(got)}, "
            f"expected {sorted(expected)}"
        )
        for label, mean in expected.items():
            assert math.isclose(got[label], mean), (
                f"{called}[{label}] is {got[label]}, expected {mean}: "
                "did you weight each part by its count?"
            )


@exercise(_check_group_means)
def group_means(parts: list[dict[int, Part]]) -> dict[int, float]:
    """Merge the class means that several workers found.

    Each worker has seen some of the images and returns, for each class that
    it met, how many pixels it saw and their mean. A worker need not have
    met every class.

    Parameters
    ----------
    parts : list of dict from label to Part
        ``Part(count, mean)``, one dict for each worker.

    Returns
    -------
    dict from label to float
        The mean of all pixels of each class that anybody met.
    """
    counts: dict[int, int] = {}
    totals: dict[int, float] = {}
    for part in parts:
        for label, seen in part.items():
            counts[label] = counts.get(label, 0) + seen.count
            total = totals.get(label, 0.0) + seen.count * seen.mean
            totals[label] = total
    return {label: totals[label] / counts[label] for label in counts}


def _moments(values: np.ndarray) -> Moments:
    if len(values) == 0:
        return 0, 0.0, 0.0
    mean = float(np.mean(values))
    return len(values), mean, float(np.sum((values - mean) ** 2))


def _check_merge_moments(
    candidate: Callable[[Moments, Moments], Moments],
) -> None:
    rng = np.random.default_rng(2)
    for sizes in [(3, 3), (1, 6), (100, 7), (0, 4), (4, 0), (0, 0)]:
        a, b = (rng.normal(10 * i, 1 + i, n) for i, n in enumerate(sizes))
        expected = _moments(np.concatenate([a, b]))
        got = candidate(_moments(a), _moments(b))
        called = f"merge_moments({_moments(a)}, {_moments(b)})"
        assert len(got) == 3, f"{called} returned {got!r}: not three numbers"
        names = ("count", "mean", "sum of squared deviations")
        for name, have, want in zip(names, got, expected, strict=True):
            assert math.isclose(have, want, rel_tol=1e-9, abs_tol=1e-12), (
                f"{called}: {name} is {have}, expected {want}"
            )
    far = 1e9  # where "mean of squares minus square of mean" fails
    a, b = far + rng.random(50), far + rng.random(70)
    expected = _moments(np.concatenate([a, b]))
    got = candidate(_moments(a), _moments(b))
    assert math.isclose(got[2], expected[2], rel_tol=1e-5), (
        f"for numbers near {far:g} the sum of squared deviations is "
        f"{got[2]}, expected {expected[2]}: subtracting huge sums of "
        "squares loses the digits; use the difference of the two means"
    )


@exercise(_check_merge_moments)
def merge_moments(a: Moments, b: Moments) -> Moments:
    """Merge count, mean and squared deviations of two parts.

    With it, a variance can be divided among processes as the mean was. It
    must also work if a part is empty, and for numbers that are huge
    compared with their spread.

    Parameters
    ----------
    a, b : tuple of (count, mean, m2)
        ``m2`` is the sum of the squared deviations from the part's mean.
        A part without numbers is ``(0, 0.0, 0.0)``.

    Returns
    -------
    tuple of (count, mean, m2)
        Of all numbers of both parts.
    """
    count = a[0] + b[0]
    if count == 0:
        return 0, 0.0, 0.0
    apart = b[1] - a[1]
    mean = a[1] + apart * b[0] / count
    return count, mean, a[2] + b[2] + apart**2 * a[0] * b[0] / count


def _check_histogram(
    candidate: Callable[[np.ndarray, int], np.ndarray],
) -> None:
    rng = np.random.default_rng(3)
    for count, workers in [(1, 1), (7, 2), (2, 3), (0, 2)]:
        images = rng.integers(0, 256, (count, 4, 4)).astype(np.uint8)
        expected = np.bincount(images.ravel(), minlength=256)
        got = np.asarray(candidate(images, workers))
        called = f"histogram_executor(<{count} images>, {workers})"
        assert got.shape == (256,), (
            f"{called} has shape {got.shape}, expected (256,): a part in "
            "which no pixel is 255 still needs all its bins"
        )
        wrong = np.flatnonzero(got != expected)
        assert wrong.size == 0, (
            f"{called}: {wrong.size} bins are wrong; bin {wrong[0]} is "
            f"{got[wrong[0]]}, expected {expected[wrong[0]]}"
        )


@exercise(_check_histogram)
def histogram_executor(images: np.ndarray, workers: int) -> np.ndarray:
    """Count how often each grey level occurs, with several processes.

    Open an `executor`, give every worker a part, as `bounds` cuts them, and
    add up what comes back. What runs in a worker must be importable there: a
    function of a library is, a function of a notebook is not.

    Parameters
    ----------
    images : array of shape (n, height, width), uint8
        Possibly none, possibly fewer than there are workers.
    workers : int
        At least 1.

    Returns
    -------
    array of shape (256,), int
        How many pixels have the value 0, 1, … 255.
    """
    parts = [images[a:b].ravel() for a, b in bounds(len(images), workers)]
    count = partial(np.bincount, minlength=256)
    with executor(workers) as team:
        found = team.map(count, parts, timeout=LIMIT)
        return np.sum([np.zeros(256, int), *found], axis=0)
