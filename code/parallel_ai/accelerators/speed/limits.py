"""What the machine could do: arithmetic of a picture, peak of the cores."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from parallel_ai.toolbox import device as devices
from parallel_ai.toolbox.stopwatch import compare


def flops(model: nn.Module, images: torch.Tensor) -> float:
    """Count the operations of a training step, for one picture.

    Products of matrices and convolutions, forward and backward; a multiply
    and an add are two. Norms, ReLU and the optimizer are not counted: their
    limit is memory.
    """
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(images), labels).backward()
    model.zero_grad()
    return counter.get_total_flops() / len(images)


def peaks(
    device: torch.device, size: int = 1_024, repeats: int = 7
) -> dict[str, float]:
    """Measure FLOP/s of the product of square matrices, by precision."""
    jobs = {}
    for kind in (torch.float32, torch.bfloat16):
        one = torch.ones(size, size, dtype=kind, device=device)
        jobs[str(kind).removeprefix("torch.")] = devices.finished(
            lambda one=one: one @ one, device
        )
    found = compare(jobs, repeats)
    return {name: 2 * size**3 / min(t.seconds) for name, t in found.items()}


def features(device: torch.device) -> str:
    """Say what PyTorch and the processor can do with bfloat16."""
    if device.type != "cpu":
        return devices.name(device)
    level = torch.backends.cpu.get_cpu_capability()
    words = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}
    have = [word for flag, word in words.items() if flag in _flags()]
    return f"{level}; bfloat16: {' and '.join(have) or 'no instructions'}"


def _flags() -> set[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf8") as file:
            for line in file:
                if line.startswith("flags"):
                    return set(line.split())
    except OSError:
        pass  # not Linux
    return set()
