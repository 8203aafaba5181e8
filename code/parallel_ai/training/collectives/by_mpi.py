"""Our ring among the ranks of MPI, beside MPI's own all-reduce.

::

    mpirun -n 4 python -m parallel_ai.training.collectives.by_mpi
"""

from typing import Any

import torch

from parallel_ai.training.collectives.algorithms import ring_all_reduce
from parallel_ai.training.collectives.transports import Mpi


def both(communicator: Any, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum vectors of all ranks by our ring, and by MPI."""
    net = Mpi(communicator)
    mine = torch.arange(count, dtype=torch.float32) * (net.rank + 1)
    total = torch.empty_like(mine)
    communicator.Allreduce(mine.numpy(), total.numpy())  # sums by default
    return ring_all_reduce(net, mine), total


def main() -> None:
    """Be one rank of `mpirun`."""
    from mpi4py import MPI  # starts MPI, and ends it with the program

    communicator = MPI.COMM_WORLD
    ours, theirs = both(communicator, 1_000_003)
    if communicator.Get_rank() == 0:
        print(communicator.Get_size(), "ranks:", torch.equal(ours, theirs))


if __name__ == "__main__":
    main()
