"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from parallel_ai.toolbox.exercises import exercise


def _check_mean_of_pieces(
    candidate: Callable[[Iterable[tuple[int, float]]], float],
) -> None:
    cases: list[tuple[list[tuple[int, float]], float]] = [
        ([(2, 10.0)], 10.0),
        ([(1, 0.0), (3, 4.0)], 3.0),
        ([(5, 2.0), (0, math.nan), (5, 4.0)], 3.0),
        ([(100, 1.0), (1, 102.0)], 2.0),
    ]
    for pieces, expected in cases:
        got = candidate(iter(pieces))
        assert math.isclose(got, expected), (
            f"mean_of_pieces of {pieces} returned {got}, expected {expected}"
        )
    got = candidate(iter([]))
    assert math.isnan(got), (
        f"mean_of_pieces of nothing returned {got}, expected nan"
    )


@exercise(_check_mean_of_pieces)
def mean_of_pieces(pieces: Iterable[tuple[int, float]]) -> float:
    """Compute a mean from the means of pieces.

    Parameters
    ----------
    pieces : iterable of (int, float)
        Rows of each piece, and the mean of a column over them. May be a
        generator, and longer than the memory. A piece without rows has the
        mean nan.

    Returns
    -------
    float
        The mean over all rows; nan if there are none.
    """
    rows, total = 0, 0.0
    for count, mean in pieces:
        if count:
            rows += count
            total += count * mean
    return total / rows if rows else math.nan


class _StoppedError(BaseException):
    """The program is stopped here, as by Ctrl-C."""


def _check_finish(
    candidate: Callable[[Sequence[str], Path, Callable[[str], bytes]], list],
) -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        if name == stop_at:
            raise _StoppedError
        return name.encode() * 1000

    def cut(*arguments: object, **options: object) -> None:
        raise _StoppedError

    names = ["a", "b", "c"]
    with tempfile.TemporaryDirectory() as room:
        folder = Path(room)
        stop_at = "b"
        try:
            candidate(names, folder, make)
        except _StoppedError:
            pass
        else:
            raise AssertionError("finish hid that the program was stopped")
        stop_at = ""
        made.clear()
        got = candidate(names, folder, make)
        assert made == ["b", "c"], (
            f"stopped at b and called again, finish made {made}, "
            "expected ['b', 'c']"
        )
        assert got == ["b", "c"], (
            f"finish returned {got}, expected what it made: ['b', 'c']"
        )
        there = {path.name for path in folder.iterdir()}
        assert there == set(names), f"the folder holds {sorted(there)}"
        for name in names:
            assert (folder / name).read_bytes() == name.encode() * 1000, (
                f"the file {name} does not hold what make returned"
            )
        (folder / "a").unlink()
        before, os.replace = os.replace, cut
        try:
            candidate(names, folder, make)
        except _StoppedError:
            pass
        finally:
            os.replace = before
        assert not (folder / "a").exists(), (
            "stopped before os.replace, and there is a file under the last "
            "name already: it may be half written"
        )


@exercise(_check_finish)
def finish(
    names: Sequence[str], folder: Path, make: Callable[[str], bytes]
) -> list[str]:
    """Make the files that are missing, so that it can be killed at any time.

    A file is there entirely or not at all: write under another name first,
    in the same folder, then call `os.replace`.

    Parameters
    ----------
    names : sequence of str
        Of the files wanted.
    folder : Path
        Exists, and may hold some of them.
    make : callable
        Takes a name, and returns the content as bytes.

    Returns
    -------
    list of str
        Names of those that were made now, in order.
    """
    done = []
    for name in names:
        if not (folder / name).exists():
            draft = folder / f".{name}.draft"
            draft.write_bytes(make(name))
            os.replace(draft, folder / name)
            done.append(name)
    return done


def _check_disk_reads(
    candidate: Callable[[Sequence[str], Mapping[str, int], int], int],
) -> None:
    ones = dict.fromkeys("abcd", 1)
    cases: list[tuple[str, dict[str, int], int, int]] = [
        ("", ones, 2, 0),
        ("abab", ones, 2, 0),
        ("abcabc", ones, 2, 3),
        ("abcabc", ones, 3, 0),
        ("abcacb", ones, 2, 2),
        ("abcbca", ones, 2, 1),
        ("aabbcca", ones, 2, 1),
        ("abca", {"a": 1, "b": 1, "c": 2}, 3, 1),
        ("abcb", {"a": 1, "b": 1, "c": 2}, 3, 0),
        ("abaca", ones, 2, 0),
        ("abcdabcdabcd", ones, 3, 8),
        ("abcdabcdabcd", ones, 4, 0),
    ]
    for order, sizes, room, expected in cases:
        got = candidate(list(order), sizes, room)
        assert got == expected, (
            f"disk_reads({list(order)}, {sizes}, {room}) returned {got}, "
            f"expected {expected}"
        )


@exercise(_check_disk_reads)
def disk_reads(
    order: Sequence[str], sizes: Mapping[str, int], room: int
) -> int:
    """Count how often a worker reads back what it has spilled.

    The first time that a name comes, it is computed and kept in memory. If
    more than `room` is kept then, the one that was not used for the longest
    time is spilled to disk, and so on until the rest has room. A name that
    comes again is used: from memory, or read back from disk, which takes
    room again. Nothing is larger than `room`.

    Parameters
    ----------
    order : sequence of str
        Names, as they are used.
    sizes : mapping of str to int
    room : int

    Returns
    -------
    int
        Times that a name was read from disk.
    """
    kept: OrderedDict[str, int] = OrderedDict()
    spilled: set[str] = set()
    reads = 0
    for name in order:
        if name in spilled:
            spilled.remove(name)
            reads += 1
        kept[name] = sizes[name]
        kept.move_to_end(name)
        while sum(kept.values()) > room:
            oldest, _ = kept.popitem(last=False)
            spilled.add(oldest)
    return reads
