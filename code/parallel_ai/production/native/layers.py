"""Why a call costs what it costs: dispatch, allocation, the GIL."""

import ctypes
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from parallel_ai.production.native.forests import (
    CompiledForest,
    cython_forest,
    trees_of,
)
from parallel_ai.production.native.latency import calls_made
from parallel_ai.production.native.linear import (
    NativeLinear,
    Weights,
    numpy_linear,
)
from parallel_ai.production.native.trained import trained
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import measure


def anatomy() -> list[dict[str, Any]]:
    """Take one prediction of one row apart, layer by layer.

    Returns
    -------
    list of dict
        ``model``, ``way``, ``seconds``, ``calls`` (functions that are gone
        through) and ``bytes`` (most that Python and NumPy hold meanwhile).
    """
    import sklearn

    m = trained()
    weights, row = Weights.of(m.linear), m.rows[:1]
    native = NativeLinear(weights)
    compiled = CompiledForest(trees_of(m.forest), row.shape[1])
    layers: list[tuple[str, str, bool, Callable[[np.ndarray], Any]]] = [
        ("logistic regression", "scikit-learn", False, m.linear.predict_proba),
        ("logistic regression", "unchecked", True, m.linear.predict_proba),
        ("logistic regression", "NumPy", True, partial(numpy_linear, weights)),
        ("logistic regression", "product alone", True,
         lambda x: x @ weights.matrix),
        ("logistic regression", "C", True, native),
        ("forest", "scikit-learn", False, m.forest.predict_proba),
        ("forest", "unchecked", True, m.forest.predict_proba),
        ("forest", "its trees alone", True, partial(cython_forest, m.forest)),
        ("forest", "C", True, compiled),
    ]  # fmt: skip
    found = []
    for model, name, unchecked, predict in layers:
        with sklearn.config_context(
            assume_finite=unchecked, skip_parameter_validation=unchecked
        ):
            job = partial(predict, row)
            found.append(
                {
                    "model": model,
                    "way": name,
                    "seconds": measure(job).median,
                    "calls": calls_made(job),
                    "bytes": _most_allocated(job),
                }
            )
    return found


def _most_allocated(job: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        job()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def gil(rows: int = 20_000, rounds: int = 3) -> dict[str, float]:
    """Let Python threads call C that lets go of the GIL, and C that does not.

    `ctypes.PyDLL` keeps the GIL: it is for functions of Python's own C API.

    Returns
    -------
    dict
        Seconds for the same rows: by one thread, by one for each CPU, and
        by as many of OpenMP below each of these.
    """
    m = trained()
    weights, threads = Weights.of(m.linear), machine.cpus()
    polite, rude = NativeLinear(weights), NativeLinear(weights)
    keeping = ctypes.PyDLL(polite.library._name).blocked
    keeping.argtypes, keeping.restype = rude.function.argtypes, None
    rude.function = keeping
    parts = np.array_split(np.resize(m.rows, (rows, 784)), threads)

    def together(predict: Any, pool: ThreadPoolExecutor) -> None:
        list(pool.map(predict, parts))

    with ThreadPoolExecutor(threads) as pool:
        return {
            "one thread": measure(
                lambda: [polite(part) for part in parts], repeats=rounds
            ).median,
            "threads, CDLL": measure(
                together, polite, pool, repeats=rounds
            ).median,
            "threads, PyDLL": measure(
                together, rude, pool, repeats=rounds
            ).median,
            "threads of threads": measure(
                together,
                partial(polite, threads=threads),
                pool,
                repeats=rounds,
            ).median,
        }
