"""All ways of all models, so that one loop can judge and time them."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from parallel_ai.production.native.boosting import NativeBooster, Tl2cgenModel
from parallel_ai.production.native.deep import (
    eager,
    in_batches,
    onnx_sessions,
    run_onnx,
)
from parallel_ai.production.native.forests import (
    CompiledForest,
    PackedForest,
    cython_forest,
    trees_of,
)
from parallel_ai.production.native.latency import (
    Predict,
    one_by_one,
    percentiles,
)
from parallel_ai.production.native.linear import (
    NativeLinear,
    Weights,
    cffi_linear,
    numba_linear,
    numpy_linear,
)
from parallel_ai.production.native.trained import Trained
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import Timing, compare, measure

# Largest difference of a probability, from Python's own answer, with which
# a way is equal to it; of a network's logits, which are some tens large.
TOLERANCES = {
    "logistic regression": 2e-5,
    "forest": 2e-5,
    "boosted trees": 2e-5,
    "network": 1e-3,
}
MODELS = tuple(TOLERANCES)


@dataclass(frozen=True)
class Way:
    """One way to let one model answer.

    Attributes
    ----------
    model, name : str
    python : bool
        Whether it is a way of Python's libraries: what is to be beaten.
    one : callable
        Takes rows, and uses one thread.
    team : callable, optional
        The same with a thread for each CPU; None where one row is all.
    """

    model: str
    name: str
    python: bool
    one: Predict
    team: Predict | None


@contextmanager
def all_ways(
    m: Trained, models: tuple[str, ...] = MODELS
) -> Iterator[list[Way]]:
    """Build every way of some models, for a block.

    The first way of each model is the truth with which the others must
    agree.
    """
    makers = dict(
        zip(MODELS, (_linear, _forest, _boosted, _network), strict=True)
    )
    with ExitStack() as stack:
        ways: list[Way] = []
        for model in models:
            add = partial(_add, ways, model)
            makers[model](m, add, stack)
        yield ways


def _add(
    ways: list[Way], model: str, name: str, one: Any, team: Any, python: bool
) -> None:
    ways.append(Way(model, name, python, one, team))


def _linear(m: Trained, add: Any, stack: ExitStack) -> None:
    cpus, weights = machine.cpus(), Weights.of(m.linear)
    native = NativeLinear(weights)
    numpy = partial(numpy_linear, weights)
    numba = numba_linear(weights)
    for name, way in (
        ("scikit-learn", m.linear.predict_proba),
        ("NumPy", numpy),
    ):
        add(name, _blas(way, 1), _blas(way, cpus), True)
    add("Numba", numba, None, True)
    add("C by ctypes", native, partial(native, threads=cpus), False)
    add("C by cffi", cffi_linear(native), None, False)


def _forest(m: Trained, add: Any, stack: ExitStack) -> None:
    cpus, trees = machine.cpus(), trees_of(m.forest)
    parallel = copy.copy(m.forest).set_params(n_jobs=cpus)
    add("scikit-learn", m.forest.predict_proba, parallel.predict_proba, True)
    add("its trees alone", partial(cython_forest, m.forest), None, True)
    features = m.rows.shape[1]
    for name, native in (
        ("C, branches", CompiledForest(trees, features)),
        ("C, data", PackedForest(trees, features)),
    ):
        add(name, native, partial(native, threads=cpus), False)
    add("tl2cgen", Tl2cgenModel(m.forest), Tl2cgenModel(m.forest, cpus), False)


def _boosted(m: Trained, add: Any, stack: ExitStack) -> None:
    cpus, text = machine.cpus(), m.boosted.model_to_string()
    one, team = (
        stack.enter_context(NativeBooster(text, f"num_threads={n}"))
        for n in (1, cpus)
    )
    add(
        "LightGBM",
        partial(m.boosted.predict, num_threads=1),
        partial(m.boosted.predict, num_threads=cpus),
        True,
    )
    add("C functions", one, team, False)
    add("C, one fast row", one.one, None, False)
    add(
        "tl2cgen",
        Tl2cgenModel(m.boosted),
        Tl2cgenModel(m.boosted, cpus),
        False,
    )


def _network(m: Trained, add: Any, stack: ExitStack) -> None:
    cpus = machine.cpus()
    torch_way = partial(in_batches, partial(eager, m.network))
    add("PyTorch", _torch(torch_way, 1), _torch(torch_way, cpus), True)
    one, team = (
        partial(in_batches, partial(run_onnx, session))
        for session in onnx_sessions(m.network, (1, cpus))
    )
    add("ONNX Runtime", one, team, False)


def _blas(predict: Predict, threads: int) -> Predict:
    """Mark a way that runs in the threads of BLAS; see `limited`."""
    way = partial(predict)
    way.threads = "blas", threads  # type: ignore[attr-defined]
    return way


def _torch(predict: Predict, threads: int) -> Predict:
    way = partial(predict)
    way.threads = "torch", threads  # type: ignore[attr-defined]
    return way


@contextmanager
def limited(way: Predict) -> Iterator[Predict]:
    """Set the threads of a way's library, once and not in each call."""
    library, threads = getattr(way, "threads", ("", 0))
    if library == "blas":
        with threadpool_limits(threads, user_api="blas"):
            yield way
    elif library == "torch":
        with devices.threads(threads):
            yield way
    else:
        yield way


