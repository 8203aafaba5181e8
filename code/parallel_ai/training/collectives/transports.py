"""What an algorithm may do: send to one rank, receive from one rank.

`Transport` says it and counts. `Wire` does it between processes, through
`torch.distributed`, `Mpi` through mpi4py, and `Memory` (of `in_memory`)
between the threads of one process. An algorithm cannot tell which it has.
"""

from typing import Any

import torch
import torch.distributed as dist


class Transport:
    """One rank's way to the others.

    Attributes
    ----------
    rank, size : int
    messages, bytes : int
        Sent by this rank. An empty vector is no message: both sides know
        its length, so neither waits for it.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.messages = self.bytes = 0

    def send(self, values: torch.Tensor, to: int) -> None:
        """Send, and return when `values` may be changed again."""
        self.exchange(values, to, values[:0], to)

    def receive(self, values: torch.Tensor, source: int) -> None:
        """Wait for a message, and put it into `values`."""
        self.exchange(values[:0], source, values, source)

    def exchange(
        self,
        values: torch.Tensor,
        to: int,
        into: torch.Tensor,
        source: int,
    ) -> None:
        """Send and receive at the same time: neither waits for the other."""
        if len(values):
            self.messages += 1
            self.bytes += values.nbytes
        if len(values) or len(into):
            self._move(values, to, into, source)

    def _move(
        self,
        values: torch.Tensor,
        to: int,
        into: torch.Tensor,
        source: int,
    ) -> None:
        raise NotImplementedError


class Wire(Transport):
    """Between the ranks of `torch.distributed`: gloo, or NCCL on GPUs."""

    def __init__(self) -> None:
        super().__init__(dist.get_rank(), dist.get_world_size())

    def _move(
        self,
        values: torch.Tensor,
        to: int,
        into: torch.Tensor,
        source: int,
    ) -> None:
        jobs = []
        if len(into):
            jobs.append(dist.P2POp(dist.irecv, into, source))
        if len(values):
            jobs.append(dist.P2POp(dist.isend, values, to))
        for work in dist.batch_isend_irecv(jobs):
            work.wait()


class Mpi(Transport):
    """Between the ranks of an mpi4py communicator, on the CPU.

    NumPy arrays share their memory with the tensors: nothing is copied
    here, nothing pickled. `Sendrecv` is MPI's own exchange.
    """

    def __init__(self, communicator: Any) -> None:
        super().__init__(communicator.Get_rank(), communicator.Get_size())
        self.communicator = communicator

    def _move(
        self,
        values: torch.Tensor,
        to: int,
        into: torch.Tensor,
        source: int,
    ) -> None:
        out, room = values.numpy(), into.numpy()
        if not len(room):
            self.communicator.Send(out, dest=to)
        elif not len(out):
            self.communicator.Recv(room, source=source)
        else:
            self.communicator.Sendrecv(
                out, dest=to, recvbuf=room, source=source
            )
