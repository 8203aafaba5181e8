"""Passes over memory: one expression, five ways to execute it."""

import numpy as np
from numba import njit, prange

BLOCK = 1 << 15  # numbers: 128 KiB of float32, which a level 2 cache holds


def standardise(
    pixels: np.ndarray, mean: np.float32, deviation: np.float32
) -> np.ndarray:
    """Bring pixels to mean 0 and deviation 1, as one writes it.

    Parameters
    ----------
    pixels : array of shape (n,), uint8
    mean, deviation : float32
        Of all pixels; the deviation is not 0.

    Returns
    -------
    array of shape (n,), float32
    """
    return (pixels.astype(np.float32) - mean) / deviation


def standardise_in_place(
    pixels: np.ndarray,
    mean: np.float32,
    deviation: np.float32,
    out: np.ndarray,
) -> np.ndarray:
    """Do the same in memory that is there already: an array (n,), float32."""
    np.subtract(pixels, mean, out=out, dtype=np.float32)
    return np.divide(out, deviation, out=out)


def standardise_blocked(
    pixels: np.ndarray,
    mean: np.float32,
    deviation: np.float32,
    out: np.ndarray,
) -> np.ndarray:
    """Do the same block by block: the second pass finds it in the cache."""
    for start in range(0, len(pixels), BLOCK):
        part = slice(start, start + BLOCK)
        standardise_in_place(pixels[part], mean, deviation, out[part])
    return out


@njit(nogil=True)
def standardise_fused(
    pixels: np.ndarray,
    mean: np.float32,
    deviation: np.float32,
    out: np.ndarray,
) -> np.ndarray:  # pragma: no cover
    """Do the same in one pass: nothing but the result is ever stored."""
    for i in range(pixels.size):
        out[i] = (np.float32(pixels[i]) - mean) / deviation
    return out


@njit(parallel=True, nogil=True)
def standardise_parallel(
    pixels: np.ndarray,
    mean: np.float32,
    deviation: np.float32,
    out: np.ndarray,
) -> np.ndarray:  # pragma: no cover
    """Do the same in one pass, divided among threads."""
    for i in prange(pixels.size):
        out[i] = (np.float32(pixels[i]) - mean) / deviation
    return out
