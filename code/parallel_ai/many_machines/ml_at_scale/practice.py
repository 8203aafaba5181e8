"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from parallel_ai.toolbox.exercises import exercise

Pair = tuple[np.ndarray, np.ndarray]


def _check_merge_triangles(
    candidate: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> None:
    triangle: Any = partial(np.linalg.qr, mode="r")
    draw = np.random.default_rng(0)
    for rows in ([40, 60], [5, 5], [2, 40], [3, 1], [50, 7, 23]):
        blocks = [draw.normal(size=(n, 3)) for n in rows]
        merged = triangle(blocks[0])
        for block in blocks[1:]:
            merged = candidate(merged, triangle(block))
        what = f"after blocks of {rows} rows"
        assert merged.shape == (3, 3), (
            f"{what} the triangle has shape {merged.shape}, expected (3, 3)"
        )
        assert np.allclose(np.tril(merged, -1), 0), (
            f"{what} there is something below the diagonal"
        )
        X = np.concatenate(blocks)
        assert np.allclose(merged.T @ merged, X.T @ X), (
            f"{what} RᵀR is not the product XᵀX of all rows"
        )
    steep = np.column_stack([np.ones(40), 1 + 1e-9 * draw.normal(size=40)])
    halves = [triangle(half) for half in (steep[:9], steep[9:])]
    whole = np.abs(triangle(steep)[1, 1])
    try:
        got = np.abs(candidate(*halves)[1, 1])
    except np.linalg.LinAlgError:
        got = 0.0
    assert np.isclose(got, whole, rtol=1e-3, atol=0), (
        "two columns that differ by a billionth came out the same: "
        "do not form RᵀR, which squares the difference away"
    )


@exercise(_check_merge_triangles)
def merge_triangles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Merge what two blocks of rows know, without squaring anything.

    The factor R of a QR decomposition holds all that least squares needs to
    know of a block, and RᵀR = XᵀX is true of it. This is the merge of TSQR,
    the QR of tall and skinny matrices.

    Parameters
    ----------
    a, b : arrays of at most p rows and p columns
        Triangles R of two blocks, as from ``np.linalg.qr(X, mode="r")``. A
        block with fewer than p rows has a triangle with fewer rows.

    Returns
    -------
    array
        The triangle R of both blocks together, up to the signs of its rows.
    """
    triangle: Any = np.linalg.qr(np.concatenate([a, b]), mode="r")
    return triangle


def _logistic_loss(
    X: np.ndarray, y: np.ndarray, coef: np.ndarray
) -> np.floating:
    return np.sum(np.logaddexp(0, X @ coef) - y * (X @ coef))


def _check_slope(
    candidate: Callable[[np.ndarray, np.ndarray, np.ndarray], Pair],
) -> None:
    draw = np.random.default_rng(1)
    X = draw.normal(size=(90, 4))
    y = (draw.random(90) < 0.4).astype(float)
    coef = draw.normal(size=4)
    step = 1e-5 * np.eye(4)
    numeric = np.array(
        [
            (_logistic_loss(X, y, coef + e) - _logistic_loss(X, y, coef - e))
            / 2e-5
            for e in step
        ]
    )
    gradient, curvature = candidate(X, y, coef)
    assert np.shape(gradient) == (4,), (
        f"the gradient has shape {np.shape(gradient)}, expected (4,)"
    )
    assert np.shape(curvature) == (4, 4), (
        f"the curvature has shape {np.shape(curvature)}, expected (4, 4)"
    )
    assert not np.allclose(gradient, numeric / 90, atol=1e-4), (
        "the gradient is a mean over the rows: means of blocks of different "
        "length do not add up, sums do"
    )
    assert np.allclose(gradient, numeric, atol=1e-4), (
        f"the gradient begins with {gradient[0]:.5f}, expected "
        f"{numeric[0]:.5f}"
    )
    parts = [candidate(X[a:b], y[a:b], coef) for a, b in ((0, 7), (7, 90))]
    for whole, *some in zip((gradient, curvature), *parts, strict=True):
        assert np.allclose(whole, some[0] + some[1]), (
            "the results of two blocks do not add up to that of all rows"
        )
    found = np.zeros(4)
    for _ in range(25):
        g, h = candidate(X, y, found)
        found = found - np.linalg.solve(h, g)
    rest = candidate(X, y, found)[0]
    assert np.allclose(rest, 0, atol=1e-8), (
        "Newton's steps with this curvature do not reach the minimum"
    )


@exercise(_check_slope)
def slope(X: np.ndarray, y: np.ndarray, coef: np.ndarray) -> Pair:
    """Summarise a block for one Newton step of a logistic regression.

    The loss of a row is log(1 + exp(z)) - y z, where z = x · coef. It has
    the gradient (s(z) - y) x and the curvature s(z) (1 - s(z)) x xᵀ, where
    s(z) = 1 / (1 + exp(-z)).

    Parameters
    ----------
    X : array of shape (n, p)
    y : array of shape (n,)
        0 or 1.
    coef : array of shape (p,)
        The same on all workers.

    Returns
    -------
    gradient, curvature
        (p,) and (p, p), such that the results of all blocks, added up, are
        those of the whole loss.
    """
    chance = 1 / (1 + np.exp(-(X @ coef)))
    weight = chance * (1 - chance)
    return X.T @ (chance - y), (X * weight[:, np.newaxis]).T @ X


def _check_area(
    candidate: Callable[[np.ndarray, np.ndarray], float],
) -> None:
    from sklearn.metrics import roc_auc_score

    cases: list[Any] = [
        ([5, 0], [0, 5], 1.0),
        ([0, 5], [5, 0], 0.0),
        ([3, 3], [4, 4], 0.5),
        ([7], [2], 0.5),
        ([1, 0, 1], [0, 2, 0], 0.5),
    ]
    draw = np.random.default_rng(2)
    for bins in (3, 20):
        negative = draw.integers(0, 9, bins)
        positive = draw.integers(0, 9, bins)
        places = np.arange(bins)
        scores = np.concatenate(
            [np.repeat(places, negative), np.repeat(places, positive)]
        )
        labels = np.repeat([0, 1], [negative.sum(), positive.sum()])
        cases.append((negative, positive, roc_auc_score(labels, scores)))
    for below, above, expected in cases:
        got = candidate(np.array(below), np.array(above))
        assert np.isclose(got, expected), (
            f"area({list(map(int, below))}, {list(map(int, above))}) "
            f"returned {got}, expected {expected:.4f}"
        )


@exercise(_check_area)
def area(negative: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve, from counts that add up over partitions.

    Ranks need all rows at once. Counts of the scores, in bins that are the
    same everywhere, do not: every worker counts, and the counts are added.

    Parameters
    ----------
    negative, positive : arrays of shape (bins,), int
        How many rows with label 0, and with label 1, have a score in each
        bin. Scores rise with the bin. Neither is all zeros.

    Returns
    -------
    float
        The chance that a row with label 1 has the higher score of two rows
        with different labels; of the same bin counts as half.
    """
    below = np.cumsum(negative) - negative
    won = positive @ (below + negative / 2)
    return float(won / (negative.sum() * positive.sum()))
