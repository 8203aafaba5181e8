"""One score for each picture, five times: from Python's loop to BLAS."""

import re
from typing import Any

import numpy as np
from numba import njit, prange

# What a compiler may not do by itself and we allow: add in another order
# (so that lanes get sums of their own), round once in a * b + c instead of
# twice, and take -0.0 for 0.0. Not `fastmath=True`: it forgets NaN, too.
ORDER = {"reassoc", "contract", "nsz"}


def scores_python(images: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Score pictures by their inner product with a template.

    Parameters
    ----------
    images : array of shape (n, pixels), float32
    template : array of shape (pixels,), float32

    Returns
    -------
    array of shape (n,), float32
    """
    weights = template.tolist()
    found = []
    for image in images.tolist():
        total = 0.0
        for pixel, weight in zip(image, weights, strict=True):
            total += pixel * weight
        found.append(total)
    return np.array(found, np.float32)


@njit(nogil=True)
def scores_scalar(
    images: np.ndarray, template: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Score the same by the same loop, compiled: one number at a time."""
    found = np.empty(images.shape[0], np.float32)
    for i in range(images.shape[0]):
        total = np.float32(0)
        for j in range(images.shape[1]):
            total += images[i, j] * template[j]
        found[i] = total
    return found


@njit(nogil=True, fastmath=ORDER)
def scores_lanes(
    images: np.ndarray, template: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Score the same; the compiler may add in any order, so in lanes."""
    found = np.empty(images.shape[0], np.float32)
    for i in range(images.shape[0]):
        total = np.float32(0)
        for j in range(images.shape[1]):
            total += images[i, j] * template[j]
        found[i] = total
    return found


@njit(parallel=True, nogil=True, fastmath=ORDER)
def scores_parallel(
    images: np.ndarray, template: np.ndarray
) -> np.ndarray:  # pragma: no cover
    """Score the same; the pictures are divided among threads."""
    found = np.empty(images.shape[0], np.float32)
    for i in prange(images.shape[0]):
        total = np.float32(0)
        for j in range(images.shape[1]):
            total += images[i, j] * template[j]
        found[i] = total
    return found


def scores_blas(images: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Score the same by NumPy, which calls BLAS."""
    return images @ template


# Additions and multiplications in the assembly of x86 and of ARM. There, the
# last letters are the kind: scalar (s) or packed (p), single or double.
# Here, the first register tells: s0 and d0 hold one number, v0 several.
X86 = re.compile(r"\bv?(?:f(?:n?m)(?:add|sub)\d+|add|mul)([sp])[sd]\s")
ARM = re.compile(r"\b(?:fmadd|fmla|fadd|fmul)(?:\.\w+)?\s+([sdvz])\d+")


def arithmetic(kernel: Any) -> dict[str, int]:
    """Count the arithmetic instructions in a compiled function.

    Parameters
    ----------
    kernel : function compiled by Numba
        Already called, so that there is machine code to look at.

    Returns
    -------
    dict
        ``scalar`` and ``packed``: floating-point additions and
        multiplications (fused ones count once) of one number, and of a
        register full of numbers.

    Raises
    ------
    ValueError
        The function has not been compiled yet.
    """
    codes = list(kernel.inspect_asm().values())
    if not codes:
        raise ValueError(f"{kernel.__name__} has not been called yet")
    kinds = [
        kind
        for code in codes
        for pattern in (X86, ARM)
        for kind in pattern.findall(code)
    ]
    packed = sum(kind in "pvz" for kind in kinds)
    return {"scalar": len(kinds) - packed, "packed": packed}
