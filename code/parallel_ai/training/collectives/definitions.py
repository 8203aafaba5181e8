"""What a collective is: the inputs of all ranks, and what each has after it.

No rank, no message: these functions see everything at once. They are what
the algorithms are tested against.
"""

import itertools
from collections.abc import Sequence

import torch

Tensors = list[torch.Tensor]


def broadcast(inputs: Sequence[torch.Tensor], root: int = 0) -> Tensors:
    """Give all what the root had."""
    return [inputs[root].clone() for _ in inputs]


def reduce(
    inputs: Sequence[torch.Tensor], root: int = 0
) -> list[torch.Tensor | None]:
    """Give the root the sum, and the others nothing."""
    total = torch.stack(list(inputs)).sum(0, dtype=inputs[0].dtype)
    return [total if rank == root else None for rank in range(len(inputs))]


def all_reduce(inputs: Sequence[torch.Tensor]) -> Tensors:
    """Give all the sum: a reduce, and a broadcast."""
    total = reduce(inputs)[0]
    assert total is not None  # noqa: S101, for mypy
    return broadcast([total] * len(inputs))


def all_gather(inputs: Sequence[torch.Tensor]) -> Tensors:
    """Give all what each had, one after the other."""
    return broadcast([torch.cat(list(inputs))] * len(inputs))


def reduce_scatter(inputs: Sequence[torch.Tensor]) -> Tensors:
    """Give each its own piece of the sum."""
    sums = all_reduce(inputs)
    parts = pieces(len(inputs[0]), len(inputs))
    return [total[part] for total, part in zip(sums, parts, strict=True)]


def pieces(length: int, size: int) -> list[slice]:
    """Cut a vector into one piece a rank, as even as can be.

    Where the length is no multiple of the size, the pieces differ by one;
    where it is less than the size, some of them are empty.
    """
    ends = [length * rank // size for rank in range(size + 1)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]
