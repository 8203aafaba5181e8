"""Collectives from sends and receives: a star, a tree, a ring.

Each function is what *one* rank does, with its own vector, in place. It has
one dimension and is contiguous, and its length is the same on every rank.
"""

import torch

from parallel_ai.training.collectives.definitions import pieces
from parallel_ai.training.collectives.transports import Transport


def star_all_reduce(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Send all to rank 0, which adds, and sends the sum to all."""
    if net.rank:
        net.send(values, 0)
        net.receive(values, 0)
        return values
    inbox = torch.empty_like(values)
    for source in range(1, net.size):
        net.receive(inbox, source)
        values += inbox
    for to in range(1, net.size):
        net.send(values, to)
    return values


def tree_reduce(
    net: Transport, values: torch.Tensor, root: int = 0
) -> torch.Tensor:
    """Add up along a binomial tree; the root's vector becomes the sum.

    The others' vectors hold sums of parts of the tree afterwards.
    """
    me = (net.rank - root) % net.size
    inbox = torch.empty_like(values)
    step = 1
    while step < net.size:
        if me & step:
            net.send(values, (net.rank - step) % net.size)
            break
        if me + step < net.size:
            net.receive(inbox, (net.rank + step) % net.size)
            values += inbox
        step *= 2
    return values


def tree_broadcast(
    net: Transport, values: torch.Tensor, root: int = 0
) -> torch.Tensor:
    """Copy the root's vector to all: the same tree, from the root down."""
    me = (net.rank - root) % net.size
    step = 1
    while step < net.size and not me & step:
        step *= 2
    if me:
        net.receive(values, (net.rank - step) % net.size)
    while step > 1:
        step //= 2
        if me + step < net.size:
            net.send(values, (net.rank + step) % net.size)
    return values


def tree_all_reduce(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Up the tree with sums, down the tree with the total."""
    return tree_broadcast(net, tree_reduce(net, values))


def ring_reduce_scatter(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Pass pieces to the right, adding; end with the own piece's total.

    Returns
    -------
    torch.Tensor
        A view of this rank's piece. The rest of `values` is left with sums
        of some ranks only.
    """
    right, left = (net.rank + 1) % net.size, (net.rank - 1) % net.size
    parts = [values[part] for part in pieces(len(values), net.size)]
    inbox = torch.empty_like(parts[-1])  # no piece is longer than the last
    for step in range(1, net.size):
        mine = parts[(net.rank - step - 1) % net.size]
        new = inbox[: len(mine)]
        net.exchange(parts[(net.rank - step) % net.size], right, new, left)
        mine += new
    return parts[net.rank]


def ring_all_gather(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Pass pieces to the right until each rank has all of them.

    At first each rank's own piece of `values` is right, at last all are.
    """
    right, left = (net.rank + 1) % net.size, (net.rank - 1) % net.size
    parts = [values[part] for part in pieces(len(values), net.size)]
    for step in range(net.size - 1):
        old = parts[(net.rank - step) % net.size]
        new = parts[(net.rank - step - 1) % net.size]
        net.exchange(old, right, new, left)
    return values


def ring_all_reduce(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Make totals of pieces once around, hand them on once around.

    Each rank sends $2(p-1)/p$ times its vector, which is the least that is
    possible (Patarasuk and Yuan 2009), in $2(p-1)$ messages.
    """
    ring_reduce_scatter(net, values)
    return ring_all_gather(net, values)
