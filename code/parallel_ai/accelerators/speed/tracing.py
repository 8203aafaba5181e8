"""Where does a step spend its time? PyTorch's profiler, drawn and summed."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile, record_function

from parallel_ai.accelerators.speed.loops import Loop, epoch_of
from parallel_ai.accelerators.vision import Part

PHASES = ("data", "forward", "backward", "optimizer")


@dataclass(frozen=True)
class Span:
    """Something that ran, in milliseconds since the trace began.

    Attributes
    ----------
    phase : str
        One of `PHASES`.
    depth : int
        0 for the phase itself, 1 for an operation directly inside it.
    """

    name: str
    phase: str
    depth: int
    start: float
    stop: float

    @property
    def length(self) -> float:
        """Milliseconds."""
        return self.stop - self.start


def marked_step(loop: Loop, every: Iterator[Part]) -> torch.Tensor:
    """Take the ordinary step, its four phases named for the profiler."""
    with record_function("data"):
        batch = next(every)
    with record_function("forward"):
        logits = loop.model(batch.images)
        loss = F.cross_entropy(logits, batch.labels)
    with record_function("backward"):
        loss.backward()
    with record_function("optimizer"):
        loop.optimizer.step()
        loop.optimizer.zero_grad()
    return loss.detach()


def trace(loop: Loop, part: Part, steps: int = 3, warm: int = 3) -> list[Span]:
    """Profile some steps, after some that are not profiled.

    Returns
    -------
    list of Span
        The phases, and the operations directly inside them, by start.
    """
    every = itertools.chain.from_iterable(
        epoch_of(part, loop.settings, 0, epoch) for epoch in itertools.count()
    )
    for _ in range(warm):
        marked_step(loop, every)
    kinds = [ProfilerActivity.CPU]
    if loop.device.type == "cuda":
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as found:
        for _ in range(steps):
            marked_step(loop, every)
    return list(_spans(found))


def _spans(found: profile) -> Iterator[Span]:
    # What the GPU did has no place in the CPU's lanes.
    events = [
        event
        for event in found.events()
        if event.device_type == torch.autograd.DeviceType.CPU
    ]
    phases = sorted(
        (event for event in events if event.name in PHASES),
        key=lambda event: event.time_range.start,
    )
    zero = phases[0].time_range.start
    for phase in phases:
        inside = [
            event
            for event in events
            if event.name.startswith("aten::")
            and phase.time_range.start <= event.time_range.start
            and event.time_range.end <= phase.time_range.end
        ]
        inside.sort(key=lambda e: (e.time_range.start, -e.time_range.end))
        yield _span(phase, phase.name, 0, zero)
        end = 0.0
        for event in inside:
            if event.time_range.start >= end:  # not inside the one before
                end = event.time_range.end
                yield _span(event, phase.name, 1, zero)


def _span(
    event: "torch.autograd.profiler_util.FunctionEvent",
    phase: str,
    depth: int,
    zero: float,
) -> Span:
    start, stop = event.time_range.start - zero, event.time_range.end - zero
    name = event.name.removeprefix("aten::")
    return Span(name, phase, depth, start / 1000, stop / 1000)


def shares(spans: Iterable[Span]) -> dict[str, float]:
    """Part of the traced time that each phase took; they add up to 1."""
    total = dict.fromkeys(PHASES, 0.0)
    for span in spans:
        if span.depth == 0:
            total[span.phase] += span.length
    whole = sum(total.values())
    return {phase: length / whole for phase, length in total.items()}


def costly(spans: Iterable[Span], most: int = 6) -> dict[str, float]:
    """Name the operations that took longest in all, in milliseconds."""
    total: dict[str, float] = {}
    for span in spans:
        if span.depth == 1:
            total[span.name] = total.get(span.name, 0) + span.length
    longest = sorted(total, key=lambda name: -total[name])[:most]
    return {name: total[name] for name in longest}


def at_most(share: float) -> float:
    """How many times as fast, if what takes this share took no time.

    Raises
    ------
    ValueError
        The share is not within [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share {share}: from 0 to below 1")
    return 1 / (1 - share)


def serial_share(speedup: float, cores: int) -> float:
    """Share that cores did not divide, by Amdahl's law read backwards.

    Raises
    ------
    ValueError
        There are fewer than two cores.
    """
    if cores < 2:
        raise ValueError("one core divides nothing: at least 2")
    return (1 / speedup - 1 / cores) / (1 - 1 / cores)
