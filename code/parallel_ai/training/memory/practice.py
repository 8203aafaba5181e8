"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections.abc import Callable

from parallel_ai.toolbox.exercises import exercise
from parallel_ai.training.memory.planning import need
from parallel_ai.training.memory.recomputing import segments_peak


def _check_bytes(candidate: Callable[[int, int, int], int]) -> None:
    for count, size, stage in (
        (1000, 1, 0), (1000, 8, 0), (1000, 8, 1), (1000, 8, 2),
        (1000, 8, 3), (10, 4, 3), (10, 4, 1),
    ):  # fmt: skip
        expected = need(count, size, stage).total
        got = candidate(count, size, stage)
        assert got == expected, (
            f"bytes_on_rank({count}, {size}, {stage}) returned {got}, "
            f"expected {expected}: 2 + 2 bytes and 12 of states a parameter; "
            "shares are rounded up"
        )


@exercise(_check_bytes)
def bytes_on_rank(count: int, ranks: int, stage: int) -> int:
    """Bytes of parameters, gradients, states that a rank holds.

    Parameters
    ----------
    count : int
        Parameters: 2 bytes each, 2 for the gradient, 12 for the states.
    ranks : int
        A share is padded, so that all shares are equal.
    stage : int
        0: all on each rank; 1: states divided; 2: gradients too; 3:
        parameters too.

    Returns
    -------
    int
    """
    share = -(-count // ranks)
    return (
        2 * (share if stage == 3 else count)
        + 2 * (share if stage >= 2 else count)
        + 12 * (share if stage >= 1 else count)
    )


def _check_peak(
    candidate: Callable[[list[tuple[int, int, int]]], int],
) -> None:
    cases: list[tuple[list[tuple[int, int, int]], int]] = [
        ([(5, 0, 3)], 5),
        ([(5, 0, 3), (7, 3, 4)], 7),
        ([(5, 0, 3), (7, 2, 4)], 12),
        ([(1, 0, 9), (2, 1, 8), (4, 2, 7), (8, 7, 9)], 11),
        ([], 0),
    ]
    for lives, expected in cases:
        got = candidate(list(lives))
        assert got == expected, (
            f"peak_of({lives}) returned {got}, expected {expected}: what is "
            "given back at a moment is gone before something new comes"
        )


@exercise(_check_peak)
def peak_of(lives: list[tuple[int, int, int]]) -> int:
    """Find the most bytes that are held at one moment.

    Parameters
    ----------
    lives : list of tuple of int
        Of each tensor: its bytes, when it comes, when it is given back
        (later). At one moment, things are given back before others come.

    Returns
    -------
    int
    """
    events = [(came, 1, size) for size, came, _ in lives]
    events += [(gone, 0, -size) for size, _, gone in lives]
    held = most = 0
    for _, _, change in sorted(events):
        held += change
        most = max(most, held)
    return most


def _check_segments(candidate: Callable[[int, int, int], int]) -> None:
    for depth, boundary, inner in (
        (16, 1, 1), (16, 1, 12), (100, 1, 1), (7, 3, 2), (1, 1, 1),
    ):  # fmt: skip
        got = candidate(depth, boundary, inner)
        assert got in range(1, depth + 1), (
            f"best_segments({depth}, {boundary}, {inner}) returned {got}: "
            f"there are from 1 to {depth} segments"
        )
        counts = range(1, depth + 1)
        peaks = {n: segments_peak(n, depth, boundary, inner) for n in counts}
        least = min(peaks.values())
        assert peaks[got] == least, (
            f"best_segments({depth}, {boundary}, {inner}) returned {got}, "
            f"which needs {peaks[got]}; {least} is possible"
        )


@exercise(_check_segments)
def best_segments(depth: int, boundary: int, inner: int) -> int:
    """Find the number of segments whose peak is lowest.

    Parameters
    ----------
    depth : int
        Layers, at least one. The longest segment has depth / count of them,
        rounded up.
    boundary : int
        Bytes that each segment saves: its input.
    inner : int
        Bytes that each layer of the segment in work saves.

    Returns
    -------
    int
        From 1 to `depth`.
    """
    return min(
        range(1, depth + 1),
        key=lambda count: count * boundary + -(-depth // count) * inner,
    )
