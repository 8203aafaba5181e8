"""Calls that raise no error and give wrong answers, or none at all."""

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from parallel_ai.production.native import compiling
from parallel_ai.production.native.boosting import NativeBooster
from parallel_ai.production.native.forests import (
    NODE,
    CompiledForest,
    PackedForest,
    trees_of,
)
from parallel_ai.production.native.linear import (
    POINTER,
    SIZE,
    InputError,
    NativeLinear,
    Weights,
)
from parallel_ai.production.native.trained import Trained
from parallel_ai.toolbox.attempts import attempt

SMALLEST = """
import ctypes, sys

ctypes.CDLL({path!r})
print(sys.float_info.min / 2)
"""
UNLOADED = """
import _ctypes, ctypes

library = ctypes.CDLL({path!r})
node_size = library.node_size
print("loaded:", node_size())
_ctypes.dlclose(library._handle)
print("unloaded:", node_size())
"""


def changed_answers(one: np.ndarray, two: np.ndarray) -> int:
    """Count the rows whose answers differ by more than rounding."""
    return int((np.abs(one - two).max(1) > 1e-5).sum())


def rounded_thresholds(m: Trained) -> dict[str, int]:
    """Write thresholds as float32: rounded to nearest, and never up."""
    trees, right = trees_of(m.forest), m.forest.predict_proba(m.rows)
    return {
        name: changed_answers(
            CompiledForest(trees, m.rows.shape[1], nearest=nearest)(m.rows),
            right,
        )
        for name, nearest in (("to nearest", True), ("never up", False))
    }


def nan_under_fast_math(m: Trained) -> dict[str, Any]:
    """Let C look for NaN, and send it through a forest, with -ffast-math."""
    rows = m.rows[:1000].copy()
    rows[:, 350:400] = np.nan
    trees = trees_of(m.forest)
    sees, answers = [], []
    for flags in (("-O2",), ("-O2", "-ffast-math")):
        look = compiling.load(compiling.text_of("linear.c"), flags).has_nan
        look.argtypes = [POINTER, SIZE]
        sees.append(bool(look(rows.ctypes.data, rows.size)))
        forest = PackedForest(trees, rows.shape[1], flags)
        answers.append(forest(rows))
    return {
        "seen": sees,
        "other answers": changed_answers(*answers),
        "rows": len(rows),
    }


def halves_of_the_smallest() -> dict[str, str]:
    """Load a library made with -ffast-math, linked without it and with it.

    Returns
    -------
    dict
        What a child process says, with each library loaded, is half of the
        smallest normal number.
    """
    source = compiling.text_of("linear.c")
    flags = ("-O2", compiling.FAST)
    said = {"apart": str(compiling.build(source, flags))}
    with tempfile.TemporaryDirectory() as place:
        text, made = Path(place, "linear.c"), Path(place, "linear.so")
        text.write_text(source, encoding="utf-8")
        compiler = compiling.tool("cc", "gcc", "clang")
        compiling.run(
            [compiler, *flags, "-shared", "-fPIC", text, "-o", made, "-lm"]
        )
        said["in one go"] = str(made)
        return {
            how: attempt(SMALLEST.format(path=path)).split()[0]
            for how, path in said.items()
        }


def wrong_layout(m: Trained) -> dict[str, float]:
    """Pass columns where C expects rows: past our check, and LightGBM's flag.

    Returns
    -------
    dict
        Share of right labels.
    """
    rows = m.rows[:1000]
    native = NativeLinear(Weights.of(m.linear))
    columns = np.asfortranarray(rows)
    out = np.empty((len(rows), native.classes), np.float32)
    native.function(
        columns.ctypes.data, *native._model, out.ctypes.data, len(rows),
        native.features, native.classes, 1,
    )  # fmt: skip
    with NativeBooster(m.boosted.model_to_string()) as booster:
        flagged = booster(rows, row_major=False)
    labels = m.labels[:1000]
    return {
        "rows": float((native(rows).argmax(1) == labels).mean()),
        "columns": float((out.argmax(1) == labels).mean()),
        "wrong flag": float((flagged.argmax(1) == labels).mean()),
    }


def wrong_columns(m: Trained) -> dict[str, float]:
    """Pass the right features in another order: share of right labels."""
    native = NativeLinear(Weights.of(m.linear))
    other = np.ascontiguousarray(m.rows[:, ::-1])
    return {
        "as learnt": float((native(m.rows).argmax(1) == m.labels).mean()),
        "backwards": float((native(other).argmax(1) == m.labels).mean()),
    }


def undeclared(m: Trained) -> dict[str, float]:
    """Call a function that returns a double without telling ctypes."""
    source = compiling.text_of("linear.c")
    row = m.rows[0]
    answers = {}
    for name, kind in (("undeclared", None), ("declared", ctypes.c_double)):
        mean = compiling.load(source, ("-O2",)).mean
        mean.argtypes = [POINTER, SIZE]
        if kind:
            mean.restype = kind
        answers[name] = float(mean(row.ctypes.data, row.size))
    return answers


def struct_sizes() -> dict[str, int]:
    """Ask NumPy and C how many bytes a node has."""
    loose = np.dtype([(name, NODE[name]) for name in NODE.names or ()])
    library = compiling.load(compiling.text_of("forest.c"))
    library.node_size.restype = ctypes.c_size_t
    return {
        "C": library.node_size(),
        "NumPy, aligned": NODE.itemsize,
        "NumPy": loose.itemsize,
    }


def unloaded() -> str:
    """Call a function whose library is gone, in a child process."""
    path = compiling.build(compiling.text_of("forest.c"))
    return attempt(UNLOADED.format(path=str(path)))


def refused(m: Trained) -> list[str]:
    """Offer to the binding what C would have read; what it says."""
    native = NativeLinear(Weights.of(m.linear))
    row, said = m.rows[:1], []
    for bad in (
        row[0], row[:, :783], row.astype(float), np.asfortranarray(m.rows[:9]),
        row.tolist(),
    ):  # fmt: skip
        try:
            native(bad)
        except InputError as error:
            said.append(str(error))
    return said


def all_traps(m: Trained) -> dict[str, Any]:
    """Run them all; what each showed."""
    return {
        "thresholds": rounded_thresholds(m),
        "nan": nan_under_fast_math(m),
        "subnormal": halves_of_the_smallest(),
        "layout": wrong_layout(m),
        "columns": wrong_columns(m),
        "undeclared": undeclared(m),
        "sizes": struct_sizes(),
        "unloaded": unloaded(),
        "refused": refused(m),
    }
