"""Mistakes that cost memory, or a training, and raise no error."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.memory.measuring import Tracker
from parallel_ai.training.memory.sharding import divide, shard, whole_weights
from parallel_ai.training.memory.steps import adam
from parallel_ai.training.memory.zero import Sharded

KEPT: dict[str, Callable[[torch.Tensor], Any]] = {
    "loss": lambda loss: loss,
    "loss.detach()": torch.Tensor.detach,
    "loss.item()": torch.Tensor.item,
}


def keep_losses(
    model: nn.Module, part: Part, size: int, what: str, learn: bool
) -> list[int]:
    """Collect the losses of some batches in a list, and watch the memory.

    Parameters
    ----------
    what : str
        What goes into the list: a key of `KEPT`.
    learn : bool
        Call `backward` before; without it, as in a validation loop that
        forgot `no_grad`.

    Returns
    -------
    list of int
        Bytes of tensors after each batch, beyond the model.
    """
    losses, found = [], []
    tracker = Tracker([*model.parameters(), part.images, part.labels])
    before = tracker.now
    with tracker:
        for batch in vision.batches(part, size, torch.arange(len(part))):
            loss = F.cross_entropy(model(batch.images), batch.labels)
            if learn:
                loss.backward()
                model.zero_grad()
            losses.append(KEPT[what](loss))
            del loss, batch
            found.append(tracker.now - before)
    return found


def evaluation_peak(model: nn.Module, part: Part, graph: bool) -> int:
    """Bytes of an evaluation at its worst moment, beyond the model."""
    tracker = Tracker([*model.parameters(), part.images])
    before = tracker.now
    with tracker, nullcontext() if graph else torch.inference_mode():
        model(part.images)
    return tracker.peak - before


def optimizer_first(part: Part, first: bool) -> float:
    """Be one rank: train with an optimizer built before sharding, or after.

    Returns
    -------
    float
        How far any weight has moved after some steps.
    """
    model = vision.seeded(vision.mlp, 0)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = adam(model.parameters()) if first else None
    shard(model)
    optimizer = optimizer or adam(model.parameters())
    for _ in range(3):
        F.cross_entropy(model(part.images), part.labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    pairs = zip(whole_weights(model), before, strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def norm_of_shares(model: Sharded, together: bool = True) -> torch.Tensor:
    """Norm of all gradients, of which each rank has a share.

    Parameters
    ----------
    together : bool
        Add up the squares of all ranks. Without it, each rank clips by the
        norm of its own share: the model is no longer one.
    """
    grads = [p.grad for p in model.shares() if p.grad is not None]
    squares = [grad.square().sum() for grad in grads]
    total = torch.stack(squares).sum()
    if together:
        dist.all_reduce(total)
    return total.sqrt()


def clip_norms(part: Part) -> dict[str, float]:
    """Be one rank: compute the norm of a batch's gradients in four ways."""
    rank, size = dp.position()
    mine = dp.share(part, rank, size)
    found = {}
    for way in ("ddp", "zero 2", "fsdp"):
        model = divide(way, vision.seeded(vision.mlp, 0))
        dp.part_of_loss(model, mine, len(part), size).backward()
        if isinstance(model, Sharded):
            found["own share"] = norm_of_shares(model, together=False).item()
            found["all shares"] = norm_of_shares(model).item()
        else:
            norm: Any = nn.utils.clip_grad_norm_(model.parameters(), 1e9)
            full = norm.full_tensor() if way == "fsdp" else norm
            found[way] = full.item()
    return found


def sharded_traps(
    part: Part,
) -> tuple[dict[bool, float], dict[str, float]]:
    """Be one rank: fall into both traps of divided training, and climb out.

    Returns
    -------
    tuple
        How far weights moved, by whether the optimizer was built first; the
        norms of `clip_norms`.
    """
    moved = {first: optimizer_first(part, first) for first in (True, False)}
    return moved, clip_norms(part)
