"""Mistakes with collectives, each small enough to be seen through.

All of them run in the ranks of a group.
"""

import threading
from datetime import timedelta

import torch
import torch.distributed as dist

from parallel_ai.training.collectives.checking import checked_all_reduce
from parallel_ai.training.collectives.transports import Transport


def send_then_receive(net: Transport, values: torch.Tensor) -> torch.Tensor:
    """Swap vectors with the neighbour. Everybody sends first."""
    got = torch.empty_like(values)
    net.send(values, (net.rank + 1) % net.size)
    net.receive(got, (net.rank - 1) % net.size)
    return got


def other_order() -> None:
    """Rank 0 sums, then copies; the others copy, then sum."""
    loss, weights = torch.zeros(1), torch.zeros(8)
    if dist.get_rank() == 0:
        dist.all_reduce(loss)
        dist.broadcast(weights, 0)
    else:
        dist.broadcast(weights, 0)
        dist.all_reduce(loss)


def two_sums(checked: bool = False) -> dict[str, float]:
    """Sum a loss and a count, on rank 1 in the other order.

    Each rank has a loss of 0.5 and 100 pictures.
    """
    sums = {"loss": torch.tensor([0.5]), "pictures": torch.tensor([100.0])}
    order = sorted(sums, reverse=dist.get_rank() == 1)
    for name in order:
        if checked:
            checked_all_reduce(sums[name], name)
        else:
            dist.all_reduce(sums[name])
    return {name: value.item() for name, value in sums.items()}


def different(
    one: torch.Tensor, other: torch.Tensor, checked: bool = False
) -> torch.Tensor:
    """Sum what rank 0 has with something else that rank 1 has."""
    values = (other if dist.get_rank() else one).clone()
    if checked:
        return checked_all_reduce(values, "values")
    dist.all_reduce(values)
    return values


def overwritten(wait: bool) -> float:
    """Sum 1 and 2; rank 0 clears its vector while the sum is under way.

    Rank 1 comes late, on purpose, so that it goes wrong each time.
    """
    rank = dist.get_rank()
    values, word = torch.full((1000,), rank + 1.0), torch.zeros(1)
    if rank == 1:
        if not wait:
            dist.recv(word, 0)  # rank 0 has cleared it by now
        dist.all_reduce(values)
        return values[0].item()
    work = dist.all_reduce(values, async_op=True)
    if wait:
        work.wait()
        total = values[0].item()
        values.zero_()
        return total
    values.zero_()
    dist.send(word, 1)
    work.wait()
    return values[0].item()


def skipped(batches: tuple[int, ...]) -> int:
    """Sum once a batch; ranks have different numbers of them."""
    total = torch.zeros(1)
    for _ in range(batches[dist.get_rank()]):
        dist.all_reduce(total)
    return batches[dist.get_rank()]


def roll_call(absent: int, seconds: float) -> str:
    """Find who does not come to a barrier; gloo alone can do this.

    After a failure the group is of no use. So all but rank 0, which alone
    knows who is missing, wait here to be ended with it.
    """
    rank = dist.get_rank()
    if rank != absent:
        limit = timedelta(seconds=seconds)
        try:
            dist.monitored_barrier(timeout=limit, wait_all_ranks=True)
        except RuntimeError:
            if rank == 0:
                raise
        else:
            return "all came"
    threading.Event().wait(20 * seconds)
    return "nobody was missed"


def small_integers() -> int:
    """Count 100 pictures on each rank in eight bits."""
    count = torch.tensor([100], dtype=torch.int8)
    dist.all_reduce(count)
    return int(count.item())


def integer_mean() -> tuple[int, float]:
    """Average the integers 3 and 4 as code often does, and as it should."""
    count = torch.tensor([3 + dist.get_rank()])
    dist.all_reduce(count)
    return int(count.item()) // 2, count.item() / dist.get_world_size()
