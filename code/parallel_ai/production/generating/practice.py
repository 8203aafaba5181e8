"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections.abc import Callable

import torch

from parallel_ai.production.generating.costs import cache_bytes
from parallel_ai.production.generating.shapes import Config
from parallel_ai.toolbox.exercises import exercise


def _check_rows(candidate: Callable[..., int]) -> None:
    for config, room, tokens, itemsize in (
        (Config(), 10**6, 100, 4), (Config(), 10**6, 100, 2),
        (Config(64, 5, 8, 8), 10**6, 77, 2), (Config(64, 5, 8, 2), 0, 1, 2),
        (Config(), 230_400, 100, 4), (Config(), 230_399, 100, 4),
        (Config(), -5, 100, 4),
    ):  # fmt: skip
        shape = config.depth, config.pairs, config.each
        right = max(0, int(room // cache_bytes(config, tokens, itemsize)))
        got = candidate(room, *shape, tokens, itemsize)
        assert got == right, (
            f"rows_that_fit({room}, {', '.join(map(str, shape))}, {tokens}, "
            f"{itemsize}) returned {got}, expected {right}"
        )


@exercise(_check_rows)
def rows_that_fit(
    room: int, depth: int, pairs: int, each: int, tokens: int, itemsize: int
) -> int:
    """Say how many sequences can be decoded side by side.

    Parameters
    ----------
    room : int
        Bytes that the weights have left; negative if they do not fit.
    depth, pairs, each : int
        Blocks; heads of keys and values; width of a head.
    tokens : int
        Of each sequence, prompt and answer together.
    itemsize : int
        Bytes of a number.

    Returns
    -------
    int
        Whole sequences whose keys and values have room; at least 0.
    """
    row = 2 * depth * pairs * each * tokens * itemsize
    return max(0, room // row)


def _check_seen(
    candidate: Callable[[torch.Tensor, int], torch.Tensor],
) -> None:
    for lengths, new in (([0], 1), ([3], 1), ([0], 4), ([2, 0, 5], 3)):
        got = candidate(torch.tensor(lengths), new)
        longest = max(lengths) + new
        assert got.shape == (len(lengths), new, longest), (
            f"lengths {lengths} and {new} new tokens: shape "
            f"{tuple(got.shape)}, expected {(len(lengths), new, longest)}"
        )
        for row, before in enumerate(lengths):
            for place in range(new):
                right = [key <= before + place for key in range(longest)]
                assert got[row, place].tolist() == right, (
                    f"lengths {lengths}: new token {place} of row {row} "
                    f"sees {got[row, place].int().tolist()}, expected "
                    f"{[int(one) for one in right]}"
                )


@exercise(_check_seen)
def seen_keys(lengths: torch.Tensor, new: int) -> torch.Tensor:
    """Say which keys each new token may see, in a batch of all lengths.

    Parameters
    ----------
    lengths : tensor of int64, (rows,)
        Tokens that each row has in the cache. Its new ones are written
        behind them.
    new : int
        New tokens of each row.

    Returns
    -------
    tensor of bool, (rows, new, longest)
        ``longest`` is the length of the longest row, with its new tokens.
    """
    where = lengths[:, None] + torch.arange(new)
    return torch.arange(int(lengths.max()) + new) <= where[..., None]


def _check_top_p(
    candidate: Callable[[list[float], float], list[int]],
) -> None:
    for chances, p, right in (
        ([0.5, 0.25, 0.125, 0.125], 0.5, [0]),
        ([0.5, 0.25, 0.125, 0.125], 0.51, [0, 1]),
        ([0.125, 0.5, 0.125, 0.25], 0.75, [1, 3]),
        ([0.125, 0.5, 0.125, 0.25], 0.8, [1, 3, 0]),
        ([0.125, 0.5, 0.125, 0.25], 1.0, [1, 3, 0, 2]),
        ([1.0], 0.1, [0]),
    ):
        got = list(candidate(list(chances), p))
        assert got == right, (
            f"top_p({chances}, {p}) returned {got}, expected {right}"
        )


@exercise(_check_top_p)
def top_p(chances: list[float], p: float) -> list[int]:
    """Choose the fewest tokens that together have probability p.

    Parameters
    ----------
    chances : list of float
        They sum to 1.
    p : float
        Above 0, at most 1.

    Returns
    -------
    list of int
        The most probable first; of equal ones the lower number first. One
        at least.
    """
    order = sorted(range(len(chances)), key=lambda i: -chances[i])
    kept, total = [], 0.0
    for token in order:
        kept.append(token)
        total += chances[token]
        if total >= p:
            break
    return kept
