"""The same training with each library's way to divide its state."""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.memory.steps import Build
from parallel_ai.training.memory.zero import Sharded

WAYS = ("ddp", "zero redundancy", "zero 1", "zero 2", "zero 3", "fsdp")


def units(model: nn.Module) -> list[nn.Module]:
    """Choose what is gathered together: blocks if it has any, else layers."""
    parts = getattr(model, "blocks", model).children()
    return [part for part in parts if any(True for _ in part.parameters())]


def shard(model: nn.Module, **how: Any) -> nn.Module:
    """Let FSDP2 divide a model's parameters among all ranks, in place.

    Parameters
    ----------
    **how
        For `fully_shard`: `reshard_after_forward`, `mp_policy` …
    """
    # It warns that a hook would be lost if we changed its output in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module")
    kind = "cuda" if dist.get_backend() == "nccl" else "cpu"
    mesh = init_device_mesh(kind, (dist.get_world_size(),))
    for unit in units(model):
        fully_shard(unit, mesh=mesh, **how)
    fully_shard(model, mesh=mesh, **how)
    return model


def divide(way: str, model: nn.Module, **how: Any) -> nn.Module:
    """Prepare a model for one of `WAYS`; alone it stays as it is.

    Raises
    ------
    ValueError
        There is no such way.
    """
    if not dist.is_initialized():
        return model
    if way not in WAYS:
        raise ValueError(f"{way!r} is none of {', '.join(WAYS)}")
    if way == "fsdp":
        dp.broadcast_weights(model)  # fully_shard does not
        return shard(model, **how)
    if way.startswith("zero ") and way[-1].isdigit():
        return Sharded(model, int(way[-1]))
    # Gradients live in the buckets; else they would be there twice.
    return DistributedDataParallel(model, gradient_as_bucket_view=True)


def optimizer_for(
    way: str, model: nn.Module, kind: Any, **settings: Any
) -> torch.optim.Optimizer:
    """Make the optimizer of what this rank updates."""
    if isinstance(model, Sharded):
        made: torch.optim.Optimizer = kind(model.shares(), **settings)
    elif way == "zero redundancy" and dist.is_initialized():
        made = ZeroRedundancyOptimizer(model.parameters(), kind, **settings)
    else:
        made = kind(model.parameters(), **settings)
    return made


def update(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Take a step, and give gradients back."""
    if isinstance(model, Sharded):
        model.step(optimizer)
    else:
        optimizer.step()
        optimizer.zero_grad()


def whole_weights(model: nn.Module) -> list[torch.Tensor]:
    """Collect copies of a model's parameters, however they are divided."""
    if isinstance(model, Sharded):
        return model.weights()
    return [
        p.full_tensor().detach().clone()
        if isinstance(p, DTensor)
        else p.detach().clone()
        for p in model.parameters()
    ]


def train_divided(
    way: str,
    part: Part,
    batch_size: int,
    build: Build = vision.mlp,
    adam: bool = False,
) -> tuple[list[float], list[torch.Tensor]]:
    """Train an epoch in one of `WAYS`, as `data_parallel.train_by` does.

    Parameters
    ----------
    adam : bool
        With AdamW in place of SGD with momentum.

    Returns
    -------
    tuple
        Loss of each step over the whole batch, and the final weights.
    """
    rank, size = dp.position()
    model = divide(way, vision.seeded(build, rank).double())
    optimizer = (
        optimizer_for(way, model, torch.optim.AdamW, lr=1e-3)
        if adam
        else optimizer_for(way, model, torch.optim.SGD, lr=0.1, momentum=0.9)
    )
    losses = []
    for batch in _batches(part, batch_size):
        mine = dp.share(batch, rank, size)
        loss = dp.part_of_loss(model, mine, len(batch), size)
        loss.backward()
        update(model, optimizer)
        losses.append(dp.mean_over_ranks(loss.detach()).item())
    return losses, whole_weights(model)


def every_way(
    part: Part, batch_size: int, build: Build = vision.mlp, adam: bool = False
) -> dict[str, tuple[list[float], list[torch.Tensor]]]:
    """Train in each of `WAYS`, one after the other."""
    return {
        way: train_divided(way, part, batch_size, build, adam) for way in WAYS
    }


def _batches(part: Part, size: int) -> Iterable[Part]:
    double = Part(part.images.double(), part.labels)
    order = vision.shuffled(len(part), 0, 0)
    return vision.batches(double, size, order)