def disagreement(
    truth: np.ndarray, way: Way, rows: np.ndarray
) -> dict[str, float]:
    """Compare a way's answers with the truth, on every row.

    Returns
    -------
    dict
        ``difference``, the largest of any probability (of a network's
        logits); ``labels``, rows whose label is another.
    """
    if way.team:
        got = [way.one(rows), way.team(rows)]
    else:  # its answer may be overwritten by the next one
        singles = (way.one(rows[i : i + 1]) for i in range(len(rows)))
        got = [np.concatenate([np.array(one) for one in singles])]
    return {
        "difference": max(float(np.abs(one - truth).max()) for one in got),
        "labels": max(
            int((one.argmax(1) != truth.argmax(1)).sum()) for one in got
        ),
    }


def judge(
    m: Trained,
    models: tuple[str, ...] = MODELS,
    calls: int = 1000,
    many: int = 10_000,
    repeats: int = 3,
) -> list[dict[str, Any]]:
    """Compare all ways: same answers, one row, many rows.

    Returns
    -------
    list of dict
        For each way ``model``, ``name``, ``python``; ``difference`` and
        ``labels`` on all rows; percentiles of one row; ``rates``, rows a
        second by one thread and by one for each CPU.
    """
    found: list[dict[str, Any]] = []
    truths: dict[str, np.ndarray] = {}
    with all_ways(m, models) as ways:
        for way in ways:
            if way.model not in truths:
                truths[way.model] = np.asarray(way.one(m.rows))
            truth = truths[way.model]
            row = {"model": way.model, "name": way.name, "python": way.python}
            row |= disagreement(truth, way, m.rows)
            with limited(way.one) as predict:
                row |= percentiles(one_by_one(predict, m.rows, calls))
            some = m.rows[: many // 5 if way.model == "network" else many]
            rates = [_rate(each, some, repeats) for each in _both(way)]
            found.append(row | {"rates": rates})
    return found


def _both(way: Way) -> list[Predict]:
    return [way.one, way.team] if way.team else []


def _rate(predict: Predict, rows: np.ndarray, repeats: int) -> float:
    with limited(predict):
        return len(rows) / measure(predict, rows, repeats=repeats).median


def compare_ways(
    m: Trained, model: str, count: int, reference: str
) -> dict[str, Timing]:
    """Time all ways of a model side by side, the best of Python first.

    Parameters
    ----------
    count : int
        Rows of a call. More than one: with a thread for each CPU.
    """
    with all_ways(m, (model,)) as ways, ExitStack() as stack:
        picked = [w for w in ways if count == 1 or w.team]
        picked.sort(key=lambda w: w.name != reference)
        jobs = {}
        for way in picked:
            predict = way.one if count == 1 or not way.team else way.team
            stack.enter_context(limited(predict))
            jobs[way.name] = partial(predict, m.rows[:count])
        return compare(jobs)
