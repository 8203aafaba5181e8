"""What one device holds, by our count and by its own, for records."""

from typing import Any

import torch
from torch.nn import functional as F

from parallel_ai.accelerators import architectures, vision
from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices
from parallel_ai.training import data_parallel as dp
from parallel_ai.training.memory.measuring import Tracker, there
from parallel_ai.training.memory.recomputing import deep, recomputed
from parallel_ai.training.memory.steps import adam, outside, wide

OPTIMIZERS = {"loop": {"foreach": False}, "foreach": {"foreach": True},
              "fused": {"fused": True}}  # fmt: skip


def optimizer_peaks(
    width: int, device: torch.device
) -> dict[str, tuple[int, float]]:
    """Bytes that a step of Adam takes for a moment, by implementation.

    Returns
    -------
    dict
        By a key of `OPTIMIZERS`: bytes beyond those before the step, and
        the largest difference of any weight from `loop`.
    """
    found: dict[str, tuple[int, float]] = {}
    first: list[torch.Tensor] = []
    for name, how in OPTIMIZERS.items():
        model = vision.seeded(lambda: wide(width), 0).to(device)
        optimizer = adam(model.parameters(), **how)
        for p in model.parameters():
            p.grad = torch.full_like(p, 1e-2)
        optimizer.step()
        tracker = Tracker(there(model, optimizer))
        before = tracker.now
        with tracker:
            optimizer.step()
        weights = [p.detach() for p in model.parameters()]
        first = first or weights
        pairs = zip(weights, first, strict=True)
        apart = max((a - b).abs().max().item() for a, b in pairs)
        found[name] = tracker.peak - before, apart
    return found


def allocator_peak(
    batch: Part, count: int, depth: int, device: torch.device
) -> tuple[int, int | None]:
    """Peak of a step by our count, and by the GPU's allocator if it is one.

    Parameters
    ----------
    count : int
        Segments that are computed again; 0 for none.
    """
    model = vision.seeded(lambda: deep(count, depth), 0).to(device)
    optimizer, batch = adam(model.parameters()), batch.to(device)
    gpu = device.type == "cuda"
    for _ in range(2):
        tracker = Tracker(there(model, optimizer))
        first = torch.cuda.memory_allocated(device) if gpu else 0
        before = tracker.now
        if gpu:
            torch.cuda.reset_peak_memory_stats(device)
        with tracker:
            F.cross_entropy(model(batch.images), batch.labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    peak = torch.cuda.max_memory_allocated(device) - first if gpu else None
    return tracker.peak - before, peak


def record() -> dict[str, Any]:
    """Measure this device: by formula's parts, by segments, by optimizer."""
    device = devices.choose()
    large = device.type == "cuda"
    batch = dp.only_needed(1024 if large else 128).train
    batch = Part(batch.images.clone(), batch.labels.clone())
    depth = 16
    rows = recomputed([0, 1, 2, 4, 8, 16], depth, batch, device)
    return {
        "device": devices.name(device),
        "batch": len(batch),
        "depth": depth,
        "parameters": vision.parameters(architectures.vit()),
        "outside": outside(batch, 4096 if large else 2048),
        "allocator": {
            str(n): allocator_peak(batch, n, depth, device) for n in (0, 4, 16)
        },
        "segments": [
            {
                "count": row.count,
                "peak": row.peak,
                "seconds": row.seconds.median,
            }
            for row in rows
        ],
        "optimizers": optimizer_peaks(4096 if large else 1024, device),
    }
