"""Many small tensors: one all-reduce each, or a few large ones."""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist

from parallel_ai.toolbox import ranks
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training.collectives.groups import times_in_group
from parallel_ai.training.collectives.transports import Transport


def buckets(
    tensors: Sequence[torch.Tensor], most: int
) -> Iterator[list[torch.Tensor]]:
    """Group tensors in their order, at most so many bytes a group.

    A tensor that is larger than that has a group of its own.
    """
    group: list[torch.Tensor] = []
    held = 0
    for tensor in tensors:
        if group and held + tensor.nbytes > most:
            yield group
            group, held = [], 0
        group.append(tensor)
        held += tensor.nbytes
    if group:
        yield group


def reduce_buckets(tensors: Sequence[torch.Tensor], most: int) -> int:
    """Sum all tensors over the ranks, in place; tell in how many calls."""
    calls = 0
    for group in buckets(tensors, most):
        flat = torch.cat([tensor.flatten() for tensor in group])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in group])
        for tensor, part in zip(group, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
        calls += 1
    return calls


class InBuckets:
    """Cut a vector into so many tensors, and reduce those in buckets."""

    def __init__(self, tensors: int, most: int) -> None:
        self.tensors, self.most = tensors, most

    def __call__(self, net: Transport, values: torch.Tensor) -> torch.Tensor:
        """Reduce in place; a drop-in for the other all-reduces."""
        reduce_buckets(values.chunk(self.tensors), self.most)
        return values


def compare_buckets(
    sizes: Sequence[int],
    count: int = 1 << 20,
    tensors: int = 256,
    repeats: int = 5,
) -> dict[int, Timing]:
    """Time the sum of many tensors of 2 ranks, by bytes of a bucket.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of a bucket; 0 for none: one call a tensor.
    count : int
        Elements of all tensors together.
    """
    ways = {str(most): InBuckets(tensors, most) for most in sizes}
    found = ranks.run(
        times_in_group, 2, ways, (count,), repeats, 5.0, threads=1
    )[0]
    return {most: found[str(most)][count] for most in sizes}
