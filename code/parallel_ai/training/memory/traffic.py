"""What each way to divide holds, and says, on every rank: measured."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine, ranks
from parallel_ai.toolbox.stopwatch import Timing, measure, readable_bytes
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.memory.formulas import Held
from parallel_ai.training.memory.measuring import Tracker, held
from parallel_ai.training.memory.sharding import (
    WAYS,
    divide,
    optimizer_for,
    update,
)
from parallel_ai.training.memory.steps import wide
from parallel_ai.training.memory.zero import Sharded

MIXED = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{way: (way, {}) for way in WAYS},
    "fsdp, kept": ("fsdp", {"reshard_after_forward": False}),
    "fsdp, bf16": ("fsdp", {"mp_policy": MIXED}),
}
KINDS = ("allreduce", "allgather", "reduce_scatter", "broadcast")


class Traffic(TorchDispatchMode):
    """Count collectives, and the bytes that a ring would make a rank send.

    Attributes
    ----------
    calls : Counter
        By kind.
    bytes : float
        Sent by this rank. Of n bytes among p ranks an all-gather, a
        reduce-scatter and a broadcast cost (p − 1) / p · n, an all-reduce
        twice that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.bytes = 0.0

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Look at collectives, and let everything run."""
        name = operator.name()
        kind = next((kind for kind in KINDS if kind in name), "")
        if name.startswith("c10d::") and kind:
            whole = max(
                one.nbytes
                for one in tree_leaves(args)
                if isinstance(one, torch.Tensor)
            )
            size = dist.get_world_size()
            passes = 2 if kind == "allreduce" else 1
            self.calls[kind] += 1
            self.bytes += passes * (size - 1) / size * whole
        return operator(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Share:
    """What one rank holds and sends.

    Attributes
    ----------
    rest : Held
        Bytes after the backward pass, before the update.
    peak : int
        Most bytes of a step, activations included.
    sent : float
        Bytes in a step.
    calls : dict of str to int
        Collectives in a step, by kind.
    """

    rest: Held
    peak: int
    sent: float
    calls: dict[str, int]


def owned(model: nn.Module) -> list[nn.Parameter]:
    """Return a model's parameters, and of ours the shares as well."""
    extra = model.shares() if isinstance(model, Sharded) else []
    return [*model.parameters(), *extra]


def prepare(
    variant: str, width: int
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Build a model, divide it in one of `VARIANTS`, and its optimizer."""
    way, how = VARIANTS[variant]
    model = vision.seeded(lambda: wide(width), 0).to(ranks.device())
    model = divide(way, model, **how)
    if isinstance(model, DistributedDataParallel):
        # The same all-reduce, called where it can be counted.
        model.register_comm_hook(None, default_hooks.allreduce_hook)
    return model, optimizer_for(way, model, torch.optim.Adam, lr=1e-3)


def shares(batch: Part, width: int, variants: list[str]) -> dict[str, Share]:
    """Be one rank: take two steps in each variant, and watch the second."""
    batch = batch.to(ranks.device())
    found = {}
    for variant in variants:
        model, optimizer = prepare(variant, width)
        for watched in (False, True):
            tracker, traffic = Tracker(owned(model)), Traffic()
            tracker.note(tree_leaves([*_inner(optimizer).state.values()]))
            with tracker, traffic:
                loss = F.cross_entropy(model(batch.images), batch.labels)
                loss.backward()
                if watched:
                    rest = held(owned(model), _inner(optimizer))
                update(model, optimizer)
                del loss
        found[variant] = Share(
            rest, tracker.peak, traffic.bytes, dict(traffic.calls)
        )
    return found


def _inner(optimizer: Any) -> Any:
    """Return the optimizer itself, or that of ZeRO redundancy's share."""
    return getattr(optimizer, "optim", optimizer)


def step_times(
    batch: Part, width: int, variants: list[str], steps: int, rounds: int
) -> dict[str, Timing]:
    """Be one rank: time steps of each variant, in turns."""
    device = ranks.device()
    batch = batch.to(device)
    jobs = {one: _job(batch, width, one, steps) for one in variants}
    taken: dict[str, list[float]] = {one: [] for one in variants}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            begun = dp.together(device)
            job()
            if number:  # the first round warms up
                taken[name].append(dp.slowest(begun, device) / steps)
            else:
                dp.slowest(begun, device)
    return {name: Timing(tuple(times)) for name, times in taken.items()}


def _job(
    batch: Part, width: int, variant: str, steps: int
) -> Callable[[], None]:
    model, optimizer = prepare(variant, width)

    def job() -> None:
        for _ in range(steps):
            F.cross_entropy(model(batch.images), batch.labels).backward()
            update(model, optimizer)

    return job


def held_and_timed(
    batch: Part, width: int, variants: list[str], steps: int, rounds: int
) -> tuple[dict[str, Share], dict[str, Timing]]:
    """Be one rank: measure what variants hold, and then their time."""
    held_by = shares(batch, width, variants)
    return held_by, step_times(batch, width, variants, steps, rounds)


def alone(batch: Part, width: int, rounds: int) -> Timing:
    """Time steps of one process with the whole batch and all threads."""
    model = vision.seeded(lambda: wide(width), 0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def job() -> None:
        F.cross_entropy(model(batch.images), batch.labels).backward()
        update(model, optimizer)

    with devices.threads(machine.cpus()):
        return measure(job, repeats=rounds)


def compare_sharded(
    width: int = 512, batch_size: int = 128, rounds: int = 5
) -> dict[str, Timing]:
    """Time plain and divided training; names tell the bytes of a rank."""
    part = dp.only_needed(batch_size).train[:batch_size]
    variants = ["ddp", "zero 1", "zero 2", "zero 3", "fsdp"]
    half = dp.share(part, 0, 2)
    held_by, times = ranks.run(
        held_and_timed, 2, half, width, variants, 3, rounds
    )[0]
    return {
        f"one process, {machine.cpus()} threads": alone(part, width, rounds),
        **{
            f"{one}, {readable_bytes(held_by[one].peak)} a rank": times[one]
            for one in variants
        },
    }
