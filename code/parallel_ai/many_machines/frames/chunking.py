"""Arrays in chunks: blocks of NumPy arrays under one shape."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from scipy import ndimage

from parallel_ai.toolbox.stopwatch import Timing, compare

SIGMA = 2.0  # pixels: how wide the blur is
REACH = 8  # pixels: further away nothing counts, by `truncate` below


def saved(images: np.ndarray, file: str | Path) -> str:
    """Save an array where every worker can open it."""
    np.save(file, images)
    return str(file)


def block_of(file: str, start: int, stop: int) -> np.ndarray:
    """Read some rows of a saved array, and nothing else of it."""
    return np.array(np.load(file, mmap_mode="r")[start:stop])


def array_from(file: str, rows: int) -> da.Array:
    """Open a saved array in chunks of so many rows; reads none of them.

    What is in the graph is the file's name and where each chunk begins.
    """
    whole = np.load(file, mmap_mode="r")
    starts = range(0, max(len(whole), 1), rows)
    read = dask.delayed(block_of, pure=True)
    blocks = [
        da.from_delayed(
            read(file, start, min(start + rows, len(whole))),
            shape=(min(rows, len(whole) - start), *whole.shape[1:]),
            dtype=whole.dtype,
        )
        for start in starts
    ]
    return da.concatenate(blocks)


def mean_image(images: Any) -> Any:
    """Mean of each pixel over all images; of a NumPy or a Dask array."""
    return images.mean(axis=0, dtype=np.float64)


def gram(rows: Any) -> Any:
    """Product of a tall matrix's transpose with itself: small and square."""
    return rows.T @ rows


def mosaic(images: np.ndarray, side: int) -> np.ndarray:
    """Lay side × side images out as one large picture.

    Parameters
    ----------
    images : array of shape (n, height, width)
        At least side × side of them.

    Returns
    -------
    array of shape (side * height, side * width)
    """
    _, height, width = images.shape
    tiles = images[: side * side].reshape(side, side, height, width)
    return tiles.swapaxes(1, 2).reshape(side * height, side * width)


def blurred(picture: np.ndarray) -> np.ndarray:
    """Blur a picture: each pixel needs its neighbours, `REACH` pixels far."""
    return ndimage.gaussian_filter(
        picture.astype(np.float32), SIGMA, truncate=REACH / SIGMA
    )


def blurred_alone(picture: da.Array) -> da.Array:
    """Blur every chunk as if there were no other: wrong at their seams."""
    return da.map_blocks(blurred, picture, dtype=np.float32)


def blurred_together(picture: da.Array) -> da.Array:
    """Blur chunks with a rim of their neighbours, which is then cut off."""
    return da.map_overlap(
        blurred, picture, depth=REACH, boundary="reflect", dtype=np.float32
    )


def chunk_costs(
    file: str, rows: list[int], repeats: int = 3
) -> dict[str, Timing]:
    """Time the mean image for several sizes of chunk, and with NumPy.

    The file is in the memory of the system after the first reading. Needs
    a running cluster.
    """

    def whole() -> np.ndarray:
        return mean_image(np.load(file))

    def in_chunks(size: int) -> np.ndarray:
        return mean_image(array_from(file, size)).compute()

    ways: dict[str, Any] = {"NumPy": whole}
    ways |= {f"{size:,} images": partial(in_chunks, size) for size in rows}
    return compare(ways, repeats)
