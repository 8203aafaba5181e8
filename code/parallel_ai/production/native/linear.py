"""Logistic regression in C, bound by ctypes, and the best of Python."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parallel_ai.production.native.compiling import FLAGS, load, text_of

LANES = 16  # of linear.c
POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int


class InputError(ValueError):
    """Rows that must not reach C; the message says what is wrong."""


def checked(rows: Any, features: int) -> np.ndarray:
    """Refuse what C would read wrongly. C gets a pointer, and believes.

    Parameters
    ----------
    rows : array of float32, (n, features)
        One row after the other in memory.

    Returns
    -------
    array
        The same, not a copy.

    Raises
    ------
    InputError
        Type, shape or order in memory are others.
    """
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float32:
        kind = getattr(rows, "dtype", type(rows).__name__)
        raise InputError(f"expected an array of float32, got {kind}")
    if rows.ndim != 2 or rows.shape[1] != features:
        raise InputError(
            f"expected the shape (n, {features}), got {rows.shape}"
        )
    if not rows.flags.c_contiguous:
        raise InputError(
            "the rows do not lie one after the other: np.ascontiguousarray"
        )
    return rows


@dataclass(frozen=True)
class Weights:
    """What a logistic regression has learnt.

    Attributes
    ----------
    matrix : array of float32, (features, classes)
    bias : array of float32, (classes,)
    """

    matrix: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, model: Any) -> "Weights":
        """Take them from scikit-learn's model of three classes or more."""
        return cls(
            np.ascontiguousarray(model.coef_.T, np.float32),
            np.asarray(model.intercept_, np.float32),
        )


class NativeLinear:
    """A logistic regression whose work is done by C.

    Parameters
    ----------
    kernel : str
        ``plain``, ``lanes`` or ``blocked`` of linear.c.
    flags : sequence of str
        For the compiler.
    """

    def __init__(
        self,
        weights: Weights,
        kernel: str = "blocked",
        flags: Sequence[str] = FLAGS,
    ) -> None:
        self.features, self.classes = weights.matrix.shape
        if self.classes > LANES:
            raise InputError(f"more than {LANES} classes: {self.classes}")
        matrix, bias = weights.matrix.T, weights.bias
        if kernel != "plain":
            spare = LANES - self.classes
            matrix = np.pad(weights.matrix, ((0, 0), (0, spare)))
            bias = np.pad(bias, (0, spare))
        # Kept here: C gets their addresses, and knows no reference counts.
        self._matrix = np.ascontiguousarray(matrix, np.float32)
        self._bias = np.ascontiguousarray(bias, np.float32)
        self.library = load(text_of("linear.c"), flags)
        self.function = getattr(self.library, kernel)
        self.function.argtypes = [POINTER] * 4 + [SIZE] * 3 + [INT]
        self.function.restype = None
        self._model = self._matrix.ctypes.data, self._bias.ctypes.data

    def __call__(
        self,
        rows: np.ndarray,
        threads: int = 1,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Compute the probabilities, (n, classes), float32.

        Other Python threads run meanwhile: ctypes lets go of the GIL.
        """
        rows = checked(rows, self.features)
        if out is None:
            out = np.empty((len(rows), self.classes), np.float32)
        elif checked(out, self.classes).shape[0] != len(rows):
            raise InputError(f"out has {len(out)} rows, not {len(rows)}")
        if threads < 1:
            raise InputError(f"expected 1 thread or more, got {threads}")
        self.function(
            rows.ctypes.data, *self._model, out.ctypes.data,
            len(rows), self.features, self.classes, threads,
        )  # fmt: skip
        return out


def numpy_linear(weights: Weights, rows: np.ndarray) -> np.ndarray:
    """Do the same by NumPy, in float32 and with as few arrays as it takes."""
    scores = rows @ weights.matrix
    scores += weights.bias
    scores -= scores.max(1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(1, keepdims=True)
    return scores


def cffi_linear(native: NativeLinear) -> Any:
    """Bind the same function by cffi: one row, one array for the answers."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(
        "void blocked(const float *, const float *, const float *, float *,"
        " ptrdiff_t, ptrdiff_t, ptrdiff_t, int);"
    )
    library = ffi.dlopen(native.library._name)
    w, b = (
        ffi.from_buffer("float[]", part)
        for part in (native._matrix, native._bias)
    )
    out = np.empty((1, native.classes), np.float32)
    answer = ffi.from_buffer("float[]", out, require_writable=True)
    features, classes = native.features, native.classes

    def predict(row: np.ndarray) -> np.ndarray:
        checked(row, features)
        x = ffi.from_buffer("float[]", row)
        library.blocked(x, w, b, answer, len(row), features, classes, 1)
        return out

    return predict


def numba_linear(weights: Weights) -> Any:
    """Compile the same loops by Numba: no compiler needed, no pointers."""
    from numba import njit

    matrix, bias = weights.matrix, weights.bias

    @njit(nogil=True)
    def predict(rows):  # type: ignore[no-untyped-def]
        out = np.empty((len(rows), len(bias)), np.float32)
        for i in range(len(rows)):
            scores = bias.copy()
            for j in range(matrix.shape[0]):
                for k in range(len(scores)):
                    scores[k] += rows[i, j] * matrix[j, k]
            scores -= scores.max()
            parts = np.exp(scores)
            out[i] = parts / parts.sum()
        return out

    return predict
