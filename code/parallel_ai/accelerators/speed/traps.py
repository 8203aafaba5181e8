"""What makes a fast loop a wrong one, or a slow one."""

import time

import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.speed.loops import Loop, Settings, epoch_of
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices


def step_seconds(
    part: Part, device: torch.device, steps: int = 8
) -> list[float]:
    """Time each of the first steps of a new loop, waiting for each."""
    seconds = []
    with Loop(Settings(), device) as loop:
        every = epoch_of(part.to(device), loop.settings)
        for _, batch in zip(range(steps), every, strict=False):
            begun = time.perf_counter()
            loop.step(batch)
            devices.finish(device)
            seconds.append(time.perf_counter() - begun)
    return seconds


def asking(loop: Loop, part: Part, each_step: bool) -> float:
    """Go through a part, and ask for the loss each time or once."""
    total = torch.zeros((), device=loop.device)
    asked = 0.0
    for batch in epoch_of(part, loop.settings):
        loss = loop.step(batch)
        if each_step:
            asked += loss.item()  # waits for a GPU
        else:
            total += loss
    return asked if each_step else total.item()


def loss_in(kind: torch.dtype, scale: float) -> float:
    """Compute a loss on large inputs, in reduced precision.

    float16 ends at 65,504; bfloat16 has the range of float32.
    """
    model = vision.seeded(vision.mlp, 0)
    images = torch.ones(8, 1, 28, 28) * scale
    with torch.no_grad():
        half: nn.Module = model.to(kind)
        logits = half(images.to(kind)).float()
    return F.cross_entropy(logits, torch.zeros(8, dtype=torch.int64)).item()
