"""One row: percentiles. Many rows: a fixed cost and a cost a row."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parallel_ai.toolbox.stopwatch import Timing, compare

Predict = Callable[[np.ndarray], Any]
PERCENTILES = (50, 99, 99.9)
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)


def one_by_one(
    predict: Predict, rows: np.ndarray, calls: int = 2000
) -> np.ndarray:
    """Time single rows, each call another row.

    The same row again and again would teach the branch predictor, and
    flatter a tree.

    Returns
    -------
    array of float, (calls,)
        Seconds of each call; the clock's own reading is in them.
    """
    singles = [rows[i : i + 1] for i in range(min(len(rows), calls))]
    for row in singles[:100]:
        predict(row)
    clock, seconds = time.perf_counter_ns, np.empty(calls)
    for call in range(calls):
        row = singles[call % len(singles)]
        begun = clock()
        predict(row)
        seconds[call] = clock() - begun
    return seconds * 1e-9


def percentiles(seconds: np.ndarray) -> dict[str, float]:
    """Take the percentiles that a service promises: p50, p99, p99.9."""
    values = np.percentile(seconds, PERCENTILES)
    return {
        f"p{p}": float(v) for p, v in zip(PERCENTILES, values, strict=True)
    }


def batch_curve(
    ways: Mapping[str, Predict],
    rows: np.ndarray,
    sizes: Sequence[int] = BATCHES,
    repeats: int = 3,
) -> dict[str, list[float]]:
    """Time batches of growing size; seconds a batch, for each way."""
    sizes = [size for size in sizes if size <= len(rows)]
    jobs = {
        (name, size): lambda way=way, size=size: way(rows[:size])
        for name, way in ways.items()
        for size in sizes
    }
    found: dict[Any, Timing] = compare(jobs, repeats)  # type: ignore[arg-type]
    return {
        name: [found[name, size].median for size in sizes] for name in ways
    }


def fit_line(
    sizes: Sequence[float], seconds: Sequence[float]
) -> tuple[float, float]:
    """Fit seconds = α + β · rows, by least squares of relative errors.

    Plain least squares would look at the largest batches only, and they say
    nothing of α.

    Returns
    -------
    tuple of float
        α, seconds a call, and β, seconds a row; none is negative.
    """
    from scipy.optimize import nnls

    measured = np.asarray(seconds, float)
    design = np.stack([np.ones(len(measured)), np.asarray(sizes, float)], 1)
    (alpha, beta), _ = nnls(design / measured[:, None], np.ones(len(measured)))
    return float(alpha), float(beta)


def calls_made(function: Callable[[], Any]) -> int:
    """Count the functions, Python's and C's, that one call goes through."""
    import sys

    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    function()
    before = sys.getprofile()
    sys.setprofile(see)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count - 2  # the function itself, and the setprofile behind it
