"""What the page measures, each part as JSON: here, or from a record."""

import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import sklearn
from threadpoolctl import threadpool_limits

from parallel_ai.one_machine.measuring import multiply_rate, read_bandwidth
from parallel_ai.production.native import compiling, traps
from parallel_ai.production.native.compiling import (
    CompilationError,
    MissingToolError,
)
from parallel_ai.production.native.deep import compare_ahead
from parallel_ai.production.native.forests import (
    CompiledForest,
    cython_forest,
    trees_of,
)
from parallel_ai.production.native.java_class import code_too_large, run_java
from parallel_ai.production.native.latency import (
    BATCHES,
    batch_curve,
    calls_made,
)
from parallel_ai.production.native.linear import (
    NativeLinear,
    Weights,
    numpy_linear,
)
from parallel_ai.production.native.trained import trained
from parallel_ai.production.native.ways import compare_ways, judge
from parallel_ai.toolbox import machine, records
from parallel_ai.toolbox.stopwatch import Timing, measure

KERNELS = ("plain", "lanes", "blocked")
LADDER = (
    ("-O0",),
    ("-O2",),
    ("-O3",),
    ("-O3", "-march=native"),
    ("-O3", "-march=native", "-ffast-math"),
)


def anatomy() -> list[dict[str, Any]]:
    """Take one prediction of one row apart, layer by layer.

    Returns
    -------
    list of dict
        ``model``, ``way``, ``seconds``, ``calls`` (functions that are gone
        through) and ``bytes`` (most that Python and NumPy hold meanwhile).
    """
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

    Returns
    -------
    dict
        ``rows``, ``row_bytes``, ``operations`` a row, ``threads``, and for
        each number of threads: rows a second of ``C`` and ``NumPy``, the
        bandwidth ``read`` in bytes and ``float32`` operations a second.
    """
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
        taken = measure(native, rows, n, out, repeats=repeats)
        found["C"].append(count / taken.median)
        with threadpool_limits(n, user_api="blas"):
            taken = measure(numpy_linear, weights, rows, repeats=repeats)
        found["NumPy"].append(count / taken.median)
        # More threads have no lower roof, whatever else ran meanwhile.
        read, flops = read_bandwidth(n, rows.nbytes), multiply_rate(workers=n)
        found["read"].append(max([read, *found["read"]]))
        found["float32"].append(max([flops, *found["float32"]]))
    return found


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


def gil(rows: int = 20_000, rounds: int = 3) -> dict[str, float]:
    """Let Python threads call C that lets go of the GIL, and C that does not.

    `ctypes.PyDLL` keeps the GIL: it is for functions of Python's own C API.

    Returns
    -------
    dict
        Seconds for the same rows: by one thread, by one for each CPU, and
        by as many of OpenMP below each of these.
    """
    import ctypes

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
