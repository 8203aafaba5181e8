"""Activation checkpointing: throw away, and compute again."""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from parallel_ai.accelerators import architectures, vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.stopwatch import Timing, compare
from parallel_ai.training.memory.measuring import Tracker


class Recompute(torch.autograd.Function):
    """A part of a model that saves its input and nothing else."""

    @staticmethod
    def forward(
        ctx: Any, part: nn.Module, x: torch.Tensor, *weights: torch.Tensor
    ) -> torch.Tensor:
        """Compute without a graph; the weights are named for autograd."""
        ctx.part, ctx.chance = part, _chance(x.device)
        ctx.save_for_backward(x, *weights)
        with torch.no_grad():
            return part(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        """Compute again, now with a graph, and go back through it."""
        x, *weights = ctx.saved_tensors
        x = x.detach().requires_grad_(ctx.needs_input_grad[1])
        with torch.enable_grad(), _same_chance(x.device, ctx.chance):
            y = ctx.part(x)
        wanted = [x, *weights] if x.requires_grad else weights
        found = torch.autograd.grad(y, wanted, grad, allow_unused=True)
        return None, *([] if x.requires_grad else [None]), *found


def _chance(device: torch.device) -> list[torch.Tensor]:
    """Where the random generators are, for dropout."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


@contextmanager
def _same_chance(
    device: torch.device, states: list[torch.Tensor]
) -> Iterator[None]:
    """Draw the same random numbers once more, and go on as if not."""
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus):
        torch.set_rng_state(states[0])
        if gpus:
            torch.cuda.set_rng_state(states[1], device)
        yield


def recompute(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Run a part of a model, and save its input alone."""
    weights = [p for p in part.parameters() if p.requires_grad]
    out: torch.Tensor = Recompute.apply(part, x, *weights)
    return out


def library_recompute(part: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Let PyTorch do it: the same signature as ours."""
    out: torch.Tensor = checkpoint(part, x, use_reentrant=False)
    return out


class Segmented(nn.Module):
    """Layers one after the other, in segments that are computed again.

    Parameters
    ----------
    layers : Sequential
    count : int
        Segments, from 1 to the number of layers; 0 saves everything.
    how : callable
        `recompute` or `library_recompute`.
    """

    def __init__(
        self,
        layers: nn.Sequential,
        count: int,
        how: Callable[[nn.Module, torch.Tensor], torch.Tensor] = recompute,
    ) -> None:
        super().__init__()
        if not 0 <= count <= len(layers):
            raise ValueError(
                f"{len(layers)} layers cannot be cut into {count} segments"
            )
        self.how = how if count else nn.Module.__call__
        cuts = [len(layers) * i // max(1, count) for i in range(count + 1)]
        bounds = itertools.pairwise(cuts)
        parts = [layers[a:b] for a, b in bounds] or [layers]
        self.segments = nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Go through all segments."""
        for segment in self.segments:
            x = self.how(segment, x)
        return x


def segments_peak(count: int, depth: int, boundary: int, inner: int) -> float:
    """Predict the bytes of activations at the worst moment.

    Parameters
    ----------
    count : int
        Segments; 0 for none.
    boundary, inner : int
        Bytes between two layers, and of all that one layer saves.
    """
    if not count:
        return float(depth * inner)
    return count * boundary + math.ceil(depth / count) * inner


def square_root_rule(depth: int, boundary: int, inner: int) -> float:
    """Segments that need the least memory: √(depth · inner / boundary).

    With a layer that saves nothing but its input it is √depth, the rule of
    Chen et al. (2016).
    """
    return math.sqrt(depth * inner / boundary)


@dataclass(frozen=True)
class Recomputed:
    """What one number of segments costs.

    Attributes
    ----------
    count : int
        Segments; 0: nothing is computed again.
    peak : int
        Bytes at the worst moment beyond those before the pass.
    seconds : Timing
        Of a forward and a backward pass.
    """

    count: int
    peak: int
    seconds: Timing


def deep(count: int, depth: int, width: int = 64) -> nn.Module:
    """Build a transformer whose blocks are computed again in segments."""
    model = architectures.VisionTransformer(depth=depth, width=width)
    model.blocks = Segmented(model.blocks, count)  # type: ignore[assignment]
    return model


def recomputed(
    counts: list[int],
    depth: int,
    batch: Part,
    device: torch.device,
    repeats: int = 3,
) -> list[Recomputed]:
    """Measure memory and time of a training pass for some segment counts."""
    batch = batch.to(device)
    models = {
        n: vision.seeded(partial(deep, n, depth), 0).to(device) for n in counts
    }

    def job(model: nn.Module) -> Callable[[], None]:
        def work() -> None:
            F.cross_entropy(model(batch.images), batch.labels).backward()

        return devices.finished(work, device)

    peaks = {}
    for count, model in models.items():
        job(model)()  # gradients are there from now on
        weights = [*model.parameters()]
        tracker = Tracker([*weights, *(p.grad for p in weights)])
        before = tracker.now
        with tracker:
            job(model)()
        peaks[count] = tracker.peak - before
    times = compare({str(n): job(m) for n, m in models.items()}, repeats)
    return [Recomputed(n, peaks[n], times[str(n)]) for n in counts]
