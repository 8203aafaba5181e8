"""Trees outside of Python: as branches of C or Java, and as data."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parallel_ai.production.native.compiling import FLAGS, load, text_of
from parallel_ai.production.native.linear import (
    INT,
    POINTER,
    SIZE,
    InputError,
    checked,
)

NODE = np.dtype(
    [("feature", np.int16), ("threshold", np.float32), ("left", np.int32)],
    align=True,  # as a C compiler lays it out
)
TREES_C = """#include <stddef.h>
static const float leaves[][{classes}] = {{
{leaves}
}};
{trees}
void forest(const float *x, float *out, ptrdiff_t rows, ptrdiff_t features,
            int threads)
{{
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (ptrdiff_t i = 0; i < rows; i++) {{
        const float *row = x + i * features;
        const int at[] = {{{calls}}};
        double sum[{classes}] = {{0}};
        for (int t = 0; t < {count}; t++)
            for (int k = 0; k < {classes}; k++)
                sum[k] += leaves[at[t]][k];
        for (int k = 0; k < {classes}; k++)
            out[i * {classes} + k] = (float)(sum[k] / {count});
    }}
}}
"""


@dataclass(frozen=True)
class Tree:
    """A decision tree as arrays; node 0 is the root.

    Attributes
    ----------
    feature, left, right : array of int, (nodes,)
        ``left`` is -1 in a leaf.
    threshold : array of float64, (nodes,)
        A row goes left where its feature is not greater.
    value : array of float32, (nodes, classes)
        Shares of the classes.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray


def trees_of(model: Any) -> list[Tree]:
    """Take the trees out of scikit-learn's random forest."""
    inner = [estimator.tree_ for estimator in model.estimators_]
    return [
        Tree(
            t.feature, t.threshold, t.children_left, t.children_right,
            (t.value[:, 0] / t.value[:, 0].sum(1, keepdims=True)).astype("f4"),
        )
        for t in inner
    ]  # fmt: skip


def below(threshold: np.ndarray) -> np.ndarray:
    """Round thresholds to float32, never up.

    For every x of float32, x <= t holds exactly if x <= below(t): between
    the two lies no number that a float32 could be. Rounding to nearest may
    go up, and then rows turn left that should turn right.
    """
    wide = np.asarray(threshold, np.float64)
    with np.errstate(over="ignore"):
        near = wide.astype(np.float32)
    lower = np.nextafter(near, np.float32(-np.inf))
    return np.where(near.astype(np.float64) > wide, lower, near)


def branches(
    tree: Tree, numbers: Sequence[str], first: int, node: int = 0
) -> Iterator[str]:
    """Write a tree as nested branches, valid in C and in Java.

    Parameters
    ----------
    numbers : sequence of str
        The thresholds as the language writes them.
    first : int
        Number of this tree's first leaf; leaves are numbered by node.
    """
    if tree.left[node] < 0:
        yield f"return {first + node};"
        return
    yield f"if (x[{tree.feature[node]}] <= {numbers[node]}) {{"
    yield from branches(tree, numbers, first, int(tree.left[node]))
    yield "} else {"
    yield from branches(tree, numbers, first, int(tree.right[node]))
    yield "}"


def functions(trees: Sequence[Tree], head: str, nearest: bool) -> list[str]:
    """Write each tree as a function that returns the number of its leaf.

    Parameters
    ----------
    head : str
        Such as ``static int tree{}(const float *x)``.
    nearest : bool
        Round thresholds to nearest: the trap.
    """
    texts, first = [], 0
    for number, tree in enumerate(trees):
        short = tree.threshold.astype("f4") if nearest else None
        kept = below(tree.threshold) if short is None else short
        numbers = [f"{float(t).hex()}f" for t in kept]  # exact, and no digits
        body = "\n".join(branches(tree, numbers, first))
        texts.append(f"{head.format(number)} {{\n{body}\n}}")
        first += len(tree.value)
    return texts


