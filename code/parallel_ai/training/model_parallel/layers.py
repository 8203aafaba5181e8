"""Layers of which each rank has a part, after Megatron-LM."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.training.model_parallel.teams import Team


class Spread(torch.autograd.Function):
    """Megatron's f: nothing forwards, a sum over the ranks backwards."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, team: Team) -> torch.Tensor:
        """Hand the same values to the parts of all ranks."""
        ctx.team = team
        return values.view_as(values)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        """Add up what each rank's part wants of them."""
        return ctx.team.total(grad), None


class Collect(torch.autograd.Function):
    """Megatron's g: a sum over the ranks forwards, nothing backwards."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, team: Team) -> torch.Tensor:
        """Add up the parts of all ranks."""
        return team.total(values)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        """Hand on: each part counts once in the sum."""
        return grad, None


class Entrance(nn.Module):
    """`Spread` as a layer, for several layers that read the same."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Hand on."""
        return Spread.apply(values, self.team)


def part_of(tensor: torch.Tensor) -> nn.Parameter:
    """Make a parameter of which other ranks have the rest, and mark it."""
    parameter = nn.Parameter(tensor.detach().clone())
    parameter.is_part = True  # type: ignore[attr-defined]
    return parameter


def gradient_norm(model: nn.Module, team: Team) -> float:
    """Length of the whole model's gradient, for clipping.

    Squares of parts are summed over the ranks. What every rank has whole
    counts once.
    """
    zero = next(model.parameters()).new_zeros(())
    sums: list[list[torch.Tensor]] = [[], []]
    for p in model.parameters():
        if p.grad is not None:
            sums[hasattr(p, "is_part")].append(p.grad.square().sum())
    whole, parts = (torch.stack([zero, *s]).sum() for s in sums)
    return float((whole + team.total(parts)).sqrt())


class Columns(nn.Module):
    """Some of a linear layer's outputs, from all of its inputs.

    Parameters
    ----------
    whole : Linear
    part : slice
        Which outputs.
    spread : bool
        Without it, an `Entrance` must have been passed.
    """

    def __init__(
        self, whole: nn.Linear, part: slice, team: Team, spread: bool = True
    ) -> None:
        super().__init__()
        self.team, self.spread = team, spread
        self.weight = part_of(whole.weight[part])
        self.bias = None
        if whole.bias is not None:
            self.bias = part_of(whole.bias[part])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Take (…, inputs), the same on all ranks; give (…, own outputs)."""
        if self.spread:
            inputs = Spread.apply(inputs, self.team)
        return F.linear(inputs, self.weight, self.bias)


class Rows(nn.Module):
    """All of a linear layer's outputs, from some of its inputs.

    The bias is whole on every rank, and added once: after the sum.
    """

    def __init__(self, whole: nn.Linear, part: slice, team: Team) -> None:
        super().__init__()
        self.team = team
        self.weight = part_of(whole.weight[:, part])
        self.bias = None
        if whole.bias is not None:
            self.bias = nn.Parameter(whole.bias.detach().clone())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Take (…, own inputs); give (…, outputs), the same on all ranks."""
        outputs = Collect.apply(F.linear(inputs, self.weight), self.team)
        return outputs if self.bias is None else outputs + self.bias


class SplitEmbedding(nn.Module):
    """Some rows of an embedding: other tokens count zero, then a sum."""

    def __init__(self, whole: nn.Embedding, team: Team) -> None:
        super().__init__()
        self.team, self.part = team, team.own(whole.num_embeddings)
        self.weight = part_of(whole.weight[self.part])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Take (…) tokens; give (…, width), the same on all ranks."""
        local = tokens - self.part.start
        foreign = (local < 0) | (local >= len(self.weight))
        found = F.embedding(local.masked_fill(foreign, 0), self.weight)
        found = found.masked_fill(foreign.unsqueeze(-1), 0)
        return Collect.apply(found, self.team)


class SplitCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of logits of which each rank has some classes.

    Three numbers a token travel. The logits themselves never do.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: torch.Tensor, targets: torch.Tensor, start: int,
        team: Team,
    ) -> torch.Tensor:  # fmt: skip
        """Take (n, own classes), and (n) targets among all classes."""
        n, count = logits.shape
        local = targets - start
        mine = (local >= 0) & (local < count)
        place = torch.arange(n, device=logits.device)[mine], local[mine]
        logits = logits - team.largest(logits.amax(1)).unsqueeze(1)
        right = logits.new_zeros(n)
        right[mine] = logits[place]
        powers = logits.exp()
        sums, right = team.total(torch.stack([powers.sum(1), right]))
        ctx.save_for_backward(powers / sums.unsqueeze(1), *place)
        return (sums.log() - right).mean()

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor, None, None, None]:
        """Softmax less one at the target: each rank for its classes."""
        probabilities, *place = ctx.saved_tensors
        found = probabilities.clone()
        found[tuple(place)] -= 1
        return found * (grad / len(found)), None, None, None
