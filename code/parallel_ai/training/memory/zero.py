"""ZeRO by hand: states, gradients and parameters divided among the ranks."""

from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


class Unit:
    """The parameters of one layer, in one piece that is cut by the ranks.

    Parameters
    ----------
    parameters : list of Parameter
        Of one type, at least one.
    whole : bool
        Keep all of it between uses; otherwise only the own share.

    Attributes
    ----------
    flat : tensor, (ranks · share,)
        All of it, padded with zeros; without memory while it is away.
    own : Parameter, (share,)
        What this rank updates.
    """

    def __init__(self, parameters: list[nn.Parameter], whole: bool) -> None:
        self.parameters, self.missing = parameters, len(parameters)
        self.whole = whole
        self.shapes = [p.shape for p in parameters]
        rank, size = dist.get_rank(), dist.get_world_size()
        self.flat = self._packed([p.detach() for p in parameters])
        dist.broadcast(self.flat, 0)
        own = self.flat.chunk(size)[rank]
        self.own = nn.Parameter(own if whole else own.clone())
        self.bytes = self.flat.nbytes
        self._point()
        if not whole:
            self.release()

    def _packed(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        """Lay tensors end to end, and pad so that all shares are equal."""
        size, count = dist.get_world_size(), sum(t.numel() for t in tensors)
        flat = tensors[0].new_zeros(-(-count // size) * size)
        torch.cat([t.reshape(-1) for t in tensors], out=flat[:count])
        return flat

    def _point(self) -> None:
        """Let the layer's parameters be views of the whole."""
        counts = [shape.numel() for shape in self.shapes]
        views = self.flat[: sum(counts)].split(counts)
        for p, view, shape in zip(
            self.parameters, views, self.shapes, strict=True
        ):
            p.data = view.view(shape)

    def gather(self) -> None:
        """Collect the shares of all ranks, an all-gather."""
        if self.flat.untyped_storage().nbytes() == 0:
            self.flat.untyped_storage().resize_(self.bytes)
        own = self.own.detach().clone()
        dist.all_gather_into_tensor(self.flat, own)
        self._point()

    def release(self) -> None:
        """Give back all but the own share."""
        for p in self.parameters:
            p.data = p.new_empty(0)
        self.flat.untyped_storage().resize_(0)

    def reduce(self) -> None:
        """Average gradients, keep the own share: a reduce-scatter.

        After the backward pass of a layer, its parameters may go, too.

        Raises
        ------
        RuntimeError
            A parameter got no gradient.
        """
        grads = [p.grad for p in self.parameters if p.grad is not None]
        if len(grads) < len(self.parameters):
            raise RuntimeError("a parameter has no gradient in this pass")
        flat = self._packed(grads)
        del grads
        for p in self.parameters:
            p.grad = None
        if not self.whole:
            self.release()
        mine = torch.empty_like(self.own)
        dist.reduce_scatter_tensor(mine, flat)
        mine /= dist.get_world_size()
        if self.own.grad is None:
            self.own.grad = mine
        else:
            self.own.grad += mine
        self.missing = len(self.parameters)


class Sharded(nn.Module):
    """A model whose state is divided, as in a stage of ZeRO.

    Parameters
    ----------
    model : Module
        All of its parameters must take part in each loss.
    stage : int
        1 divides what the optimizer remembers, 2 also gradients, 3 also
        parameters.
    """

    def __init__(self, model: nn.Module, stage: int) -> None:
        super().__init__()
        if stage not in (1, 2, 3):
            raise ValueError(f"stages are 1, 2 and 3, got {stage}")
        self.model, self.stage = model, stage
        self.units = []
        for layer in model.modules():
            mine = [p for p in layer.parameters(False) if p.requires_grad]
            if mine:
                unit = Unit(mine, whole=stage < 3)
                self.units.append(unit)
                self._watch(layer, unit)

    def _watch(self, layer: nn.Module, unit: Unit) -> None:
        """Act when a layer is used, and when its gradients are there."""
        if self.stage >= 2:
            for p in unit.parameters:
                p.register_post_accumulate_grad_hook(
                    partial(self._ready, unit)
                )
        if self.stage == 3:
            layer.register_forward_pre_hook(lambda *_: unit.gather())
            layer.register_forward_hook(lambda *_: unit.release())
            layer.register_full_backward_pre_hook(lambda *_: unit.gather())

    def _ready(self, unit: Unit, _: nn.Parameter) -> None:
        """Reduce at once, so that whole gradients never add up."""
        unit.missing -= 1
        if not unit.missing:
            unit.reduce()

    def forward(self, *inputs: Any) -> Any:
        """Compute as the model does."""
        return self.model(*inputs)

    def shares(self) -> list[nn.Parameter]:
        """Return what the optimizer is to update."""
        return [unit.own for unit in self.units]

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Update the own share, and tell the others.

        Raises
        ------
        RuntimeError
            A parameter got no gradient.
        """
        for unit in self.units:
            if self.stage == 1:
                unit.reduce()
            elif unit.own.grad is None or unit.missing < len(unit.shapes):
                raise RuntimeError("a parameter has no gradient in this pass")
        optimizer.step()
        optimizer.zero_grad()
        if self.stage < 3:
            for unit in self.units:
                unit.gather()

    def weights(self) -> list[torch.Tensor]:
        """Return copies of all parameters, whole, on every rank."""
        for unit in self.units:
            unit.gather()
        copies = [p.detach().clone() for p in self.model.parameters()]
        for unit in self.units:
            if not unit.whole:
                unit.release()
        return copies
