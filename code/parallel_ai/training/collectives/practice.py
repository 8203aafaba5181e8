"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable
from typing import Any

import torch

from parallel_ai.toolbox.exercises import exercise
from parallel_ai.training.collectives.costs import Link, ring_time, tree_time
from parallel_ai.training.collectives.definitions import pieces
from parallel_ai.training.collectives.in_memory import Deadlock, run_local
from parallel_ai.training.collectives.transports import Transport


def _run(candidate: Callable[..., Any], inputs: list[torch.Tensor]) -> Any:
    """Run a candidate on threads; a state without way out is its fault."""
    try:
        return run_local(candidate, [values.clone() for values in inputs])
    except Deadlock as error:
        raise AssertionError(
            f"with {len(inputs)} ranks nobody can go on: {error}"
        ) from None


def _check_doubling(
    candidate: Callable[[Transport, torch.Tensor], torch.Tensor],
) -> None:
    for size in (1, 2, 4, 8):
        inputs = [torch.arange(5) * 10**rank for rank in range(size)]
        got, ends, _ = _run(candidate, inputs)
        total = torch.stack(inputs).sum(0)
        for rank, values in enumerate(got):
            assert values is not None, (
                f"doubling_all_reduce returned nothing on rank {rank}"
            )
            assert torch.equal(values, total), (
                f"rank {rank} of {size} has {values.tolist()}, expected "
                f"{total.tolist()}"
            )
        rounds = size.bit_length() - 1
        counts = [end.messages for end in ends]
        assert counts == [rounds] * size, (
            f"{size} ranks sent {counts} messages, expected {rounds} each"
        )


@exercise(_check_doubling)
def doubling_all_reduce(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Sum over all ranks by recursive doubling.

    In the first round each rank swaps vectors with the rank whose number
    differs in the lowest bit, and adds; in the next round in the second
    bit, and so on. After log2(size) rounds all have the sum.

    Parameters
    ----------
    net : Transport
        With `rank`, `size` (a power of two), `send`, `receive`,
        `exchange(values, to, into, source)`.
    values : tensor, one dimension
        This rank's vector; may be overwritten.

    Returns
    -------
    tensor
        The sum, on every rank.
    """
    inbox = torch.empty_like(values)
    bit = 1
    while bit < net.size:
        other = net.rank ^ bit
        net.exchange(values, other, inbox, other)
        values += inbox
        bit *= 2
    return values


def _check_chain(
    candidate: Callable[[Transport, torch.Tensor, int], torch.Tensor],
) -> None:
    for size, count, length in ((1, 3, 6), (2, 3, 6), (5, 4, 10), (3, 1, 4)):
        inputs = [torch.arange(length) + 1 if not r else torch.zeros(
            length, dtype=torch.long) for r in range(size)]  # fmt: skip
        got, ends, _ = _run(lambda n, v, c=count: candidate(n, v, c), inputs)
        for rank, values in enumerate(got):
            assert values is not None, (
                f"chain_broadcast returned nothing on rank {rank}"
            )
            assert torch.equal(values, inputs[0]), (
                f"rank {rank} of {size} has {values.tolist()}, expected "
                f"{inputs[0].tolist()}"
            )
        counts = [end.messages for end in ends]
        expected = [count] * (size - 1) + [0]
        assert counts == expected, (
            f"{size} ranks and {count} pieces: messages {counts}, expected "
            f"{expected}"
        )


@exercise(_check_chain)
def chain_broadcast(
    net: Transport, values: torch.Tensor, count: int
) -> torch.Tensor:
    """Copy rank 0's vector to all, along a chain, in pieces.

    Each rank but the first receives from the rank before it, each but the
    last sends to the rank after it. A piece is handed on before the next
    one is received: so all links work at the same time.

    Parameters
    ----------
    net : Transport
        With `rank`, `size`, `send(values, to)`, `receive(values, source)`.
    values : tensor, one dimension
        Filled in place, but on rank 0.
    count : int
        Pieces; `pieces(length, count)` gives their slices.

    Returns
    -------
    tensor
        `values`.
    """
    for part in pieces(len(values), count):
        if net.rank > 0:
            net.receive(values[part], net.rank - 1)
        if net.rank < net.size - 1:
            net.send(values[part], net.rank + 1)
    return values


def _check_crossing(
    candidate: Callable[[int, float, float], float],
) -> None:
    for size, alpha, beta in ((4, 1e-4, 1e-9), (8, 5e-6, 1e-10), (64, 1, 1)):
        got = candidate(size, alpha, beta)
        one, two = (
            model(size, got, Link(alpha, beta))
            for model in (ring_time, tree_time)
        )
        assert math.isclose(one, two, rel_tol=1e-6), (
            f"crossing({size}, {alpha}, {beta}) returned {got:.6g} bytes; "
            f"there the ring takes {one:.6g} s and the tree {two:.6g} s"
        )
    got = candidate(2, 1e-4, 1e-9)
    assert got == 0, (
        f"crossing(2, 0.0001, 1e-09) returned {got}, expected 0: as many "
        "steps, and shorter ones"
    )


@exercise(_check_crossing)
def crossing(size: int, alpha: float, beta: float) -> float:
    """Find how long a vector must be for the ring to pass the tree.

    Parameters
    ----------
    size : int
        Ranks, at least 2; the tree has ceil(log2(size)) levels.
    alpha, beta : float
        Seconds for a message and for a byte; adding costs nothing.

    Returns
    -------
    float
        Bytes at which both take the same time; 0 if the ring is never
        slower.
    """
    levels = math.ceil(math.log2(size))
    starts = (size - 1 - levels) * alpha
    return max(0.0, starts / ((levels - (size - 1) / size) * beta))
