"""The same model trained each way: one process, tensors split, pipelines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.toolbox import ranks
from parallel_ai.training.model_parallel.language import (
    batch_of,
    language,
    loss_of,
    split_model,
    text,
)
from parallel_ai.training.model_parallel.pipelines import (
    Pipeline,
    Post,
    even_cuts,
    stage_of,
)
from parallel_ai.training.model_parallel.schedules import (
    Orders,
    gpipe,
    one_f_one_b,
)
from parallel_ai.training.model_parallel.teams import Processes, Team

RATE, MOMENTUM = 0.05, 0.9
SCHEDULES: dict[str, Callable[[int, int], Orders]] = {
    "GPipe": gpipe,
    "1F1B": one_f_one_b,
}


@dataclass(frozen=True)
class Job:
    """What is trained: model, batches, steps. The same on each rank."""

    width: int = 64
    depth: int = 4
    heads: int = 4
    length: int = 64
    batch: int = 16
    steps: int = 10
    micros: int = 4  # micro-batches of a pipeline
    double: bool = True

    def model(self) -> nn.Sequential:
        """Build it whole, with the first weights of all ways."""
        shape = self.width, self.depth, self.heads, self.length
        model = vision.seeded(lambda: language(*shape), 0)
        return model.double() if self.double else model  # type: ignore

    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Cut the batches of all steps."""
        data = text()
        return [
            batch_of(data, step, self.batch, self.length)
            for step in range(self.steps)
        ]


Trained = tuple[list[float], dict[str, torch.Tensor]]  # losses, weights


class Momentum:
    """Gradient descent with momentum: each weight alone, so without talk.

    By hand, since PyTorch's optimizers load its compiler, for which every
    rank would pay a second and some 80 MB.
    """

    def __init__(self, model: nn.Module) -> None:
        self.weights = list(model.parameters())
        self.speeds = [torch.zeros_like(p) for p in self.weights]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.weights:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move all weights."""
        for p, speed in zip(self.weights, self.speeds, strict=True):
            speed.mul_(MOMENTUM).add_(p.grad)  # type: ignore[arg-type]
            p.sub_(RATE * speed)


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the weights that this rank has."""
    return {
        name: p.detach().cpu().clone() for name, p in model.named_parameters()
    }


def train_whole(job: Job, device: torch.device | None = None) -> Trained:
    """Train in one process, without any of this chapter."""
    model = job.model().to(device)
    optimizer = Momentum(model)
    losses = []
    for tokens, targets in job.batches():
        loss = loss_of(model(tokens.to(device)), targets.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, weights_of(model)


def train_split(
    job: Job, team: Team | None = None, device: torch.device | None = None
) -> Trained:
    """Train with each layer split over a team; all see the whole batch."""
    if team is None:
        team, device = Processes(), ranks.device()
    model = split_model(job.model(), team).to(device)
    optimizer = Momentum(model)
    losses = []
    for tokens, targets in job.batches():
        loss = loss_of(model(tokens.to(device)), targets.to(device), team)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, weights_of(model)


def plan_of(depth: int) -> dict[str, Any]:
    """Say how the library is to split each layer."""
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
    )

    plan: dict[str, Any] = {
        "0.embed": RowwiseParallel(input_layouts=Replicate()),
        f"{depth + 1}.head": ColwiseParallel(
            output_layouts=Shard(-1), use_local_output=False
        ),
    }
    for n in range(1, depth + 1):
        for name in ("exchange.q", "exchange.k", "exchange.v", "think.0"):
            plan[f"{n}.{name}"] = ColwiseParallel()
        plan[f"{n}.exchange.out"] = plan[f"{n}.think.2"] = RowwiseParallel()
    return plan


def train_by_library(job: Job) -> Trained:
    """Train with DTensor: the whole model, and a plan for its layers."""
    # Here, since every rank of every other way would pay for these imports.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import (
        loss_parallel,
        parallelize_module,
    )

    device = ranks.device()
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    model = job.model().to(device)
    parallelize_module(model, mesh, plan_of(job.depth))
    optimizer = Momentum(model)
    losses = []
    for tokens, targets in job.batches():
        with loss_parallel():
            logits = model(tokens.to(device)).flatten(0, 1)
            loss = F.cross_entropy(logits, targets.flatten().to(device))
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
        losses.append(_plain(loss.detach()).item())
    found = {name: _plain(p) for name, p in model.named_parameters()}
    return losses, {name: p.detach().cpu() for name, p in found.items()}


def _plain(value: torch.Tensor) -> torch.Tensor:
    """Bring all shards together, if it has any."""
    full = getattr(value, "full_tensor", None)  # a DTensor's
    return full() if full else value


def train_pipeline(
    job: Job, schedule: str = "1F1B", cuts: Sequence[int] = ()
) -> Trained:
    """Train with each rank a stage; the loss is known to the last."""
    device, net = ranks.device(), Post()
    cuts = cuts or even_cuts(job.depth + 2, net.size)
    stage = stage_of(job.model(), net.rank, cuts).to(device)
    pipeline = Pipeline(stage, net, job.width)
    order = SCHEDULES[schedule](net.size, job.micros)[net.rank]
    optimizer = Momentum(stage)
    losses = []
    for tokens, targets in job.batches():
        optimizer.zero_grad()
        pipeline.step(order, tokens.to(device), targets.to(device))
        optimizer.step()
        losses.append(pipeline.loss)
    return losses, weights_of(stage)


def train_library_pipeline(job: Job, schedule: str = "1F1B") -> Trained:
    """Train with the library's pipeline, on the same stages."""
    # Here, since this import takes as long as PyTorch's own.
    from torch.distributed import pipelining

    device, net = ranks.device(), Post()
    cuts = even_cuts(job.depth + 2, net.size)
    part = stage_of(job.model(), net.rank, cuts).to(device)
    stage = pipelining.PipelineStage(part, net.rank, net.size, device)
    kind = getattr(pipelining, f"Schedule{schedule}")
    runner = kind(stage, job.micros, loss_fn=loss_of)
    optimizer = Momentum(part)
    losses = []
    for tokens, targets in job.batches():
        optimizer.zero_grad()
        found: list[torch.Tensor] = []
        given = [tokens.to(device)] if net.rank == 0 else []
        runner.step(*given, target=targets.to(device), losses=found)
        optimizer.step()
        losses.append(sum(one.item() for one in found) / job.micros)
    return losses, weights_of(part)


WAYS: dict[str, Callable[[Job], Trained]] = {
    "tensors split by hand": train_split,
    "tensors split by DTensor": train_by_library,
    "our GPipe": partial(train_pipeline, schedule="GPipe"),
    "our 1F1B": partial(train_pipeline, schedule="1F1B"),
    "the library's GPipe": partial(train_library_pipeline, schedule="GPipe"),
    "the library's 1F1B": partial(train_library_pipeline, schedule="1F1B"),
}


def train_each_way(job: Job) -> dict[str, Trained]:
    """Be one rank: train in each of `WAYS`."""
    return {name: train(job) for name, train in WAYS.items()}


def distance(
    found: dict[str, torch.Tensor],
    whole: dict[str, torch.Tensor],
    job: Job,
    team: Team | None = None,
) -> float:
    """Compare weights of a rank with its part of a whole model's.

    Returns
    -------
    float
        The largest difference of any weight.
    """
    model = job.model()
    model.load_state_dict(whole)
    if team is not None:
        split_model(model, team)
    expected = weights_of(model)
    return max(
        (value - expected[name]).abs().max().item()
        for name, value in found.items()
    )
