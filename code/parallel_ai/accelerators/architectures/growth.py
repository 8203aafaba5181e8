"""How time and bytes grow with the length; this machine's roofs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from parallel_ai.accelerators.architectures.attention import (
    WAYS,
    Attend,
)
from parallel_ai.accelerators.architectures.profiles import peak_bytes
from parallel_ai.accelerators.architectures.trainings import contest
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.roofs import read_bandwidth
from parallel_ai.toolbox.stopwatch import Timing, compare, measure

HEADS, WIDTH = 1, 64
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
BEYOND = 320_000_000  # bytes: more than most caches, well within a laptop
NEAR = 1_000_000  # bytes: the second cache of a core, or a GPU's


def product_rate(
    device: torch.device, sides: Sequence[int] = (512, 1024, 2048)
) -> float:
    """Operations a second of matrix products in float32, the best of them.

    A roof is what the machine does when nobody disturbs it.
    """
    best = 0.0
    for side in sides:
        a, b = torch.rand(2, side, side, device=device)
        job = devices.finished(partial(torch.matmul, a, b), device)
        seconds = min(measure(job, repeats=7).seconds)
        best = max(best, 2 * side**3 / seconds)
    return best


def reading_rate(device: torch.device, size: int) -> float:
    """Bytes a second of reading so many bytes over and over."""
    if device.type == "cpu":
        return read_bandwidth(size=size)
    numbers = torch.ones(size // 4, device=device)
    job = devices.finished(numbers.sum, device)
    return numbers.nbytes / min(measure(job, repeats=5).seconds)


def heads_of_noise(
    tokens: int,
    device: torch.device,
    heads: int = HEADS,
    width: int = WIDTH,
) -> list[torch.Tensor]:
    """Make queries, keys and values of one sequence."""
    generator = torch.Generator().manual_seed(tokens)
    noise = torch.randn(3, 1, heads, tokens, width, generator=generator)
    return [one.clone().to(device) for one in noise]


def times_by_length(
    lengths: Sequence[int],
    device: torch.device,
    ways: Mapping[str, Attend] = WAYS,
    repeats: int = 3,
) -> dict[str, list[Timing]]:
    """Time each way to attend at each length, side by side."""
    found: dict[str, list[Timing]] = {way: [] for way in ways}
    for length in lengths:
        given = heads_of_noise(length, device)
        jobs = {
            way: devices.finished(partial(attend, *given), device)
            for way, attend in ways.items()
        }
        for way, timing in compare(jobs, repeats).items():
            found[way].append(timing)
    return found


def bytes_by_length(
    lengths: Sequence[int],
    device: torch.device,
    ways: Mapping[str, Attend] = WAYS,
) -> dict[str, list[int]]:
    """Count what each way holds at most at each length."""
    return {
        way: [
            peak_bytes(
                partial(attend, *heads_of_noise(length, device)), device
            )
            for length in lengths
        ]
        for way, attend in ways.items()
    }


def fit_square(
    lengths: Sequence[float], seconds: Sequence[float]
) -> tuple[float, float]:
    """Fit start + square · length² so that *relative* errors are small.

    Returns
    -------
    tuple of float
        Seconds to start with, at least 0, and seconds for each pair.
    """
    pairs, taken = np.square(np.asarray(lengths, float)), np.asarray(seconds)
    rows = np.stack([1 / taken, pairs / taken], axis=1)
    start, square = np.linalg.lstsq(rows, np.ones(len(taken)), rcond=None)[0]
    if start < 0:
        column = rows[:, 1]
        start, square = 0.0, column.sum() / (column @ column)
    return float(start), float(square)


def compare_attention(
    tokens: int = 2048, repeats: int = 5, device: torch.device | None = None
) -> dict[str, Timing | float]:
    """Time the three ways at one length; the limit is arithmetic's."""
    device = device or devices.choose()
    timings = times_by_length([tokens], device, repeats=repeats)
    found: dict[str, Timing | float] = {
        way: each[0] for way, each in timings.items()
    }
    operations = 4 * HEADS * tokens * tokens * WIDTH
    found["limit: its products alone"] = operations / product_rate(device)
    return found


def record(
    lengths: Sequence[int] = (*LENGTHS, 8192),
    sizes: Sequence[int] = (2_000, 10_000, 54_000),
    shown: int = 200_000,
) -> dict[str, Any]:
    """Measure growth and longer trainings on the device that there is."""
    device = devices.choose()
    times = times_by_length(lengths, device)
    return {
        "device": devices.name(device),
        "lengths": list(lengths),
        "seconds": {
            way: [timing.median for timing in each]
            for way, each in times.items()
        },
        "bytes": bytes_by_length(lengths, device),
        "products": product_rate(device),
        "contest": contest(sizes, shown, device),
    }
