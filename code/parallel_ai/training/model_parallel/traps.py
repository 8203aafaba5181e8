"""Splits that run, and train another model, or none."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.training.collectives import Transport, run_local
from parallel_ai.training.model_parallel.layers import (
    Collect,
    Columns,
    Rows,
)
from parallel_ai.training.model_parallel.pipelines import Pipeline, stage_of
from parallel_ai.training.model_parallel.teams import Counted, Processes, Team
from parallel_ai.training.model_parallel.trainings import (
    SCHEDULES,
    Job,
    Momentum,
)

MLP = tuple[nn.Linear, nn.Linear]
Results = tuple[torch.Tensor, torch.Tensor]  # outputs, gradient of the inputs


def mlp(width: int = 8) -> MLP:
    """Build two linear layers in double precision."""
    generator = torch.Generator().manual_seed(0)
    pair = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    for layer in pair:
        layer.double()
        for p in layer.parameters():
            p.data = torch.randn(p.shape, generator=generator).double() / 4
    return pair


def right_way(team: Team, pair: MLP, inputs: torch.Tensor) -> torch.Tensor:
    """Split as it should be; each wrong way differs in one place."""
    part = team.own(pair[0].out_features)
    hidden = F.gelu(Columns(pair[0], part, team)(inputs))
    return Rows(pair[1], part, team)(hidden)


def bias_on_each(team: Team, pair: MLP, inputs: torch.Tensor) -> torch.Tensor:
    """Add the second bias before the sum, on every rank."""
    part = team.own(pair[0].out_features)
    hidden = F.gelu(Columns(pair[0], part, team)(inputs))
    mine = F.linear(hidden, pair[1].weight[:, part], pair[1].bias)
    return Collect.apply(mine, team)


def gelu_too_early(
    team: Team, pair: MLP, inputs: torch.Tensor
) -> torch.Tensor:
    """Split the first layer by rows, and bend each part of a sum."""
    first, second = pair
    part = team.own(first.in_features)
    mine = F.linear(inputs[..., part], first.weight[:, part])
    bent = F.gelu(mine + first.bias / team.size)
    return F.linear(Collect.apply(bent, team), second.weight, second.bias)


def no_sum_backwards(
    team: Team, pair: MLP, inputs: torch.Tensor
) -> torch.Tensor:
    """Leave out f: each rank keeps its own gradient of the inputs."""
    part = team.own(pair[0].out_features)
    first = F.linear(inputs, pair[0].weight[part], pair[0].bias[part])
    return Rows(pair[1], part, team)(F.gelu(first))


class SumBothWays(torch.autograd.Function):
    """The gradient of a sum of *all ranks'* losses, where one was meant."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, team: Team) -> torch.Tensor:
        """Sum over the ranks."""
        ctx.team = team
        return team.total(values)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        """Sum over the ranks, which all have the same loss."""
        return ctx.team.total(grad), None


def sum_both_ways(team: Team, pair: MLP, inputs: torch.Tensor) -> torch.Tensor:
    """Use an all-reduce whose gradient is an all-reduce in place of g."""
    part = team.own(pair[0].out_features)
    hidden = F.gelu(Columns(pair[0], part, team)(inputs))
    mine = F.linear(hidden, pair[1].weight[:, part])
    return SumBothWays.apply(mine, team) + pair[1].bias


SPLITS: dict[str, Callable[[Team, MLP, torch.Tensor], torch.Tensor]] = {
    "right": right_way,
    "bias on each rank": bias_on_each,
    "GELU before the sum": gelu_too_early,
    "no sum backwards": no_sum_backwards,
    "sums both ways": sum_both_ways,
}


def try_split(name: str, ranks: int) -> tuple[float, float]:
    """Compare one of `SPLITS` with the whole layers.

    Returns
    -------
    tuple of float
        Largest error of outputs; ratio of the lengths of rank 0's gradient
        of the inputs and the right one, as wrong as it is.
    """
    pair = mlp()
    values = torch.linspace(-1, 1, 48).double().view(6, 8)

    def go(apply: Callable[[torch.Tensor], torch.Tensor]) -> Results:
        inputs = values.clone().requires_grad_()
        outputs = apply(inputs)
        (grad,) = torch.autograd.grad(outputs.square().sum(), inputs)
        return outputs.detach(), grad

    def of_rank(net: Transport, _: None) -> Results:
        return go(lambda x: SPLITS[name](Counted(net), pair, x))

    expected, right = go(lambda x: pair[1](F.gelu(pair[0](x))))
    outputs, grad = run_local(of_rank, [None] * ranks)[0][0]
    error = (outputs - expected).abs().max().item()
    return error, float((grad - right).norm() / right.norm())


