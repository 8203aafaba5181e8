"""What the page measures, each part as JSON: here, or from a record."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from parallel_ai.production.native import compiling, traps
from parallel_ai.production.native.compiling import (
    CompilationError,
    MissingToolError,
)
from parallel_ai.production.native.deep import compare_ahead
from parallel_ai.production.native.forests import CompiledForest, trees_of
from parallel_ai.production.native.java_class import code_too_large, run_java
from parallel_ai.production.native.latency import BATCHES, batch_curve
from parallel_ai.production.native.layers import anatomy, gil
from parallel_ai.production.native.linear import (
    NativeLinear,
    Weights,
    numpy_linear,
)
from parallel_ai.production.native.trained import trained
from parallel_ai.production.native.ways import compare_ways, judge
from parallel_ai.toolbox import machine, records
from parallel_ai.toolbox.stopwatch import Timing, measure

MILLION = 1_000_000
KERNELS = ("plain", "lanes", "blocked")
LADDER = (
    ("-O0",),
    ("-O2",),
    ("-O3",),
    ("-O3", "-march=native"),
    ("-O3", "-march=native", "-ffast-math"),
)


def ladder(rows: int = 500, repeats: int = 5) -> dict[str, Any]:
    """Compile each kernel with more and more flags; seconds a row.

    Returns
    -------
    dict
        ``seconds``, by kernel and flags; ``vectorised``, what GCC said.
    """
    m = trained()
    weights, some = Weights.of(m.linear), m.rows[:rows]
    seconds = {
        kernel: {
            " ".join(flags): measure(
                NativeLinear(weights, kernel, (*flags, "-fopenmp")),
                some,
                repeats=repeats,
            ).median
            / rows
            for flags in LADDER
        }
        for kernel in KERNELS
    }
    text = compiling.text_of("linear.c")
    said = {
        " ".join(flags): compiling.vectorised(text, (*flags, "-fopenmp"))
        for flags in LADDER
    }
    return {"seconds": seconds, "vectorised": said}


def scaling(count: int | None = None, repeats: int = 3) -> dict[str, Any]:
    """Let 1, 2, … threads answer more rows than a cache holds.

    Parameters
    ----------
    count : int, optional
        Rows of a call: 50,000, or fewer where memory is short. A million is
        so many calls: as one array it would have 3 GB.

    Returns
    -------
    dict
        ``rows``, ``row_bytes``, ``operations`` a row, ``threads``, and for
        each number of threads: rows a second of ``C`` and ``NumPy``, the
        bandwidth ``read`` in bytes and ``float32`` operations a second;
        ``million``, seconds of each for a million rows, by all threads.
    """
    # Here, as no service needs it: Numba comes with it, and takes memory.
    from parallel_ai.toolbox.roofs import multiply_rate, read_bandwidth

    m = trained()
    fit = machine.memory() // 8 // m.rows[0].nbytes
    count = min(50_000, fit) if count is None else count
    rows = np.resize(m.rows, (count, m.rows.shape[1]))
    weights = Weights.of(m.linear)
    native = NativeLinear(weights)
    threads = sorted({1, machine.cpus()})
    found: dict[str, Any] = {
        "rows": count,
        "row_bytes": m.rows[0].nbytes,
        "operations": 2 * weights.matrix.size,
        "threads": threads,
        "C": [], "NumPy": [], "read": [], "float32": [],
    }  # fmt: skip
    out = np.empty((count, native.classes), np.float32)
    for n in threads:
        ways = {
            "C": partial(native, rows, n, out),
            "NumPy": partial(numpy_linear, weights, rows),
        }
        with threadpool_limits(n, user_api="blas"):
            for name, way in ways.items():
                taken = measure(way, repeats=repeats)
                found[name].append(count / taken.median)
        # More threads have no lower roof, whatever else ran meanwhile.
        read, flops = read_bandwidth(n, rows.nbytes), multiply_rate(workers=n)
        found["read"].append(max([read, *found["read"]]))
        found["float32"].append(max([flops, *found["float32"]]))
    calls = -(-MILLION // count)
    with threadpool_limits(threads[-1], user_api="blas"):
        found["million"] = {
            name: _seconds(way, calls) * MILLION / (calls * count)
            for name, way in ways.items()
        }
    return found


def _seconds(job: Callable[[], Any], calls: int) -> float:
    begun = time.perf_counter()
    for _ in range(calls):
        job()
    return time.perf_counter() - begun


def batches(sizes: tuple[int, ...] = BATCHES) -> dict[str, Any]:
    """Time growing batches of a logistic regression and of a forest."""
    m = trained()
    weights = Weights.of(m.linear)
    ways = {
        "scikit-learn": m.linear.predict_proba,
        "NumPy": partial(numpy_linear, weights),
        "C": NativeLinear(weights),
        "forest, scikit-learn": m.forest.predict_proba,
        "forest, C": CompiledForest(trees_of(m.forest), m.rows.shape[1]),
    }
    with threadpool_limits(1, user_api="blas"):
        return {"sizes": sizes, "ways": batch_curve(ways, m.rows, sizes)}


def java() -> dict[str, Any]:
    """Run the class of Java; how it does, and how it differs."""
    m = trained()
    trees = trees_of(m.forest)
    answers, times = run_java(
        Weights.of(m.linear), trees, m.rows, machine.cpus()
    )
    truth = {"linear": m.linear, "forest": m.forest}
    for name, got in answers.items():
        right = truth[name].predict_proba(m.rows)
        times[name]["difference"] = float(np.abs(got - right).max())
        labels = got.argmax(1) != right.argmax(1)
        times[name]["labels"] = int(labels.sum())
    leaves = np.concatenate([tree.value for tree in trees])
    times["too_large"] = code_too_large(leaves)
    times["numbers"] = leaves.size
    return times


def ahead() -> list[dict[str, Any]]:
    """Compile the network ahead of time and compare; takes a minute."""
    m = trained()
    cpus = sorted({1, machine.cpus()})
    return compare_ahead(m.network, m.rows, tuple(cpus))


def everything() -> list[dict[str, Any]]:
    """Judge all ways of all models."""
    return judge(trained())


SECTIONS: dict[str, Callable[[], Any]] = {
    "anatomy": anatomy,
    "ladder": ladder,
    "scaling": scaling,
    "batches": batches,
    "gil": gil,
    "everything": everything,
    "java": java,
    "traps": lambda: traps.all_traps(trained()),
}


def shown(name: str) -> tuple[Any, str]:
    """Measure a part of the page here, or read it from a record.

    Returns
    -------
    tuple
        The measurement, and whose it is. What takes too long for a page
        (``ahead``) always comes from a record; None if there is none.

    Raises
    ------
    MissingToolError, CompilationError
        No compiler here can do it, and there is no record either.
    """
    missing: Exception | None = None
    if name in SECTIONS:
        try:
            return SECTIONS[name](), "measured here"
        except (MissingToolError, CompilationError) as error:
            missing = error  # such as a compiler without OpenMP
    for record in records.read("native"):
        if name in record.data:
            return record.data[name], f"recorded on {record.label}"
    if missing:
        raise missing
    return None, "no machine has recorded this yet"


def record() -> dict[str, Any]:
    """Measure all parts on this machine, for machines without compilers."""
    found = {name: measured() for name, measured in SECTIONS.items()}
    return found | {"ahead": ahead()}


def compare_one(model: str, reference: str) -> dict[str, Timing]:
    """Compare the ways of a model on one row, the best of Python first."""
    return compare_ways(trained(), model, 1, reference)


def compare_many(model: str, reference: str) -> dict[str, Timing]:
    """Compare the ways of a model on 10,000 rows, with all CPUs."""
    return compare_ways(trained(), model, len(trained().rows), reference)
