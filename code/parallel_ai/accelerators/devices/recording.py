"""What a machine's device can do, for records and comparisons."""

from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import nn

from parallel_ai.accelerators.devices.launching import launch_seconds
from parallel_ai.accelerators.devices.peaks import measured_peaks, precision
from parallel_ai.accelerators.devices.serving import (
    batch_seconds,
    dense,
    least_batch_seconds,
)
from parallel_ai.accelerators.devices.sweeps import PRODUCT, SUM, sweep
from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.curves import Curves, along, curves, line
from parallel_ai.toolbox.stopwatch import Timing, compare

WIDTHS = (784, 1024, 1024, 10)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PRODUCTS = tuple(2**k for k in range(4, 12))
VECTORS = tuple(4**k for k in range(4, 13))


def record() -> dict[str, Any]:
    """Measure roofs, launches, sweeps and batches of the device here."""
    device = devices.choose()
    gpu = device.type == "cuda"
    kinds: tuple[str, ...] = ("float32", "bfloat16", "float16")
    if device.type != "mps":  # which has no float64
        kinds += ("float64",)
    peaks = measured_peaks(
        device,
        (*kinds, "tf32") if gpu else kinds,
        (1024, 4096, 8192) if gpu else (128, 512, 1024),
    )
    found: dict[str, Any] = {
        "device": peaks.name,
        "peaks": asdict(peaks),
        "launch": launch_seconds(device),
        "batches": list(BATCHES),
        "batch_seconds": batch_seconds(
            dense(WIDTHS), torch.rand(max(BATCHES), 784), BATCHES, device
        ),
    }
    for name, operation, sizes in (
        ("product", PRODUCT, PRODUCTS),
        ("sum", SUM, VECTORS),
    ):
        found[name] = {
            "sizes": list(sizes),
            "computing": sweep(operation, sizes, device),
            "with transfer": sweep(operation, sizes, device, transfer=True),
        }
    return found


def compare_formats(size: int = 1024) -> dict[str, Timing | float]:
    """Time one matrix product in several formats, side by side."""
    device = devices.choose()
    jobs = {}
    for kind in ("float32", "float64", "bfloat16", "float16"):
        with precision(kind) as dtype:
            a = torch.randn(size, size, device=device).to(dtype)
        jobs[kind] = devices.finished(partial(torch.matmul, a, a), device)
    return {**compare(jobs, repeats=3)}


@torch.inference_mode()
def answer_in_batches(
    model: nn.Module, pictures: torch.Tensor, size: int
) -> torch.Tensor:
    """Answer for all pictures, so many at a time."""
    return torch.cat([model(some) for some in pictures.split(size)])


def compare_batches(count: int = 64) -> dict[str, Timing | float]:
    """Answer for the same pictures one by one and in batches."""
    device = devices.choose()
    model = dense(WIDTHS).to(device)
    pictures = torch.rand(count, WIDTHS[0], device=device)
    jobs = {
        f"batches of {size}": devices.finished(
            partial(answer_in_batches, model, pictures, size), device
        )
        for size in (1, 8, count)
    }
    peaks = measured_peaks(device, ("float32",))
    limit = least_batch_seconds(model, count, peaks)
    return {**compare(jobs), "limit of the device": limit}


def drawn(data: dict[str, Any], hardware: dict[str, Any]) -> Curves:
    """Draw the rate of matrix products by size, below the measured roof."""
    sizes = data["product"]["sizes"]

    def rates(way: str) -> list[tuple[float, float]]:
        seconds = data["product"][way]
        return [(n, 2 * n**3 / s) for n, s in zip(sizes, seconds, strict=True)]

    roof = data["peaks"]["rates"]["float32"]
    lines = [
        line(
            "roof, measured at three sizes",
            [(n, roof) for n in sizes],
            limit=True,
        ),
        line("product of matrices", rates("computing")),
    ]
    if data["device"] != hardware["cpu"]:  # to which nothing is carried
        lines.append(line("with transfer", rates("with transfer")))
    return curves(
        along("rows of the matrices"),
        along("operations a second", "op/s"),
        lines,
    )
