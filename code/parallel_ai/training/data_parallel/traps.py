"""What goes wrong with several ranks, each as a function of one of them."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training.data_parallel.by_hand import Replica
from parallel_ai.training.data_parallel.steps import (
    RATE,
    part_of_loss,
    position,
    share,
)


def drift(part: Part, broadcast: bool, steps: int = 20) -> float:
    """Train with first weights that differ by rank, as without a seed.

    Returns
    -------
    float
        Largest difference between this rank's weights and those of rank 0.
    """
    rank, size = position()
    built = vision.seeded(vision.mlp, rank)
    model = Replica(built, broadcast=broadcast)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    mine = share(part, rank, size)
    for _ in range(steps):
        optimizer.zero_grad()
        part_of_loss(model, mine, len(part), size).backward()
        model.finish()
        optimizer.step()
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
    first = flat.clone()
    dist.broadcast(first, 0)
    return float((flat - first).abs().max())


class Branching(nn.Module):
    """Two heads, of which a loss uses one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.heads = nn.ModuleList([nn.Linear(4, 2), nn.Linear(4, 2)])

    def forward(self, x: torch.Tensor, head: int) -> torch.Tensor:
        """Answer by one head."""
        return self.heads[head](self.body(x))  # type: ignore[no-any-return]


def train_branching(find_unused: bool) -> list[float]:
    """Use one head in the first step and the other in the second."""
    model = DistributedDataParallel(
        vision.seeded(Branching, 0), find_unused_parameters=find_unused
    )
    losses = []
    for step in range(2):
        loss = model(torch.ones(3, 4), step).square().mean()
        loss.backward()
        losses.append(loss.item())
    return losses


def wrap_different_models() -> None:
    """Give DDP a model whose width depends on the rank."""
    DistributedDataParallel(nn.Linear(4, 2 + dist.get_rank()))


def log_on_all(path: str, only_first: bool) -> None:
    """Write a line about the epoch, on each rank or on rank 0 alone."""
    if dist.get_rank() == 0 or not only_first:
        with Path(path).open("a", encoding="utf8") as file:
            file.write("epoch 1 is over\n")


def read_broken(part: Part, guilty: int) -> None:
    """Train; one rank finds a label that does not exist."""
    model = DistributedDataParallel(vision.seeded(vision.mlp, 0))
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    mine = share(part, *position())
    for step in range(5):
        if dist.get_rank() == guilty and step == 3:
            mine = Part(mine.images, mine.labels + 10)
        vision.train_step(model, optimizer, mine)
