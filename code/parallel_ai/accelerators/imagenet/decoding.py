"""JPEG files to pixels: serial, by threads, by processes, with bad files.

Pillow lets go of the interpreter's lock while libjpeg decodes, so threads
decode side by side, and processes have nothing to add but copies.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from parallel_ai.toolbox.workers import LIMIT, SAFE, bounds, executor

SIDE = 224  # pixels that ImageNet's models take
ON_ERROR = ("skip", "raise")

Paths = Sequence[str | PathLike[str]]


class BadImageError(ValueError):
    """A file is no image, or not a whole one; the message names it."""


@dataclass(frozen=True)
class Fault:
    """A file that could not be decoded, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Decoded:
    """Pixels of the good files, and what is to be said of the others.

    Attributes
    ----------
    pixels : array of uint8, (good, side, side, 3)
    kept : list of int
        Which of the paths they are of, in order.
    faults : list of Fault
        The others, in order. Each path is in one of both.
    """

    pixels: np.ndarray
    kept: list[int]
    faults: list[Fault]


def decode(
    path: str | PathLike[str], side: int = SIDE, draft: bool = False
) -> np.ndarray:
    """Decode a picture as ImageNet's models want it.

    The shorter side becomes 8/7 of what is wanted (256 for 224), and the
    middle is cut out.

    Parameters
    ----------
    draft : bool
        Let libjpeg make the picture smaller while it decodes, by 2, 4 or 8,
        as far as both sides stay as large as needed.

    Returns
    -------
    array of uint8, (side, side, 3)

    Raises
    ------
    BadImageError
        Missing, empty, no image, or cut short.
    """
    short = side * 8 // 7
    try:
        with Image.open(path) as image:
            if draft:
                image.draft("RGB", (short, short))
            width, height = image.size
            if width <= height:
                size = short, int(short * height / width)
            else:
                size = int(short * width / height), short
            small = image.convert("RGB").resize(
                size, Image.Resampling.BILINEAR
            )
    except (
        OSError, SyntaxError, ValueError, Image.DecompressionBombError
    ) as error:  # fmt: skip
        reason = str(error).replace(str(path), Path(path).name)
        raise BadImageError(
            f"{path}: {type(error).__name__}: {reason}"
        ) from error
    left, top = (round((length - side) / 2) for length in size)
    return np.array(small.crop((left, top, left + side, top + side)))


def decode_serial(
    paths: Paths,
    side: int = SIDE,
    workers: int = 1,
    on_error: str = "skip",
    draft: bool = False,
) -> Decoded:
    """Decode one picture after the other.

    Parameters
    ----------
    workers : int
        Here for the sake of the same signature: there is one.
    on_error : str
        "skip" leaves bad files out and names them in the result, "raise"
        stops at the first.

    Raises
    ------
    ValueError
        `on_error` is another word.
    BadImageError
        With ``on_error="raise"``.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error is one of {ON_ERROR}, not {on_error!r}")
    pixels, kept, faults = [], [], []
    for number, path in enumerate(paths):
        try:
            pixels.append(decode(path, side, draft))
            kept.append(number)
        except BadImageError as error:
            if on_error == "raise":
                raise
            reason = str(error).removeprefix(f"{path}: ")
            faults.append(Fault(str(path), reason))
    shape = (-1, side, side, 3)
    whole = np.stack(pixels) if pixels else np.empty(0, np.uint8)
    return Decoded(whole.reshape(shape), kept, faults)


def decode_by(
    team: Executor,
    paths: Paths,
    side: int = SIDE,
    workers: int = 2,
    on_error: str = "skip",
    draft: bool = False,
) -> Decoded:
    """Cut the list of paths in pieces; each worker decodes its own piece.

    Parameters
    ----------
    team : Executor
        Of threads or of processes, with as many workers at least.
    """
    edges = bounds(len(paths), workers) or [(0, 0)]
    parts = [
        team.submit(decode_serial, paths[a:b], side, 1, on_error, draft)
        for a, b in edges
    ]
    try:
        done = [part.result(timeout=LIMIT) for part in parts]
    finally:
        for part in parts:
            part.cancel()
    return Decoded(
        np.concatenate([one.pixels for one in done]),
        [
            a + k
            for (a, _), one in zip(edges, done, strict=True)
            for k in one.kept
        ],
        [fault for one in done for fault in one.faults],
    )


def decode_threads(
    paths: Paths,
    side: int = SIDE,
    workers: int = 2,
    on_error: str = "skip",
    draft: bool = False,
) -> Decoded:
    """Decode by threads; parameters and result are those of the serial one."""
    with ThreadPoolExecutor(workers) as team:
        return decode_by(team, paths, side, workers, on_error, draft)


@contextmanager
def process_team(workers: int) -> Iterator[Executor]:
    """Open a team of processes that share what they have imported.

    A worker finds `decode_serial` by importing this chapter, and PyTorch
    with it. A fork server does so once, before it makes the first worker.
    """
    if SAFE == "forkserver":
        forkserver.set_forkserver_preload([__name__])
        forkserver.ensure_running()
    with executor(workers) as team:
        yield team


def decode_processes(
    paths: Paths,
    side: int = SIDE,
    workers: int = 2,
    on_error: str = "skip",
    draft: bool = False,
) -> Decoded:
    """Decode by processes, which are started and ended in here."""
    with process_team(workers) as team:
        return decode_by(team, paths, side, workers, on_error, draft)
