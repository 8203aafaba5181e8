"""Runs the kernels of `blocks` where they can run, or says why they cannot."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

BLOCKS = "parallel_ai.accelerators.devices.blocks"
ASK = "TRITON_INTERPRET"


class KernelError(RuntimeError):
    """Kernels cannot run here; the message says why and what to do."""


def need_triton() -> None:
    """Raise unless Triton is installed.

    Raises
    ------
    KernelError
        With what to do.
    """
    if importlib.util.find_spec("triton") is None:
        raise KernelError(
            f"Triton is not installed. On {sys.platform!r} PyTorch comes "
            "without it, or it was removed: it is part of PyTorch's wheels "
            "for Linux. Read on, or run this chapter on Linux or in Colab."
        )


def check_kernels(
    kind: str = "cpu", seconds: float = 120
) -> list[dict[str, Any]]:
    """Run all kernels in a child: on a CPU interpreted, on a GPU compiled.

    Triton reads the variable `TRITON_INTERPRET` when it is imported and a
    kernel is decorated, so it must be set before that: in a fresh process.

    Parameters
    ----------
    kind : str
        Type of the device: `cpu`, `cuda`.

    Returns
    -------
    list of dict
        For each kernel and size its name, its shape, and the largest
        difference from PyTorch's result.

    Raises
    ------
    KernelError
        Triton is missing, or the child failed or took too long.
    """
    need_triton()
    try:
        child = subprocess.run(  # noqa: S603
            [sys.executable, "-m", BLOCKS, kind],
            env={**os.environ, ASK: str(int(kind == "cpu"))},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise KernelError(
            f"The kernels did not end within {seconds} seconds."
        ) from error
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise KernelError(f"The kernels failed: {last}")
    return list(json.loads(child.stdout))


def fused_jobs(
    count: int, device: torch.device
) -> dict[str, Callable[[], torch.Tensor]]:
    """Prepare max(2.5 x + y, 0) in three ways, on a GPU in a fourth, ours."""
    x, y = (torch.randn(count, device=device) for _ in range(2))
    result, between = torch.empty_like(x), torch.empty_like(x)

    def three_passes() -> torch.Tensor:
        torch.mul(x, 2.5, out=between)
        torch.add(between, y, out=between)
        return torch.clamp_min(between, 0, out=result)

    def two_passes() -> torch.Tensor:
        torch.add(y, x, alpha=2.5, out=result)
        return result.clamp_min_(0)

    jobs = {"three passes": three_passes, "two passes": two_passes}
    if device.type == "cuda":
        need_triton()
        from parallel_ai.accelerators.devices import blocks

        jobs["one pass, our kernel"] = lambda: blocks.scaled_relu(x, y, 2.5)
    return jobs


PASSES = {"three passes": 7, "two passes": 5, "one pass, our kernel": 3}
"""How often n numbers pass between the device and its memory."""
