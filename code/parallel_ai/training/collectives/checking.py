"""An all-reduce that compares notes before it sends."""

from collections import defaultdict
from typing import Any

import torch
import torch.distributed as dist


class MismatchError(ValueError):
    """Ranks have called different things; the message says which ranks."""


def checked_all_reduce(
    values: torch.Tensor, name: str, mean: bool = False
) -> torch.Tensor:
    """Sum or average in place, once it is sure that all mean the same.

    Parameters
    ----------
    values : tensor, any shape
        The same shape and type on each rank.
    name : str
        What it is. Ranks that are at different calls have different names.
    mean : bool
        Average instead of sum; not for integers.

    Raises
    ------
    TypeError
        A mean of integers would be cut.
    MismatchError
        On *every* rank, so that none is left waiting.
    """
    if mean and not values.is_floating_point():
        raise TypeError(
            f"the mean of {name!r} would be cut to {values.dtype}: convert "
            "it to a floating type first"
        )
    mine = (name, str(values.dtype), tuple(values.shape), mean)
    notes: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(notes, mine)
    if len(set(notes)) > 1:
        raise MismatchError(f"ranks differ: {_who(notes)}")
    dist.all_reduce(values)
    return values.div_(len(notes)) if mean else values


def _who(notes: list[Any]) -> str:
    """Say what each group of ranks came with."""
    groups = defaultdict(list)
    for rank, note in enumerate(notes):
        groups[note].append(str(rank))
    return "; ".join(
        f"rank {', '.join(group)} {'averages' if mean else 'sums'} {name!r}, "
        f"{kind} of shape {shape}"
        for (name, kind, shape, mean), group in groups.items()
    )
