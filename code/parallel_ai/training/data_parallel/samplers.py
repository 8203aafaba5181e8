"""Who sees which picture: all of them, and each one once."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DistributedSampler

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part, Score
from parallel_ai.training.data_parallel.steps import position


def shards(
    count: int, size: int, epoch: int | None = None, shuffle: bool = True
) -> list[list[int]]:
    """List the pictures that `DistributedSampler` gives to each rank.

    Parameters
    ----------
    epoch : int, optional
        For `set_epoch`; without one it is not called.
    """
    found = []
    for rank in range(size):
        sampler: DistributedSampler[int] = DistributedSampler(
            range(count),  # type: ignore[arg-type]
            num_replicas=size, rank=rank, shuffle=shuffle, seed=0,
        )  # fmt: skip
        if epoch is not None:
            sampler.set_epoch(epoch)
        found.append(list(sampler))
    return found


def each_once(count: int, rank: int, size: int) -> range:
    """Every size-th picture: nothing twice, so the parts may be unequal."""
    return range(rank, count, size)


def padded_accuracy(model: nn.Module, part: Part) -> float:
    """Evaluate as tutorials do, with what the sampler has padded."""
    rank, size = position()
    mine = part[torch.tensor(shards(len(part), size, shuffle=False)[rank])]
    answers = vision.predict(model, mine).argmax(1)
    right = (answers.cpu() == mine.labels).double().mean()
    dist.all_reduce(right)
    return float(right) / size


def evaluate_shared(model: nn.Module, part: Part) -> Score:
    """Evaluate on all ranks, each picture once; every rank gets the score.

    Sums and counts travel, never means: the parts may be unequal.
    """
    rank, size = position()
    device = next(model.parameters()).device
    mine = part[torch.tensor(each_once(len(part), rank, size))].to(device)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    with vision.evaluating(model):
        for batch in vision.batches(mine, 1000, torch.arange(len(mine))):
            logits = model(batch.images)
            sums[0] += F.cross_entropy(logits, batch.labels, reduction="sum")
            sums[1] += (logits.argmax(1) == batch.labels).sum()
            sums[2] += len(batch)
    if size > 1:
        dist.all_reduce(sums)
    loss, right, count = sums.tolist()
    return Score(loss / count, right / count)
