"""Data parallelism by hand: the same weights, and averaged gradients."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


def broadcast_weights(model: nn.Module) -> None:
    """Give every rank the weights and buffers of rank 0."""
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, 0)


def average_gradients(model: nn.Module) -> None:
    """Replace each gradient by its mean over the ranks, one by one."""
    for parameter in model.parameters():
        if parameter.grad is None:  # every rank must call the same collectives
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= dist.get_world_size()


@dataclass
class Bucket:
    """Parameters whose gradients travel together."""

    parameters: list[nn.Parameter] = field(default_factory=list)
    missing: int = 0  # gradients that this backward pass still owes
    flat: torch.Tensor | None = None
    work: Any = None  # the all-reduce under way

    def send(self) -> None:
        """Start to sum, and do not wait."""
        grads = [p.grad for p in self.parameters if p.grad is not None]
        self.flat = torch.cat([grad.reshape(-1) for grad in grads])
        self.flat /= dist.get_world_size()
        self.work = dist.all_reduce(self.flat, async_op=True)

    def receive(self) -> None:
        """Wait for the sum, and put each gradient back in its place."""
        assert self.flat is not None  # noqa: S101, `send` came before
        self.work.wait()
        sizes = [p.numel() for p in self.parameters]
        for p, flat in zip(
            self.parameters, self.flat.split(sizes), strict=True
        ):
            assert p.grad is not None  # noqa: S101, it was sent
            p.grad.copy_(flat.view_as(p))


def in_buckets(model: nn.Module, size: int) -> list[Bucket]:
    """Fill buckets of about so many bytes, the last layer's first.

    The backward pass begins with the last layer, so its gradients are ready
    first. A bucket ends with the parameter that fills it.
    """
    buckets, held = [Bucket()], 0
    for parameter in reversed(list(model.parameters())):
        if held >= size:
            buckets.append(Bucket())
            held = 0
        buckets[-1].parameters.append(parameter)
        held += parameter.nbytes
    return buckets


class Replica(nn.Module):
    """A model whose backward pass sums gradients while it goes on.

    Parameters
    ----------
    model : Module
        All of its parameters must take part in each loss.
    size : int
        Bytes of a bucket.
    broadcast : bool
        Begin with the weights of rank 0. Without it, see the page's traps.
    """

    def __init__(
        self, model: nn.Module, size: int = 1 << 20, broadcast: bool = True
    ) -> None:
        super().__init__()
        self.model = model
        if broadcast:
            broadcast_weights(model)
        self.buckets = in_buckets(model, size)
        self.sent, self.silent = 0, False
        for bucket in self.buckets:
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(
                    partial(self._ready, bucket)
                )

    def forward(self, *inputs: Any) -> Any:
        """Count anew: this forward pass has a backward pass of its own."""
        self.sent = 0
        for bucket in self.buckets:
            bucket.missing = len(bucket.parameters)
        return self.model(*inputs)

    def _ready(self, bucket: Bucket, parameter: nn.Parameter) -> None:
        """Send all full buckets, in the order that all ranks agree on."""
        bucket.missing -= 1
        while (
            not self.silent
            and self.sent < len(self.buckets)
            and not self.buckets[self.sent].missing
        ):
            self.buckets[self.sent].send()
            self.sent += 1

    def finish(self) -> None:
        """Wait for what travels; between `backward` and `step`.

        Raises
        ------
        RuntimeError
            A parameter got no gradient.
        """
        if self.sent < len(self.buckets):
            raise RuntimeError("a parameter has no gradient in this pass")
        for bucket in self.buckets:
            bucket.receive()

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Only accumulate, for the micro-batches before the last."""
        self.silent = True
        try:
            yield
        finally:
            self.silent = False
