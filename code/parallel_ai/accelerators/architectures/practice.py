"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from parallel_ai.toolbox.exercises import exercise

State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _state(scores: torch.Tensor, values: torch.Tensor) -> State:
    best = scores.amax(-1, keepdim=True)
    powers = (scores - best).exp()
    return best, powers.sum(-1, keepdim=True), powers @ values


def _check_merge(candidate: Callable[[State, State], State]) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(5, 12, generator=generator)
    values = torch.randn(12, 4, generator=generator)
    for shift in (0.0, 500.0, -500.0):
        scores[:, 7:] += shift
        whole = _state(scores, values)
        one = _state(scores[:, :7], values[:7])
        two = _state(scores[:, 7:], values[7:])
        for pair in ((one, two), (two, one)):
            kept = [tensor.clone() for state in pair for tensor in state]
            got = candidate(*pair)
            assert len(got) == 3, "merge returns best, mass and mixed"
            same = zip(kept, [*pair[0], *pair[1]], strict=True)
            assert all(torch.equal(a, b) for a, b in same), (
                "the states that came in were changed"
            )
            for name, mine, right in zip(
                ("best", "mass", "mixed"), got, whole, strict=True
            ):
                assert torch.allclose(mine, right, rtol=1e-4, atol=1e-5), (
                    f"scores of the second half shifted by {shift:.0f}: "
                    f"{name} differs from that of all keys at once"
                )


@exercise(_check_merge)
def merge(one: State, two: State) -> State:
    """Merge what attention found among two groups of keys.

    Parameters
    ----------
    one, two : tuple of tensor
        ``best``, the largest score of each query, (queries, 1); ``mass``,
        the sum of exp(score - best), (queries, 1); ``mixed``, the values
        with these weights, not divided, (queries, width).

    Returns
    -------
    tuple of tensor
        The same three for all keys together. What came in stays as it is.
    """
    best = torch.maximum(one[0], two[0])
    first, second = (one[0] - best).exp(), (two[0] - best).exp()
    return (
        best,
        one[1] * first + two[1] * second,
        one[2] * first + two[2] * second,
    )


def _check_longest(candidate: Callable[[int, int, int], int]) -> None:
    for room, heads, itemsize in (
        (8, 1, 4), (31, 1, 4), (32, 1, 4), (7, 1, 4), (10**9, 8, 2),
        (8 * 10**18, 1, 4), (8 * 10**18 - 1, 1, 4),
    ):  # fmt: skip
        expected = math.isqrt(room // (2 * heads * itemsize))
        got = candidate(room, heads, itemsize)
        assert got == expected, (
            f"longest({room}, {heads}, {itemsize}) returned {got}, expected "
            f"{expected}"
        )


@exercise(_check_longest)
def longest(room: int, heads: int, itemsize: int) -> int:
    """Say how long a sequence may be for naive attention.

    Parameters
    ----------
    room : int
        Bytes that are free.
    heads : int
        Heads of all sequences of the batch together.
    itemsize : int
        Bytes of a number.

    Returns
    -------
    int
        Most tokens for which scores and weights have room together.
    """
    return math.isqrt(room // (2 * heads * itemsize))


def _check_causal(
    candidate: Callable[
        [torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor
    ],
) -> None:
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 9):
        q, k, v = torch.randn(3, 2, 3, length, 8, generator=generator)
        got = candidate(q, k, v)
        assert got.shape == v.shape, f"shape {tuple(got.shape)}"
        assert torch.allclose(got[..., 0, :], v[..., 0, :], atol=1e-5), (
            "the first token can see itself only: it should get its value"
        )
        right = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        assert torch.allclose(got, right, atol=1e-5), (
            f"{length} tokens: differs from PyTorch's with is_causal=True"
        )


@exercise(_check_causal)
def causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attend to the past: token i sees the tokens 0 to i.

    Parameters
    ----------
    q, k, v : tensor, (n, heads, tokens, width)

    Returns
    -------
    tensor, (n, heads, tokens, width)
        Without a call of `scaled_dot_product_attention`.
    """
    length = q.shape[-2]
    scores = q @ k.mT * q.shape[-1] ** -0.5
    ahead = torch.ones(length, length, device=q.device).triu(1).bool()
    return torch.softmax(scores.masked_fill(ahead, -torch.inf), -1) @ v
