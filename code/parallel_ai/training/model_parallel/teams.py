"""Ranks that hold one model together: who am I, and sums over all of us."""

from typing import Any

import torch
import torch.distributed as dist

from parallel_ai.training import collectives as c
from parallel_ai.training.collectives import Transport


class Team:
    """One rank alone; its sums are what it has.

    Attributes
    ----------
    rank, size : int
    calls, elements : int
        All-reduces so far, and the numbers in them.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.calls = self.elements = 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum over the ranks; `values` stay as they are."""
        return self._reduced(values, "sum")

    def largest(self, values: torch.Tensor) -> torch.Tensor:
        """Return the largest of all ranks, element by element."""
        return self._reduced(values, "max")

    def own(self, count: int) -> slice:
        """Say which of `count` things are this rank's; each has some.

        Raises
        ------
        ValueError
            A rank would have none.
        """
        if count < self.size:
            raise ValueError(
                f"{self.size} ranks cannot share {count}: each needs one"
            )
        first, last = (count * r // self.size for r in self._ends())
        return slice(first, last)

    def _ends(self) -> tuple[int, int]:
        return self.rank, self.rank + 1

    def _reduced(self, values: torch.Tensor, how: str) -> torch.Tensor:
        if self.size == 1:
            return values
        self.calls += 1
        self.elements += values.numel()
        return self._reduce(values.detach().clone().contiguous(), how)

    def _reduce(self, values: torch.Tensor, how: str) -> torch.Tensor:
        raise NotImplementedError


class Processes(Team):
    """Ranks of a process group, with the library's all-reduce."""

    def __init__(self, group: Any = None) -> None:
        super().__init__(dist.get_rank(group), dist.get_world_size(group))
        self.group = group

    def _reduce(self, values: torch.Tensor, how: str) -> torch.Tensor:
        kind = dist.ReduceOp.SUM if how == "sum" else dist.ReduceOp.MAX
        dist.all_reduce(values, kind, group=self.group)
        return values


class Counted(Team):
    """Ranks of a transport, with our ring: every byte is counted.

    The transport of `run_local` makes the ranks threads of one process, so
    that a test can try many sizes.
    """

    def __init__(self, net: Transport) -> None:
        super().__init__(net.rank, net.size)
        self.net = net

    def _reduce(self, values: torch.Tensor, how: str) -> torch.Tensor:
        if how == "sum":
            return c.ring_all_reduce(self.net, values.view(-1)).view_as(values)
        all_of_them = values.new_zeros(self.size, values.numel())
        all_of_them[self.rank] = values.view(-1)
        c.ring_all_reduce(self.net, all_of_them.view(-1))
        return all_of_them.amax(0).view_as(values)
