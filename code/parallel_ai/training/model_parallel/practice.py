"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import itertools
import math
from collections.abc import Callable, Sequence

from parallel_ai.toolbox.exercises import exercise


def _slowest(costs: Sequence[float], cuts: Sequence[int]) -> float:
    return max(sum(costs[a:b]) for a, b in itertools.pairwise(cuts))


def _check_cuts(
    candidate: Callable[[list[float], int], list[int]],
) -> None:
    for costs, stages in (
        ([1, 1, 1, 1], 2), ([1, 1, 1, 1, 6], 2), ([5, 1, 1, 1, 1, 1], 3),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 3), ([4], 1), ([2, 2, 9, 2, 2], 4),
    ):  # fmt: skip
        got = list(candidate([float(c) for c in costs], stages))
        ends = [0, *got[1:-1], len(costs)]
        assert got == ends == sorted(set(got)), (
            f"balance({costs}, {stages}) returned {got}: cuts begin with 0, "
            f"end with {len(costs)}, and no stage is empty"
        )
        assert len(got) == stages + 1, (
            f"balance({costs}, {stages}) returned {len(got) - 1} stages"
        )
        inner = itertools.combinations(range(1, len(costs)), stages - 1)
        best = min(_slowest(costs, (0, *i, len(costs))) for i in inner)
        slowest = _slowest(costs, got)
        assert slowest == best, (
            f"balance({costs}, {stages}): the slowest stage of {got} takes "
            f"{slowest}, it can be {best}"
        )


@exercise(_check_cuts)
def balance(costs: list[float], stages: int) -> list[int]:
    """Cut layers into stages so that the slowest stage is as fast as can be.

    Parameters
    ----------
    costs : list of float
        Seconds of each layer; at least as many as stages.
    stages : int

    Returns
    -------
    list of int
        Stage s has the layers from the s-th of these numbers to before the
        next one. The first is 0, the last the number of layers.
    """
    count = len(costs)
    best = {n: (sum(costs[:n]), [0, n]) for n in range(1, count + 1)}
    for used in range(2, stages + 1):
        best = {
            n: min(
                (max(best[k][0], sum(costs[k:n])), [*best[k][1], n])
                for k in range(used - 1, n)
            )
            for n in range(used, count + 1)
        }
    return best[count][1]


def _check_rows(candidate: Callable[[int, int, int], list[int]]) -> None:
    for width, size in ((8, 1), (8, 2), (12, 3), (16, 4)):
        each = width // size
        seen = []
        for rank in range(size):
            got = list(candidate(width, rank, size))
            seen += got
            kinds = [row // width for row in got]
            assert [kinds.count(kind) for kind in range(3)] == [each] * 3, (
                f"qkv_rows({width}, {rank}, {size}) returned {got}: a rank "
                f"needs {each} rows of q, of k and of v"
            )
            places = [
                [row % width for row in got if row // width == kind]
                for kind in range(3)
            ]
            assert places[0] == places[1] == places[2], (
                f"qkv_rows({width}, {rank}, {size}): q, k and v of other heads"
            )
        assert sorted(seen) == list(range(3 * width)), (
            f"width {width}, {size} ranks: together they have {sorted(seen)}"
        )


@exercise(_check_rows)
def qkv_rows(width: int, rank: int, size: int) -> list[int]:
    """Say which rows of a fused q, k, v weight a rank of a team needs.

    Parameters
    ----------
    width : int
        The weight has 3 · width rows: those of q, of k, of v. Heads are
        neighbouring rows, and the ranks have equally many.
    rank, size : int

    Returns
    -------
    list of int
    """
    each = width // size
    return [
        kind * width + rank * each + row
        for kind in range(3)
        for row in range(each)
    ]


def _check_parts(
    candidate: Callable[[list[tuple[float, float, float]]], float],
) -> None:
    for parts in (
        [[1.0, 2.0, 3.0]], [[1.0, 2.0], [3.0, 0.0]],
        [[1000.0], [1001.0], [999.0]], [[-800.0, -900.0], [-801.0]],
    ):  # fmt: skip
        flat = [value for part in parts for value in part]
        top = max(flat)
        expected = math.log(sum(math.exp(v - top) for v in flat)) + top
        expected -= parts[0][0]
        told = [
            (
                max(part),
                sum(math.exp(v - max(part)) for v in part),
                part[0] if number == 0 else 0.0,
            )
            for number, part in enumerate(parts)
        ]
        got = candidate(list(told))
        assert math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-9), (
            f"loss_of_parts for logits {parts} returned {got}, expected "
            f"{expected}"
        )


@exercise(_check_parts)
def loss_of_parts(parts: list[tuple[float, float, float]]) -> float:
    """Compute a token's cross-entropy from what each rank says of its classes.

    Parameters
    ----------
    parts : list of tuple of float
        Of each rank: its largest logit; the sum of exp(logit - largest) of
        its logits; the target's logit, or 0 if the target is not its own.

    Returns
    -------
    float
        Logits may be large: exp(1000) has no value.
    """
    top = max(largest for largest, _, _ in parts)
    mass = sum(total * math.exp(one - top) for one, total, _ in parts)
    return math.log(mass) + top - sum(right for _, _, right in parts)
