"""One function that measures each rung, and the two ends of the ladder."""

import itertools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.speed.loops import Loop, Settings, epoch_of
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine
from parallel_ai.toolbox.stopwatch import Timing, compare

BATCHES = (64, 128, 256)


@dataclass(frozen=True)
class Rung:
    """A change, tried beside the loop without it, in the same rounds.

    Attributes
    ----------
    before, after : Timing
        Seconds for `images` pictures.
    kept : bool
        It was faster, so the next change is tried on top of it.
    """

    name: str
    before: Timing
    after: Timing
    images: int
    kept: bool

    @property
    def gain(self) -> float:
        """How many times as fast the loop is with the change."""
        return least(self.before) / least(self.after)


def least(timing: Timing) -> float:
    """Seconds of the round that others on the machine disturbed least."""
    return min(timing.seconds)


def paces(
    settings: Mapping[str, Settings],
    part: Part,
    device: torch.device,
    images: int = 2_048,
    repeats: int = 3,
) -> dict[str, Timing]:
    """Time loops side by side, each over as many pictures, warm.

    Parameters
    ----------
    images : int
        A multiple of all the batch sizes.
    """
    jobs: dict[str, Callable[[], Any]] = {}
    here = part.to(device)
    with ExitStack() as stack:
        for name, wanted in settings.items():
            loop = stack.enter_context(Loop(wanted, device))
            jobs[name] = _job(loop, here, images)
        return compare(jobs, repeats)


def _job(loop: Loop, part: Part, images: int) -> Callable[[], float]:
    size = loop.settings.batch_size
    if images % size or len(part) < size:
        raise ValueError(
            f"{images} pictures are no whole batches of {size}, of "
            f"{len(part)} in all"
        )
    whole = part[: len(part) // size * size]
    every = itertools.chain.from_iterable(
        epoch_of(whole, loop.settings, 0, epoch) for epoch in itertools.count()
    )

    def job() -> float:
        for batch in itertools.islice(every, images // size):
            loss = loop.step(batch)
        return loss.item()

    return devices.finished(job, loop.device)


def climb(
    start: Settings,
    changes: Mapping[str, Mapping[str, Any]],
    part: Part,
    device: torch.device,
    images: int = 2_048,
    repeats: int = 3,
) -> tuple[Settings, list[Rung]]:
    """Try one change after the other; keep those that are faster here.

    Parameters
    ----------
    changes : mapping
        For each rung's name the fields of `Settings` that it changes.

    Returns
    -------
    tuple
        The settings at the top, and what each rung brought.
    """
    rungs = []
    for name, fields in changes.items():
        tried = replace(start, **fields)
        if tried == start:
            continue
        found = paces(
            {"before": start, "after": tried}, part, device, images, repeats
        )
        kept = least(found["after"]) < least(found["before"])
        rungs.append(Rung(name, found["before"], found["after"], images, kept))
        start = tried if kept else start
    return start, rungs


def rungs_for(device: torch.device) -> dict[str, dict[str, Any]]:
    """List the changes that a device is worth trying with.

    Replicas are threads that share a CPU. The learning rate grows by the
    root of the batch, as is usual for Adam.
    """
    found: dict[str, dict[str, Any]] = {
        "channels-last": {"channels_last": True},
        "fused optimizer": {"fused": True},
        "fewer passes": {"quick": True},
        "bfloat16": {"bfloat16": True},
    }
    if device.type == "cpu":
        found["a replica a core"] = {"replicas": machine.cpus()}
    size = 256 if device.type == "cpu" else 1_024
    found[f"batch {size}"] = {
        "batch_size": size,
        "learning_rate": scaled(0.004, 128, size),
    }
    return found


def scaled(rate: float, old: int, new: int, power: float = 0.5) -> float:
    """Scale a learning rate to another batch size.

    Parameters
    ----------
    power : float
        1 for plain gradient descent (the linear rule), 0.5 for Adam.

    Raises
    ------
    ValueError
        A batch size is not positive.
    """
    if min(old, new) < 1:
        raise ValueError(f"batch sizes {old} and {new}: at least 1")
    return rate * (new / old) ** power


def ordinary(
    part: Part, device: torch.device, images: int = 2_048, repeats: int = 3
) -> tuple[Settings, dict[str, Timing]]:
    """Tune the batch of the ordinary loop: float32, tensors in memory."""
    choices = {
        str(size): Settings(size, scaled(0.004, 128, size))
        for size in BATCHES
        if images % size == 0
    }
    found = paces(choices, part, device, images, repeats)
    best = min(found, key=lambda name: least(found[name]))
    return choices[best], found


def compare_loops(
    images: int = 2_048, repeats: int = 5, device: torch.device | None = None
) -> dict[str, Timing | float]:
    """Compare the best ordinary loop with the ladder's top."""
    device = device or devices.choose()
    part = vision.load_data(1000).train[:8_192]
    best, _ = ordinary(part, device, images)
    top, _ = climb(best, rungs_for(device), part, device, images)
    ways = {"ordinary": best, "ours": top}
    return {**paces(ways, part, device, images, repeats)}