def fused_cut(ranks: int, by_heads: bool) -> float:
    """Split attention that has one layer for q, k and v together.

    Parameters
    ----------
    by_heads : bool
        Cut each of the three; otherwise the weight as it lies.

    Returns
    -------
    float
        Largest error of the outputs. Shapes are right in both cases.
    """
    # Here, since ranks would pay for what else that chapter imports.
    from parallel_ai.accelerators.architectures import MultiHead

    width, heads = 8, 4
    whole: Any = vision.seeded(lambda: MultiHead(width, heads), 0).double()
    tokens = torch.linspace(-1, 1, 96).double().view(2, 6, width).sin()
    total = whole.out.bias.detach()
    rows = torch.arange(3 * width)
    for rank in range(ranks):
        team = Team(rank, ranks)
        mine = rows[team.own(3 * width)]
        if by_heads:
            mine = rows.view(3, width)[:, team.own(width)].flatten()
        apart = F.linear(
            tokens, whole.into.weight[mine], whole.into.bias[mine]
        )
        apart = apart.unflatten(2, (3, heads // ranks, width // heads))
        q, k, v = apart.permute(2, 0, 3, 1, 4)
        mixed = whole.mix(q, k, v).transpose(1, 2).flatten(2)
        total = total + F.linear(mixed, whole.out.weight[:, team.own(width)])
    return (total - whole(tokens)).abs().max().item()


def dropped(inside: str, outside: str, steps: int = 5) -> tuple[float, float]:
    """Train an MLP with dropout inside the split part, and after the sum.

    Parameters
    ----------
    inside, outside : str
        Seeds of the two: "same" on all ranks, or "different".

    Returns
    -------
    tuple of float
        How often units of the two ranks with the same number were dropped
        or kept together; how far the second bias, of which each rank has
        a copy, is from rank 0's.
    """
    team = Processes()
    seeds = {"same": 0, "different": 1 + team.rank}
    within, after = (
        torch.Generator().manual_seed(seeds[one]) for one in (inside, outside)
    )
    pair = mlp()
    part = team.own(pair[0].out_features)
    first, second = Columns(pair[0], part, team), Rows(pair[1], part, team)
    inputs = torch.linspace(-1, 1, 8 * 64).double().view(64, 8)
    optimizer = Momentum(nn.ModuleList([first, second]))
    together = []
    for _ in range(steps):
        hidden = F.gelu(first(inputs))
        mask = torch.bernoulli(torch.full_like(hidden, 0.5), generator=within)
        outputs = second(hidden * mask * 2)
        keep = torch.full_like(outputs, 0.5)
        outputs = outputs * torch.bernoulli(keep, generator=after) * 2
        optimizer.zero_grad()
        (outputs - 1).square().mean().backward()
        optimizer.step()
        agree = (team.total(mask) != 1).double().mean().item()
        together.append(agree)
    bias = second.bias
    assert bias is not None  # noqa: S101, for mypy
    first_bias = bias.detach().clone()
    dist.broadcast(first_bias, 0)
    away = team.largest((bias.detach() - first_bias).abs()).max().item()
    return sum(together) / steps, away


def dropped_each_way() -> dict[tuple[str, str], tuple[float, float]]:
    """Try all four pairs of seeds, inside and outside."""
    words = "same", "different"
    return {
        (inside, outside): dropped(inside, outside)
        for inside in words
        for outside in words
    }


def blocking_pipeline(eager: float, schedule: str = "1F1B") -> float:
    """Run a pipeline whose sends wait for their receiver, if they are long.

    Parameters
    ----------
    eager : float
        Bytes up to which a message is put down and left behind.

    Returns
    -------
    float
        The loss; `Deadlock` if nobody can go on.
    """
    job = Job(width=8, depth=2, heads=2, length=8, batch=4, steps=1)
    tokens, targets = job.batches()[0]

    def go(net: Transport, model: nn.Sequential) -> float:
        stage = stage_of(model, net.rank, (0, 2, 4))
        pipeline = Pipeline(stage, net, job.width)
        order = SCHEDULES[schedule](2, job.micros)[net.rank]
        pipeline.step(order, tokens, targets)
        return pipeline.loss

    models = [job.model(), job.model()]
    return run_local(go, models, eager)[0][1]
