"""One training step, watched: where its memory rises and where it falls."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.training.memory.formulas import Held
from parallel_ai.training.memory.measuring import Tracker, held, saving

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Timeline:
    """What some steps held.

    Attributes
    ----------
    line : list of int
        Bytes after each operator, the batch included.
    marks : dict of str to int
        Where each phase begins: `forward 1`, `backward 1`, `optimizer 1` …
    before : int
        Bytes before the first step.
    """

    line: list[int]
    marks: dict[str, int]
    before: int

    @property
    def peaks(self) -> list[int]:
        """Most bytes of each step."""
        steps = [at for name, at in self.marks.items() if "forward" in name]
        ends = [*steps[1:], len(self.line)]
        spans = zip(steps, ends, strict=True)
        return [max(self.line[a:b]) for a, b in spans]


def adam(weights: Iterable[torch.Tensor], **how: Any) -> torch.optim.Adam:
    """Make the optimizer of this chapter."""
    return torch.optim.Adam(weights, 1e-3, **how)


def timeline(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Part,
    steps: int = 2,
    pieces: int = 1,
    none: bool = True,
) -> Timeline:
    """Follow the memory of some training steps.

    Parameters
    ----------
    pieces : int
        Parts of the batch, whose gradients are added up.
    none : bool
        Give gradients back after each step (`set_to_none`), or zero them.
    """
    tracker = Tracker([*model.parameters(), batch.images, batch.labels])
    before = tracker.now
    with tracker:
        for step in range(1, steps + 1):
            for images, labels in zip(
                batch.images.chunk(pieces), batch.labels.chunk(pieces),
                strict=True,
            ):  # fmt: skip
                tracker.marks.setdefault(f"forward {step}", len(tracker.line))
                loss = F.cross_entropy(model(images), labels)
                tracker.mark(f"backward {step}")
                (loss * (len(labels) / len(batch))).backward()
                del loss
            tracker.mark(f"optimizer {step}")
            optimizer.step()
            optimizer.zero_grad(set_to_none=none)
            tracker.line.append(tracker.now)
    return Timeline(tracker.line, tracker.marks, before)


def measure_step(build: Build, batch: Part) -> Held:
    """Measure what a model, Adam and one forward pass hold.

    A step is taken first, so that gradients and states are there. The batch
    should own its pictures: of a slice, all that it was cut from counts.
    """
    model = vision.seeded(build, 0)
    optimizer = adam(model.parameters())
    F.cross_entropy(model(batch.images), batch.labels).backward()
    optimizer.step()
    rest = held(model.parameters(), optimizer)
    with saving([*model.parameters(), *model.buffers()]) as saved:
        loss = F.cross_entropy(model(batch.images), batch.labels)
    kept = saved.bytes
    del loss
    return Held(rest.parameters, rest.gradients, rest.states, kept)


def wide(width: int = 512, depth: int = 4) -> nn.Sequential:
    """Build an MLP whose parameters outweigh its activations by far."""
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(28 * 28, width)]
    for _ in range(depth - 1):
        layers += [nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(width, 10))


def outside(batch: Part, width: int) -> dict[str, tuple[int, int]]:
    """Compare our count with what the system, or the GPU's driver, says.

    Call it in a process of its own: what a process was given before and has
    given back may still count as its own.

    Returns
    -------
    dict
        By phase: bytes that tensors gained since the start by our count,
        and by the resident set (by the allocator on a GPU).
    """
    device = devices.choose()
    batch = batch.to(device)
    inside = _inside(device)
    warm = vision.seeded(vision.mlp, 0).to(device)
    warm(batch.images).sum().backward()  # loads kernels, starts threads
    adam(warm.parameters()).step()
    first = inside()
    model = vision.seeded(lambda: wide(width), 0).to(device)
    optimizer = adam(model.parameters())
    tracker = Tracker(model.parameters())
    found = {"parameters": (tracker.now, inside() - first)}
    with tracker:
        loss = F.cross_entropy(model(batch.images), batch.labels)
        found["+ activations"] = tracker.now, inside() - first
        loss.backward()
        found["+ gradients"] = tracker.now, inside() - first
        optimizer.step()
        found["+ states"] = tracker.now, inside() - first
        optimizer.zero_grad()
        found["- gradients"] = tracker.now, inside() - first
    return found


def _inside(device: torch.device) -> Callable[[], int]:
    """Ask somebody else how many bytes are taken."""
    if device.type == "cuda":
        return lambda: torch.cuda.memory_allocated(device)
    me = psutil.Process()
    return lambda: me.memory_info().rss
