"""How long a step takes on one rank, and on several."""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine, ranks
from parallel_ai.toolbox.curves import Curves, along, curves, line
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training.data_parallel.program import only_needed

BATCH = 128
LENGTHS = (1 << 10, 1 << 14, 1 << 17, 1 << 19, 1 << 21)  # bytes


@dataclass(frozen=True)
class Steps:
    """Seconds of a step, of the slowest rank, in rounds.

    Attributes
    ----------
    whole : list of float
        With gradients averaged by DDP.
    alone : list of float
        The same without talking (`no_sync`), all ranks at work.
    """

    ranks: int
    each: int  # pictures of a rank in a step
    whole: list[float]
    alone: list[float]
    gradient_bytes: int

    @property
    def talking(self) -> float:
        """What talking adds: the part that nothing hides."""
        return float(np.median(np.subtract(self.whole, self.alone)))

    @property
    def rate(self) -> float:
        """Pictures a second, of all ranks."""
        return self.ranks * self.each / float(np.median(self.whole))


def step_seconds(
    part: Part, each: int, steps: int, rounds: int
) -> tuple[Steps, list[tuple[int, float]]]:
    """Time steps of the CNN on this rank, and all-reduces alone.

    The two kinds alternate, so that a busy machine disturbs both.

    Returns
    -------
    tuple
        `Steps`; and for each of `LENGTHS`, the seconds of its all-reduce.
    """
    device = ranks.device()
    size = dist.get_world_size()
    model = vision.seeded(vision.cnn, 0).to(device)
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    mine = part[:each].to(device)
    found: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        for talk in (True, False):
            begun = together(device)
            with nullcontext() if talk else wrapped.no_sync():
                for _ in range(steps):
                    vision.train_step(wrapped, optimizer, mine)
            if number:  # the first round warms up
                found[talk].append(slowest(begun, device) / steps)
    sums = [(n, reduce_seconds(n, device)) for n in LENGTHS]
    weight = sum(p.nbytes for p in model.parameters())
    return Steps(size, each, found[True], found[False], weight), sums


def together(device: torch.device) -> float:
    """Wait for all ranks, then read the clock."""
    devices.finish(device)
    dist.barrier()
    return time.perf_counter()


def slowest(begun: float, device: torch.device) -> float:
    """Return the seconds that the slowest rank has taken."""
    devices.finish(device)
    taken = torch.tensor([time.perf_counter() - begun], device=device)
    dist.all_reduce(taken, dist.ReduceOp.MAX)
    return taken.item()


def reduce_seconds(
    length: int, device: torch.device, repeats: int = 15
) -> float:
    """Time an all-reduce of so many bytes, with nothing beside it."""
    values = torch.ones(length // 4, device=device)
    taken = []
    for _ in range(repeats):
        begun = together(device)
        dist.all_reduce(values)
        values /= dist.get_world_size()
        taken.append(slowest(begun, device))
    return float(np.median(taken))


def fit_alpha_beta(sums: list[tuple[int, float]]) -> tuple[float, float]:
    """Fit seconds = α + β · bytes, every size with the same weight.

    Returns
    -------
    tuple of float
        Seconds of an empty message; seconds of each byte more.
    """
    lengths, seconds = np.array(sums).T
    slope, first = np.polyfit(lengths, seconds, 1, w=1 / seconds)
    return max(0.0, float(first)), max(0.0, float(slope))


def ring_seconds(
    ranks: int, length: float, alpha: float, beta: float
) -> float:
    """Predict a ring all-reduce (Patarasuk and Yuan, 2009).

    Parameters
    ----------
    length : float
        Bytes of the gradients.
    alpha, beta : float
        Seconds of a message, and of each of its bytes.
    """
    hops = 2 * (ranks - 1)
    return hops * alpha + hops / ranks * length * beta


def predicted_efficiency(
    compute: float, talking: float, hidden: float = 0.0
) -> float:
    """Weak-scaling efficiency if so many seconds of the talk are hidden."""
    return compute / (compute + max(0.0, talking - hidden))


def one_process(
    part: Part, batch_size: int, steps: int, rounds: int, threads: int
) -> Timing:
    """Time steps of one process that has so many threads; no DDP."""
    with devices.threads(threads):
        job = vision.some_steps(
            vision.cnn, part[:batch_size], steps, torch.device("cpu"),
            batch_size,
        )  # fmt: skip
        job()
        taken = []
        for _ in range(rounds):
            begun = time.perf_counter()
            job()
            taken.append((time.perf_counter() - begun) / steps)
    return Timing(tuple(taken))


def measure_scaling(
    part: Part, sizes: tuple[int, ...], steps: int = 6, rounds: int = 3
) -> dict[str, list[Steps]]:
    """Measure strong scaling (one batch, shared) and weak (a batch each)."""
    found: dict[str, list[Steps]] = {"strong": [], "weak": []}
    for size in sizes:
        for kind, each in (("strong", BATCH // size), ("weak", BATCH)):
            got = ranks.run(
                step_seconds, size, part[:BATCH], each, steps, rounds,
                threads=1,
            )  # fmt: skip
            found[kind].append(got[0][0])
    return found


def compare_processes(steps: int = 6, rounds: int = 5) -> dict[str, Any]:
    """Time a batch: one process with all threads, DDP with two processes."""
    part = only_needed(BATCH).train
    cpus = machine.cpus()
    shared, sums = ranks.run(
        step_seconds, 2, part, BATCH // 2, steps, rounds,
        threads=max(1, cpus // 2),
    )[0]  # fmt: skip
    alpha, beta = fit_alpha_beta(sums)
    return {
        f"one process, {cpus} threads": one_process(
            part, BATCH, steps, rounds, cpus
        ),
        "DDP, 2 processes": Timing(tuple(shared.whole)),
        "the same, silent": Timing(tuple(shared.alone)),
        "all-reduce alone": alpha + beta * shared.gradient_bytes,
    }


def compare_ddp() -> dict[str, Timing]:
    """Take of `compare_processes` those ways that do the whole work."""
    return {
        name: way
        for name, way in compare_processes().items()
        if isinstance(way, Timing)
    }


def record() -> list[dict[str, Any]]:
    """Measure both kinds of scaling, with as many ranks as there are GPUs."""
    part = only_needed(BATCH).train
    count = max(2, torch.cuda.device_count())
    sizes = tuple(n for n in (1, 2, 4, 8) if n <= count)
    found = measure_scaling(part, sizes, steps=20, rounds=5)
    return [
        {"kind": kind, "backend": ranks.backend(row.ranks), **asdict(row)}
        for kind, rows in found.items()
        for row in rows
    ]


def drawn(data: list[dict[str, Any]], hardware: dict[str, Any]) -> Curves:
    """Draw pictures a second by the number of ranks."""
    kinds: dict[str, list[Any]] = {row["kind"]: [] for row in data}
    for row in data:
        rate = row["ranks"] * row["each"] / float(np.median(row["whole"]))
        kinds[row["kind"]].append((row["ranks"], rate))
    counts = [row["ranks"] for row in data]
    alone = max(rate for each in kinds.values() for n, rate in each if n == 1)
    ideal = [(n, n * alone) for n in sorted(set(counts))]
    return curves(
        along("ranks", log=False),
        along("pictures a second", log=False),
        [
            line("as many times one rank", ideal, limit=True),
            *(line(kind, each) for kind, each in kinds.items()),
        ],
    )
