"""Where the time goes, by kind of operation; how many bytes are held."""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from parallel_ai.accelerators.vision import Part
from parallel_ai.toolbox import device as devices

# The first word that is in an operator's name decides.
WORDS = {
    "attention": "attention",
    "softmax": "softmax",
    "conv": "convolution",
    "mm": "matrix product",
    "norm": "normalisation",
    "copy": "moving", "clone": "moving", "cat": "moving",
    "contiguous": "moving", "empty": "moving", "zero": "moving",
    "fill": "moving", "view": "moving", "reshape": "moving",
    "stack": "moving", "strided": "moving", "transpose": "moving",
    "relu": "elementwise", "threshold": "elementwise", "gelu": "elementwise",
    "clamp": "elementwise", "add": "elementwise", "mul": "elementwise",
    "div": "elementwise", "sub": "elementwise", "dropout": "elementwise",
    "bernoulli": "elementwise", "sum": "elementwise", "mean": "elementwise",
}  # fmt: skip
KINDS = (
    "matrix product", "convolution", "attention", "softmax",
    "normalisation", "elementwise", "moving", "other",
)  # fmt: skip


def kind_of(operator: str) -> str:
    """Say of what kind an operator of PyTorch is, by its name.

    >>> kind_of("aten::addmm"), kind_of("aten::native_layer_norm")
    ('matrix product', 'normalisation')
    """
    name = operator.rpartition("::")[2].lower()
    return next((WORDS[w] for w in WORDS if w in name), "other")


def by_kind(seconds: Mapping[str, float]) -> dict[str, float]:
    """Add up the seconds of operators by their kind, in `KINDS`' order."""
    found = dict.fromkeys(KINDS, 0.0)
    for operator, taken in seconds.items():
        found[kind_of(operator)] += taken
    return found


def profiled(
    job: Callable[[], Any], device: torch.device, times: int = 3
) -> dict[str, float]:
    """Run a warm job under PyTorch's profiler.

    Returns
    -------
    dict of str to float
        Seconds of each operator in a run, without those that it calls;
        on a GPU the seconds of its kernels.
    """
    job()
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities, acc_events=True) as seen:
        for _ in range(times):
            job()
        devices.finish(device)
    gpu = device.type == "cuda"
    found = {}
    for event in seen.key_averages():
        if event.key.startswith("aten::"):
            taken = (
                event.self_device_time_total
                if gpu
                else event.self_cpu_time_total
            )
            found[event.key] = taken * 1e-6 / times
    return found


def a_pass(
    model: nn.Module, batch: Part, device: torch.device
) -> Callable[[], None]:
    """Prepare a job: forward and backward of one batch, no step."""
    model.to(device).train()
    here = batch.to(device)

    def job() -> None:
        model.zero_grad()
        F.cross_entropy(model(here.images), here.labels).backward()

    return job


def peak_bytes(job: Callable[[], Any], device: torch.device) -> int:
    """Bytes that a job holds at most, beyond what was there before it.

    On a CPU each allocation that PyTorch makes is added up, in its order;
    on a GPU its allocator is asked, which rounds up.
    """
    if device.type == "cuda":
        devices.finish(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        job()
        devices.finish(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(
        activities=[ProfilerActivity.CPU],
        profile_memory=True,
        acc_events=True,
    ) as seen:
        kept = job()
    del kept
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "trace.json")
        seen.export_chrome_trace(str(file))
        events = json.loads(file.read_text("utf8"))["traceEvents"]
    changes = [
        (event["ts"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]"
    ]
    return highest(change for _, change in sorted(changes))


def highest(changes: Iterable[int]) -> int:
    """Find the highest level that a row of changes reaches, from 0."""
    level = most = 0
    for change in changes:
        level += change
        most = max(most, level)
    return most


def saved_bytes(job: Callable[[], Any]) -> int:
    """Bytes that a forward pass keeps for the backward pass.

    What two operations keep together counts once.
    """
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result = job()
    del result
    return sum(storage.nbytes() for storage in kept.values())
