"""Two processes with DDP against one with two threads; and a record."""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from parallel_ai.accelerators.vision import Data, Part
from parallel_ai.toolbox import machine, ranks
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.blood_cells.cells import built, load_cells
from parallel_ai.training.blood_cells.program import (
    CellOptions,
    cell_step,
    scores_shared,
    train_cells,
)
from parallel_ai.training.blood_cells.sharing import predict_shared

PAGE = CellOptions(width=16, shrink=2, epochs=3, turn=False)


def time_rank(
    part: Part, options: CellOptions, steps: int = 3, rounds: int = 3
) -> tuple[Timing, Timing]:
    """Time steps and inference on this rank; the slowest rank counts.

    Returns
    -------
    tuple of Timing
        Seconds of a step with a whole batch of all ranks; seconds of
        inference for a picture.
    """
    rank, size = dp.position()
    device = ranks.device()
    batch = part[: options.batch_size]
    model = built(options.width, options.shrink, False, 0, device)
    wrapped = DistributedDataParallel(model) if size > 1 else model
    optimizer = torch.optim.AdamW(model.parameters(), 0.0)
    mine = dp.share(batch, rank, size).to(device)

    def learn() -> None:
        for _ in range(steps):
            cell_step(wrapped, optimizer, mine, options, 0.0)

    learning, asking = [], []
    for number in range(rounds + 1):
        one = taken(learn, device) / steps
        two = taken(partial(predict_shared, model, part), device) / len(part)
        if number:  # the first round warms up
            learning.append(one)
            asking.append(two)
    return Timing(tuple(learning)), Timing(tuple(asking))


def taken(job: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the slowest rank, all beginning together."""
    begun = dp.together(device)
    job()
    return dp.slowest(begun, device)


def compare_ranks(
    part: Part | None = None, options: CellOptions = PAGE
) -> dict[str, Timing]:
    """Time learning and asking: one process with all threads, two ranks."""
    part = part or load_cells(512).data.train
    cpus = machine.cpus()
    found = {}
    for size, name in ((1, f"one process, {cpus} threads"), (2, "2 ranks")):
        each = max(1, cpus // size)
        timed = ranks.run(time_rank, size, part, options, threads=each)
        for what, seconds in zip(("step", "asking"), timed[0], strict=True):
            found[f"{what}: {name}"] = seconds
    return found


def compare_one(what: str) -> dict[str, Timing]:
    """Take from `compare_ranks` the "step" alone, or the "asking"."""
    start = f"{what}: "
    return {
        name.removeprefix(start): timing
        for name, timing in compare_ranks().items()
        if name.startswith(start)
    }


def train_timed(
    data: Data, options: CellOptions
) -> tuple[float, dict[str, Any]]:
    """Train on this rank; return seconds, and the scores on validation."""
    begun = time.perf_counter()
    model = train_cells(data, options)
    seconds = time.perf_counter() - begun
    return seconds, asdict(scores_shared(model, data.validation))


def record() -> dict[str, Any]:
    """Train with every GPU the network of MedMNIST; without, the page's."""
    gpus = torch.cuda.device_count()
    options = CellOptions(bf16=True) if gpus else PAGE
    size = max(gpus, 1)
    data = load_cells().data
    seconds, scores = ranks.run(
        train_timed, size, data, options, seconds=3600.0
    )[0]
    passed = len(data.train) // options.batch_size * options.batch_size
    return {
        "ranks": size, "backend": ranks.backend(size), **options.settings(),
        "seconds": seconds, "validation": scores,
        "pictures_per_second": passed * options.epochs / seconds,
    }  # fmt: skip
