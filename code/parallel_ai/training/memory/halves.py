"""Half the bytes: weights in bfloat16, and why a copy in fp32 stays."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.training.memory.formulas import Held
from parallel_ai.training.memory.measuring import held
from parallel_ai.training.memory.steps import Build, adam


class Master:
    """An optimizer of fp32 copies, for a model in bfloat16.

    Attributes
    ----------
    optimizer : Adam
        It knows the copies alone.
    """

    def __init__(self, model: nn.Module, **settings: Any) -> None:
        self.weights = list(model.parameters())
        copies = [nn.Parameter(p.detach().float()) for p in self.weights]
        self.pairs = list(zip(self.weights, copies, strict=True))
        self.optimizer = adam(copies, **settings)

    @torch.no_grad()
    def step(self) -> None:
        """Update the copies, and round them into the model."""
        for weight, copy in self.pairs:
            if weight.grad is not None:
                copy.grad, weight.grad = weight.grad.float(), None
        self.optimizer.step()
        for weight, copy in self.pairs:
            weight.copy_(copy)
            copy.grad = None


def measure_halves(
    build: Build, batch: Part, master: bool
) -> tuple[Held, int]:
    """Measure what a model in bfloat16 holds after its backward pass.

    Returns
    -------
    tuple
        Bytes by kind, and the number of parameters.
    """
    model = vision.seeded(build, 0).bfloat16()
    images = batch.images.bfloat16()
    mine = Master(model) if master else None
    optimizer = mine.optimizer if mine else adam(model.parameters())
    for _ in range(2):
        F.cross_entropy(model(images).float(), batch.labels).backward()
        found = held(model.parameters(), optimizer)
        (mine or optimizer).step()
        model.zero_grad()
    return found, vision.parameters(model)


def small_steps(dtype: torch.dtype, steps: int, size: float) -> float:
    """Take small steps down from 1, in a type, and say where one is."""
    place = torch.ones((), dtype=dtype)
    for _ in range(steps):
        place -= size
    return place.item()
