"""One large batch, or its parts on several ranks: the same step."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.join import Join
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training.data_parallel.by_hand import (
    Replica,
    average_gradients,
    broadcast_weights,
)

Build = Callable[[], nn.Module]
RATE, MOMENTUM = 0.1, 0.9
WAYS = ("by hand", "buckets", "ddp")


def position() -> tuple[int, int]:
    """Return rank and size; 0 and 1 where there is no group."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def share(batch: Part, rank: int, size: int) -> Part:
    """Cut a batch into parts that differ by at most one picture."""
    first, last = (len(batch) * r // size for r in (rank, rank + 1))
    return batch[first:last]


def part_of_loss(
    model: nn.Module, mine: Part, total: int, size: int
) -> torch.Tensor:
    """Compute what the mean over ranks turns into the mean over pictures.

    Each picture counts 1 / total, wherever it lies; and since the gradients
    are divided by the number of ranks later, it is multiplied here.
    """
    logits = model(mine.images)
    sums = F.cross_entropy(logits, mine.labels, reduction="sum")
    return sums * (size / total)


def wrap(way: str, model: nn.Module) -> nn.Module:
    """Prepare a model for one of `WAYS`; alone it stays as it is."""
    if not dist.is_initialized():
        return model
    if way == "ddp":
        return DistributedDataParallel(model)
    if way == "buckets":
        return Replica(model, size=1 << 18)
    broadcast_weights(model)
    return model


def finish_backward(way: str, model: nn.Module) -> None:
    """Do what is left to do between `backward` and `step`."""
    if isinstance(model, Replica):
        model.finish()
    elif way == "by hand" and dist.is_initialized():
        average_gradients(model)


def train_by(
    way: str,
    part: Part,
    batch_size: int,
    build: Build = vision.mlp,
    weighted: bool = True,
) -> tuple[list[float], list[torch.Tensor]]:
    """Train an epoch in one of `WAYS`, in double precision.

    Parameters
    ----------
    part : Part
        The same on every rank, which computes its share of each batch.
    weighted : bool
        Without it, each rank's loss is the mean of its own share.

    Returns
    -------
    tuple
        Loss of each step over the whole batch, and the final weights.
    """
    rank, size = position()
    model = wrap(way, vision.seeded(build, rank).double())
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    double = Part(part.images.double(), part.labels)
    order = vision.shuffled(len(part), 0, 0)
    losses = []
    for batch in vision.batches(double, batch_size, order):
        mine = share(batch, rank, size)
        optimizer.zero_grad()
        loss = part_of_loss(
            model, mine, len(batch) if weighted else len(mine) * size, size
        )
        loss.backward()
        finish_backward(way, model)
        optimizer.step()
        losses.append(mean_over_ranks(loss.detach()).item())
    return losses, [p.detach().clone() for p in model.parameters()]


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """Average a number over the ranks; alone it is returned."""
    if dist.is_initialized():
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return value


def accumulate(
    way: str, part: Part, pieces: int, silent: bool = True
) -> tuple[int, list[torch.Tensor]]:
    """Take one step with a batch that comes in pieces.

    Parameters
    ----------
    silent : bool
        Talk after the last piece only (`no_sync`); otherwise after each.

    Returns
    -------
    tuple
        Bytes of gradients that a rank has sent to be summed, and the
        gradients.
    """
    rank, size = position()
    model: Any = wrap(way, vision.seeded(vision.mlp, 0).double())
    sent = 0

    def counted(
        _: None, bucket: dist.GradBucket
    ) -> torch.futures.Future[torch.Tensor]:
        nonlocal sent
        sent += bucket.buffer().nbytes
        work = dist.all_reduce(bucket.buffer().div_(size), async_op=True)
        future: torch.futures.Future[torch.Tensor] = work.get_future().then(
            lambda done: done.value()[0]
        )
        return future

    if way == "ddp":
        model.register_comm_hook(None, counted)
    mine = share(Part(part.images.double(), part.labels), rank, size)
    for piece in range(pieces):
        last = piece == pieces - 1
        quiet = model.no_sync() if silent and not last else nullcontext()
        with quiet:
            little = share(mine, piece, pieces)
            part_of_loss(model, little, len(part), size).backward()
        if way == "buckets" and (last or not silent):
            model.finish()
            sent += sum(bucket.flat.nbytes for bucket in model.buckets)
    return sent, [p.grad.clone() for p in model.parameters()]


def uneven(part: Part, counts: list[int], join: bool) -> int:
    """Take as many steps as this rank has batches; others have others.

    Returns
    -------
    int
        Steps of this rank. Without `join`, and with unequal counts, it does
        not return.
    """
    rank, size = position()
    model = DistributedDataParallel(vision.seeded(vision.mlp, 0))
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    taken = 0
    with Join([model]) if join else nullcontext():
        for _ in range(counts[rank]):
            vision.train_step(model, optimizer, share(part, rank, size))
            taken += 1
    return taken