def forest_source(trees: Sequence[Tree], nearest: bool = False) -> str:
    """Write a forest as a program of C."""
    values = np.concatenate([tree.value for tree in trees])
    lines = [
        "{" + ",".join(f"{float(v).hex()}f" for v in row) + "}"
        for row in values
    ]
    head = "static int tree{}(const float *x)"
    return TREES_C.format(
        classes=values.shape[1],
        leaves=",\n".join(lines),
        trees="\n".join(functions(trees, head, nearest)),
        calls=", ".join(f"tree{t}(row)" for t in range(len(trees))),
        count=len(trees),
    )


class CompiledForest:
    """A forest as branches: its thresholds are machine code."""

    def __init__(
        self,
        trees: Sequence[Tree],
        features: int,
        flags: Sequence[str] = ("-O1", "-fopenmp"),
        nearest: bool = False,
    ) -> None:
        self.features, self.classes = features, trees[0].value.shape[1]
        self.source = forest_source(trees, nearest)
        self.function = load(self.source, flags).forest
        self.function.argtypes = [POINTER] * 2 + [SIZE] * 2 + [INT]
        self.function.restype = None

    def __call__(self, rows: np.ndarray, threads: int = 1) -> np.ndarray:
        """Compute the probabilities, (n, classes), float32."""
        rows = checked(rows, self.features)
        out = np.empty((len(rows), self.classes), np.float32)
        self.function(
            rows.ctypes.data, out.ctypes.data, len(rows), self.features,
            threads,
        )  # fmt: skip
        return out


def packed(trees: Sequence[Tree]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay a forest out for forest.c: brothers beside each other.

    Returns
    -------
    nodes : array of NODE
    roots : array of int32, (trees,)
    leaves : array of float32, (leaves, classes)
    """
    nodes: list[tuple[int, float, int]] = []
    leaves: list[np.ndarray] = []
    roots = []
    for tree in trees:
        roots.append(len(nodes))
        low = below(tree.threshold)
        queue, nodes = [(0, len(nodes))], [*nodes, (0, 0.0, 0)]
        for node, place in queue:
            if tree.left[node] < 0:
                nodes[place] = (-1, 0.0, len(leaves))
                leaves.append(tree.value[node])
                continue
            left = len(nodes)
            nodes[place] = (int(tree.feature[node]), float(low[node]), left)
            nodes += [(0, 0.0, 0)] * 2
            queue += [
                (int(tree.left[node]), left),
                (int(tree.right[node]), left + 1),
            ]
    return (
        np.array(nodes, NODE),
        np.array(roots, np.int32),
        np.ascontiguousarray(leaves, np.float32),
    )


class PackedForest:
    """A forest as data: forest.c is compiled once for all forests."""

    def __init__(
        self,
        trees: Sequence[Tree],
        features: int,
        flags: Sequence[str] = FLAGS,
    ) -> None:
        self.features, self.trees = features, len(trees)
        self._parts = packed(trees)
        self.classes = self._parts[2].shape[1]
        if self.classes > 64 or features > np.iinfo(np.int16).max:
            raise InputError("forest.c knows 64 classes and 32,767 features")
        library = load(text_of("forest.c"), flags)
        library.node_size.restype = ctypes.c_size_t
        if library.node_size() != NODE.itemsize:
            raise InputError(
                f"a node has {library.node_size()} bytes in C, "
                f"{NODE.itemsize} in NumPy"
            )
        self.function = library.walk
        self.function.argtypes = [POINTER] * 5 + [SIZE] * 4 + [INT]
        self.function.restype = None
        self._model = [part.ctypes.data for part in self._parts]

    def __call__(self, rows: np.ndarray, threads: int = 1) -> np.ndarray:
        """Compute the probabilities, (n, classes), float32."""
        rows = checked(rows, self.features)
        out = np.empty((len(rows), self.classes), np.float32)
        self.function(
            rows.ctypes.data, *self._model, out.ctypes.data, len(rows),
            self.features, self.classes, self.trees, threads,
        )  # fmt: skip
        return out


def cython_forest(model: Any, rows: np.ndarray) -> np.ndarray:
    """Ask scikit-learn's own compiled trees, past joblib and the checks."""
    total = sum(one.tree_.predict(rows) for one in model.estimators_)
    return np.asarray(total[:, 0] if total.ndim == 3 else total) / len(
        model.estimators_
    )
