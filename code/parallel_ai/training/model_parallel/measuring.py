"""How long a step takes each way, and a pipeline against its forecast."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch import nn

from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox import machine, ranks
from parallel_ai.toolbox.stopwatch import Timing
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.model_parallel.language import loss_of, split_model
from parallel_ai.training.model_parallel.pipelines import (
    Pipeline,
    Post,
    even_cuts,
    stage_of,
)
from parallel_ai.training.model_parallel.schedules import Span
from parallel_ai.training.model_parallel.teams import Processes, Team
from parallel_ai.training.model_parallel.trainings import (
    SCHEDULES,
    Job,
    Momentum,
)

# Wide enough that arithmetic, and not Python, takes the time.
WIDE = Job(
    width=256, depth=4, heads=8, length=64, batch=16, steps=1, double=False
)
Step = Callable[[], Any]


def whole_step(job: Job, device: torch.device) -> Step:
    """Make a step of one process."""
    model = job.model().to(device)
    return _step_of(model, job, device, None, job.batch)


def _step_of(
    model: nn.Module, job: Job, device: torch.device, team: Team | None,
    rows: int,
) -> Step:  # fmt: skip
    optimizer = Momentum(model)
    tokens, targets = (one[:rows].to(device) for one in job.batches()[0])

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(tokens), targets, team).backward()
        if team is None and dp.position()[1] > 1:
            dp.average_gradients(model)
        optimizer.step()

    return step


def steps_in_group(job: Job) -> dict[str, Step]:
    """Make a step of each way, for this rank."""
    device, net = ranks.device(), Post()
    team = Processes()
    split = split_model(job.model(), team).to(device)
    found = {
        "data": _step_of(
            job.model().to(device), job, device, None, job.batch // net.size
        ),
        "tensor": _step_of(split, job, device, team, job.batch),
    }
    stage = stage_of(
        job.model(), net.rank, even_cuts(job.depth + 2, net.size)
    ).to(device)
    pipeline, optimizer = Pipeline(stage, net, job.width), Momentum(stage)
    tokens, targets = (one.to(device) for one in job.batches()[0])
    for name, orders in SCHEDULES.items():
        order = orders(net.size, job.micros)[net.rank]

        def step(order: Any = order) -> None:
            optimizer.zero_grad()
            pipeline.step(order, tokens, targets)
            optimizer.step()

        found[f"pipeline, {name}"] = step
    return found


def times_in_group(job: Job, rounds: int) -> dict[str, list[float]]:
    """Time a step of each way; ways take turns, the slowest rank counts."""
    device, steps = ranks.device(), steps_in_group(job)
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            begun = dp.together(device)
            step()
            seconds = dp.slowest(begun, device)
            if number:  # the first round warms up
                taken[name].append(seconds)
    return taken


def compare_ways(job: Job = WIDE, rounds: int = 5) -> dict[str, Timing]:
    """Time a step: one process with all threads, two ranks that share them."""
    cpus = machine.cpus()
    device = devices.choose() if ranks.backend(2) == "nccl" else None
    step = whole_step(job, device or torch.device("cpu"))
    taken = []
    with devices.threads(cpus):
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            step()
            if device:
                devices.finish(device)
            taken.append(time.perf_counter() - begun)
    found = ranks.run(times_in_group, 2, job, rounds)[0]
    return {
        f"one process, {cpus} threads": Timing(tuple(taken[1:])),
        **{f"{n}, 2 ranks": Timing(tuple(t)) for n, t in found.items()},
    }


def stage_seconds(
    job: Job, cuts: Sequence[int], rounds: int = 5
) -> tuple[list[float], list[float]]:
    """Time each stage's passes of a micro-batch in this process, alone.

    Returns
    -------
    tuple of list of float
        Seconds forwards and backwards, of each stage: medians.
    """
    model = job.model()
    tokens, targets = (one.chunk(job.micros)[0] for one in job.batches()[0])
    found: tuple[list[float], list[float]] = [], []
    vectors = tokens
    for number in range(len(cuts) - 1):
        stage = stage_of(model, number, cuts)
        taken = []
        for _ in range(rounds + 1):
            if number:
                vectors = vectors.detach().requires_grad_()
            begun = time.perf_counter()
            out = stage(vectors)
            last = number == len(cuts) - 2
            goal = loss_of(out, targets) if last else out
            between = time.perf_counter()
            goal.backward(None if last else torch.ones_like(out))
            taken.append((between - begun, time.perf_counter() - between))
        for seconds, all_of_them in zip(
            found, zip(*taken[1:], strict=True), strict=True
        ):
            seconds.append(median(all_of_them))
        vectors = out
    return found


def run_pipeline(
    job: Job, schedule: str, cuts: Sequence[int], rounds: int = 3
) -> tuple[list[Span], int]:
    """Be one rank of a pipeline; tell when it did what.

    Returns
    -------
    tuple
        Spans of the fastest round, from the moment when all were ready;
        most micro-batches that it kept at a time.
    """
    device, net = ranks.device(), Post()
    stage = stage_of(job.model(), net.rank, cuts).to(device)
    pipeline = Pipeline(stage, net, job.width)
    order = SCHEDULES[schedule](net.size, job.micros)[net.rank]
    tokens, targets = (one.to(device) for one in job.batches()[0])
    best: tuple[float, list[Span]] = (float("inf"), [])
    for _ in range(rounds + 1):
        begun = dp.together(device)

        def clock(begun: float = begun) -> float:
            devices.finish(device)
            return time.perf_counter() - begun

        spans = pipeline.step(order, tokens, targets, clock)
        best = min(best, (dp.slowest(begun, device), spans), key=_first)
    return best[1], pipeline.most


def _first(pair: tuple[float, list[Span]]) -> float:
    return pair[0]


def measure_pipelines(
    job: Job, cuts: Sequence[int]
) -> tuple[tuple[list[float], list[float]], dict[str, Any]]:
    """Time the stages alone, then run both schedules; one thread a rank.

    Returns
    -------
    tuple
        `stage_seconds`; and of each schedule the spans of all ranks, and
        what each kept at most.
    """
    with devices.threads(1):
        alone = stage_seconds(job, cuts)
    found = ranks.run(_both, len(cuts) - 1, job, tuple(cuts), threads=1)
    return alone, {
        name: (
            [span for of_rank in found for span in of_rank[name][0]],
            [of_rank[name][1] for of_rank in found],
        )
        for name in SCHEDULES
    }


def _both(job: Job, cuts: Sequence[int]) -> dict[str, Any]:
    return {name: run_pipeline(job, name, cuts) for name in SCHEDULES}


def record() -> dict[str, Any]:
    """Measure a step each way, with two ranks on this machine."""
    job = replace(WIDE, width=1024) if ranks.backend(2) == "nccl" else WIDE
    found = compare_ways(job)
    return {
        "backend": ranks.backend(2),
        "width": job.width,
        "ways": {name: list(timing.seconds) for name, timing in found.items()},
    }
