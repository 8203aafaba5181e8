"""Rates: JPEG decoding by workers, inference by batch, and the pipeline."""

import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

from parallel_ai.accelerators.imagenet.blocks import resnet50
from parallel_ai.accelerators.imagenet.classifying import logits_of
from parallel_ai.accelerators.imagenet.decoding import (
    SIDE,
    Paths,
    decode_by,
    decode_serial,
    process_team,
)
from parallel_ai.accelerators.imagenet.pipelining import (
    classify_pipelined,
    classify_serial,
)
from parallel_ai.accelerators.vision import seeded
from parallel_ai.toolbox import datasets, machine
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.stopwatch import Timing, compare, measure


def photo_paths() -> list[str]:
    """Return the paths of the photographs."""
    return [str(path) for path, _ in datasets.load("photos")["images"]]


def _warm(team: Executor, workers: int, path: str) -> float:
    """Let each worker start and decode once; return the seconds."""
    begun = time.perf_counter()
    decode_by(team, [path] * 4 * workers, workers=workers)
    return time.perf_counter() - begun


def time_decoding(
    paths: Paths, workers: Sequence[int], repeats: int = 3, side: int = SIDE
) -> tuple[dict[str, Timing], dict[str, float]]:
    """Time the same decoding with threads and processes that are warm.

    Returns
    -------
    tuple of dict
        Timings of "serial", "1 thread", "2 processes" and so on; and the
        seconds that each team took to start.
    """
    with ExitStack() as stack:
        teams: dict[str, Executor] = {
            "thread": stack.enter_context(ThreadPoolExecutor(max(workers))),
            "process": stack.enter_context(process_team(max(workers))),
        }
        started = {
            kind: _warm(team, max(workers), str(paths[0]))
            for kind, team in teams.items()
        }
        plural = {"thread": "s", "process": "es"}
        ways = {"serial": partial(decode_serial, paths, side)}
        for kind, team in teams.items():
            for count in workers:
                name = f"{count} {kind}" + plural[kind] * (count > 1)
                ways[name] = partial(decode_by, team, paths, side, count)
        return compare(ways, repeats), started


def compare_decoding() -> dict[str, Timing | float]:
    """Compare the ways to decode the photographs, for `make bench`."""
    counts = sorted({1, 2, machine.cpus()})
    return {**time_decoding(photo_paths(), counts, repeats=5)[0]}


def time_batches(
    model: nn.Module, side: int, sizes: Sequence[int], repeats: int = 3
) -> dict[int, Timing]:
    """Time one batch of each size through a model, on the model's device."""
    device = next(model.parameters()).device
    pixels = torch.randint(0, 256, (max(sizes), side, side, 3)).byte()
    jobs = {
        str(size): devices.finished(
            partial(logits_of, model, pixels[:size], size), device
        )
        for size in sizes
    }
    timings = compare(jobs, repeats)
    return {int(size): timing for size, timing in timings.items()}


def product_rate(device: torch.device, size: int = 1024) -> float:
    """Measure multiply-adds a second of a product of matrices, float32.

    What this device's library reaches at best: no network gets more.
    """
    one = torch.rand(size, size, device=device)
    job = devices.finished(lambda: one @ one, device)
    return size**3 / min(measure(job, repeats=5).seconds)


def time_pipeline(
    model: nn.Module, paths: Paths, side: int = SIDE, batch: int = 32,
    workers: int = 1, repeats: int = 3,
) -> dict[str, Timing]:  # fmt: skip
    """Time both stages alone, one after the other, and side by side."""
    pixels = decode_serial(paths, side).pixels
    device = next(model.parameters()).device
    return compare(
        {
            "decode": partial(decode_serial, paths, side),
            "compute": devices.finished(
                partial(logits_of, model, pixels, batch), device
            ),
            "one after the other": partial(
                classify_serial, model, paths, side, batch
            ),
            "pipeline": partial(
                classify_pipelined, model, paths, side, batch, workers=workers
            ),
        },
        repeats,
    )


def record() -> list[dict[str, Any]]:
    """Measure ResNet-50, whose weights are random, on the device there is.

    Rates do not depend on the values of weights. Rows of three kinds:
    decoding by workers, inference by batch and type, and the pipeline.
    """
    device = devices.choose()
    paths = photo_paths()
    sizes = (1, 4, 16) if device.type == "cpu" else (1, 8, 32, 128, 512)
    counts = sorted({2**k for k in range(8) if 2**k <= machine.cpus()})
    rows: list[dict[str, Any]] = []
    for way, timing in time_decoding(paths, counts)[0].items():
        rate = len(paths) / timing.median
        rows.append({"what": "decode", "way": way, "images_per_second": rate})
    model = seeded(resnet50, 0).eval().to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shared = {"device": devices.name(device), "model": "resnet50"}
    for kind in (torch.float32, torch.bfloat16):
        with torch.autocast(
            device.type, kind, enabled=kind is not torch.float32
        ):
            for size, timing in time_batches(model, SIDE, sizes).items():
                rows.append(
                    {
                        **shared, "what": "inference", "batch": size,
                        "type": str(kind).removeprefix("torch."),
                        "images_per_second": size / timing.median,
                    }
                )  # fmt: skip
    few = paths if device.type != "cpu" else paths[:32]
    timings = time_pipeline(model, few, workers=machine.cpus())
    for stage, timing in timings.items():
        rate = len(few) / timing.median
        rows.append({**shared, "what": stage, "images_per_second": rate})
    return rows
