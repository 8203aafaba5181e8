"""A pipeline that runs: each rank has a stage, and does its order."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from parallel_ai.training.collectives import Transport, Wire
from parallel_ai.training.model_parallel.language import loss_of
from parallel_ai.training.model_parallel.schedules import Span, Task


class Post(Wire):
    """A wire on which nobody waits for who is to receive."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[tuple[Any, torch.Tensor]] = []

    def send(self, values: torch.Tensor, to: int) -> None:
        """Hand over, and return: `values` must not be changed again."""
        self.messages += 1
        self.bytes += values.nbytes
        self.under_way.append((dist.isend(values, to), values))

    def finish(self) -> None:
        """Wait until all has been received."""
        for work, _ in self.under_way:
            work.wait()
        self.under_way.clear()


def even_cuts(layers: int, stages: int) -> list[int]:
    """Cut so many layers into stages that differ by at most one.

    Raises
    ------
    ValueError
        There are more stages than layers, or none.
    """
    if not 1 <= stages <= layers:
        raise ValueError(f"{layers} layers make no {stages} stages")
    return [layers * s // stages for s in range(stages + 1)]


def stage_of(
    model: nn.Sequential, rank: int, cuts: Sequence[int]
) -> nn.Sequential:
    """Take a rank's layers out of a whole model: a slice."""
    return model[cuts[rank] : cuts[rank + 1]]


class Pipeline:
    """One rank's part in passing micro-batches forth and back.

    Parameters
    ----------
    stage : Module
        Layers of this rank. Rank 0 has the first ones.
    net : Transport
    width : int
        Of the vectors that travel.
    """

    def __init__(self, stage: nn.Module, net: Transport, width: int) -> None:
        self.stage, self.net, self.width = stage, net, width
        self.first, self.last = net.rank == 0, net.rank == net.size - 1
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.most = 0  # micro-batches kept at a time
        self.loss = 0.0

    def step(
        self, order: Sequence[Task], tokens: torch.Tensor,
        targets: torch.Tensor, clock: Callable[[], float] = time.perf_counter,
    ) -> list[Span]:  # fmt: skip
        """Do the tasks in order; gradients are those of the batch's mean.

        Parameters
        ----------
        tokens, targets : tensor, (n, length)
            The whole batch; the first stage reads the one, the last the
            other.

        Returns
        -------
        list of Span
            When this rank computed; receiving is not computing.

        Raises
        ------
        ValueError
            The micro-batches would differ in size.
        """
        micros = sum(task.kind == "F" for task in order)
        inputs, wanted = tokens.chunk(micros), targets.chunk(micros)
        if len({len(one) for one in inputs}) > 1 or len(inputs) < micros:
            raise ValueError(
                f"{len(tokens)} rows make no {micros} equal micro-batches"
            )
        self.loss, spans = 0.0, []
        for task in order:
            take = self._forward if task.kind == "F" else self._backward
            come = self._receive(task, inputs[task.micro])
            start = clock()
            out = take(task.micro, come, wanted[task.micro], micros)
            spans.append(Span(self.net.rank, task, start, clock()))
            if out is not None:
                to = self.net.rank + (1 if task.kind == "F" else -1)
                self.net.send(out.detach().flatten(), to)
        if isinstance(self.net, Post):
            self.net.finish()
        return spans

    def _receive(self, task: Task, tokens: torch.Tensor) -> torch.Tensor:
        """Wait for what a task needs, if it comes from elsewhere."""
        end = self.first if task.kind == "F" else self.last
        if end:
            return tokens
        weight = next(self.stage.parameters())
        room = weight.new_empty(tokens.numel() * self.width)
        source = self.net.rank + (-1 if task.kind == "F" else 1)
        self.net.receive(room, source)
        return room.view(*tokens.shape, self.width)

    def _forward(
        self, micro: int, come: torch.Tensor, wanted: torch.Tensor,
        micros: int,
    ) -> torch.Tensor | None:  # fmt: skip
        """Compute, and keep what the backward pass will need."""
        if not self.first:
            come.requires_grad_()
        out = self.stage(come)
        if self.last:
            out = loss_of(out, wanted) / micros
            self.loss += out.item()
        self.kept[micro] = come, out
        self.most = max(self.most, len(self.kept))
        return None if self.last else out

    def _backward(
        self, micro: int, come: torch.Tensor, wanted: torch.Tensor,
        micros: int,
    ) -> torch.Tensor | None:  # fmt: skip
        """Go back, and forget; gradients of weights add up."""
        inputs, out = self.kept.pop(micro)
        out.backward(None if self.last else come)  # type: ignore
        return None if self.first else inputs.grad
