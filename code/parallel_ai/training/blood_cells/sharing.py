"""Inference on all ranks: each picture once, answers in their order."""

import torch
import torch.distributed as dist
from torch import nn

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import ranks
from parallel_ai.training import data_parallel as dp


def gather_shares(mine: torch.Tensor, count: int) -> torch.Tensor:
    """Put the rows that ranks have computed back into their order.

    Parameters
    ----------
    mine : tensor, (rows of `dp.each_once`, columns)
    count : int
        Rows of all ranks together.

    Returns
    -------
    tensor, (count, columns)
        On every rank, in the CPU's memory. A collective takes equal shapes,
        so short shares are filled up, and the filling is cut off at the end.
    """
    _, size = dp.position()
    if size == 1:
        return mine.cpu()
    most = -(-count // size)
    padded = torch.zeros(most, mine.shape[1], device=ranks.device())
    padded[: len(mine)] = mine
    found = [torch.empty_like(padded) for _ in range(size)]
    dist.all_gather(found, padded)
    return torch.stack(found, 1).flatten(0, 1)[:count].cpu()


def predict_shared(model: nn.Module, part: Part) -> torch.Tensor:
    """Compute the logits of all pictures on all ranks.

    The ranks must have the same model, running statistics included.
    """
    rank, size = dp.position()
    numbers = torch.tensor(dp.each_once(len(part), rank, size)).long()
    mine = vision.predict(model, part[numbers], batch=200)
    return gather_shares(mine, len(part))
