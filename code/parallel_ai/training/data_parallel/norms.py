"""Batch normalisation over the batch of all ranks, not of one."""

from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training.data_parallel.by_hand import (
    average_gradients,
    broadcast_weights,
)
from parallel_ai.training.data_parallel.steps import (
    RATE,
    part_of_loss,
    position,
    share,
)


class SumOverRanks(torch.autograd.Function):
    """An all-reduce that gradients can pass: backwards they are summed."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor) -> torch.Tensor:
        """Sum the values."""
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor
    ) -> torch.Tensor:
        """Sum what each rank's loss says of the sum."""
        total = grad.clone()
        dist.all_reduce(total)
        return total


class SharedNorm(nn.BatchNorm2d):
    """Batch normalisation whose batch is that of all ranks together.

    Count, sum and sum of squares travel, of each channel. (Squares cancel
    badly in single precision where the mean is large; PyTorch's own combines
    means and variances instead.)
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Normalise (n, channels, height, width); n may differ by rank."""
        if not self.training:
            return super().forward(input)
        count = torch.full_like(input[:0, 0].sum().view(1), input.numel())
        sums = [input.sum((0, 2, 3)), input.square().sum((0, 2, 3))]
        packed = torch.cat([*sums, count / self.num_features])
        total = SumOverRanks.apply(packed)
        n = total[-1]
        mean, square = (total[:-1] / n).view(2, -1)
        variance = square - mean.square()
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore
            self.running_var.lerp_(  # type: ignore[union-attr]
                variance * n / (n - 1),
                self.momentum,  # type: ignore[arg-type]
            )
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        shape = (1, -1, 1, 1)
        scale = self.weight / (variance + self.eps).sqrt()
        moved = input - mean.view(shape)
        return moved * scale.view(shape) + self.bias.view(shape)


def normed(shared: bool) -> nn.Sequential:
    """Build a small model with one normalisation."""
    norm = SharedNorm(8) if shared else nn.BatchNorm2d(8)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=3, bias=False), norm, nn.ReLU(),
        nn.Flatten(), nn.Linear(8 * 64, 10),
    )  # fmt: skip


def train_normed(
    part: Part, shared: bool, batches: int = 3
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Train in double precision; return running means, and weights."""
    rank, size = position()
    model = vision.seeded(lambda: normed(shared), 0).double()
    if size > 1:
        broadcast_weights(model)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    whole = Part(part.images.double(), part.labels)
    for number in range(batches):
        batch = share(whole, number, batches)
        optimizer.zero_grad()
        mine = share(batch, rank, size)
        part_of_loss(model, mine, len(batch), size).backward()
        if size > 1:
            average_gradients(model)
        optimizer.step()
    means = model.get_buffer("1.running_mean").clone()
    return means, [p.detach().clone() for p in model.parameters()]


def try_sync_norm() -> str:
    """Use PyTorch's own on this rank's device; return what it says."""
    model = nn.SyncBatchNorm.convert_sync_batchnorm(normed(False))
    try:
        DistributedDataParallel(model)(torch.zeros(4, 1, 28, 28))
    except (RuntimeError, ValueError) as error:
        return str(error)
    return "it works here"
