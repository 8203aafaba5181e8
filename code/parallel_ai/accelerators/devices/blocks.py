"""Kernels in Triton: what one program does with one block of numbers.

A GPU compiles them; a CPU interprets them, if that was asked for before
Triton was imported::

    TRITON_INTERPRET=1 python -m parallel_ai.accelerators.devices.blocks

compares each kernel with PyTorch and prints what it found as JSON. Triton
comes with PyTorch on Linux alone: only `kernels` imports this module.
"""

# mypy: disallow-untyped-defs=False

import json
import sys
from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit
def scaled_relu_kernel(x, y, result, scale, count, size: tl.constexpr):
    """Compute max(scale · x + y, 0) for one block of numbers."""
    at = tl.program_id(0) * size + tl.arange(0, size)
    inside = at < count
    a = tl.load(x + at, mask=inside)
    b = tl.load(y + at, mask=inside)
    tl.store(result + at, tl.maximum(scale * a + b, 0.0), mask=inside)


def scaled_relu(
    x: torch.Tensor, y: torch.Tensor, scale: float, size: int = 1024
) -> torch.Tensor:
    """Compute max(scale · x + y, 0) in one pass over memory.

    Raises
    ------
    ValueError
        The tensors differ in shape or device.
    """
    if x.shape != y.shape or x.device != y.device:
        raise ValueError(
            f"two tensors alike are needed: {tuple(x.shape)} on {x.device}, "
            f"{tuple(y.shape)} on {y.device}"
        )
    x, y = x.contiguous(), y.contiguous()
    result = torch.empty_like(x)
    programs = triton.cdiv(x.numel(), size)
    if programs:
        scaled_relu_kernel[(programs,)](
            x, y, result, scale, x.numel(), size=size
        )
    return result


@triton.jit
def product_kernel(a, b, c, rows, columns, inner, size: tl.constexpr):
    """Compute one block of c = a @ b, along strips of a and b."""
    i = tl.program_id(0) * size + tl.arange(0, size)[:, None]
    j = tl.program_id(1) * size + tl.arange(0, size)[None, :]
    total = tl.zeros((size, size), dtype=tl.float32)
    for start in range(0, inner, size):
        across = start + tl.arange(0, size)[None, :]
        down = start + tl.arange(0, size)[:, None]
        left = tl.load(
            a + i * inner + across,
            mask=(i < rows) & (across < inner),
            other=0.0,
        )
        right = tl.load(
            b + down * columns + j,
            mask=(down < inner) & (j < columns),
            other=0.0,
        )
        total = tl.dot(left, right, total, input_precision="ieee")
    tl.store(c + i * columns + j, total, mask=(i < rows) & (j < columns))


def product(a: torch.Tensor, b: torch.Tensor, size: int = 32) -> torch.Tensor:
    """Multiply two matrices, one program for each block of the result.

    Raises
    ------
    ValueError
        The shapes do not fit.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(
            f"no product of {tuple(a.shape)} and {tuple(b.shape)}"
        )
    a, b = a.contiguous(), b.contiguous()
    rows, inner, columns = *a.shape, b.shape[1]
    c = torch.empty(rows, columns, device=a.device)
    grid = triton.cdiv(rows, size), triton.cdiv(columns, size)
    if grid[0] * grid[1]:
        product_kernel[grid](a, b, c, rows, columns, inner, size=size)
    return c


def compare(device: str = "cpu") -> list[dict[str, Any]]:
    """Compare both kernels with PyTorch, in sizes that fill no block."""
    found = []
    torch.manual_seed(0)
    for count in (0, 1, 1023, 1024, 100_003):
        x, y = torch.randn(2, count, device=device)
        wanted = torch.relu(2.5 * x + y)
        got = scaled_relu(x, y, 2.5)
        found.append(_row("scaled_relu", (count,), got, wanted))
    for shape in ((1, 1, 1), (16, 33, 64), (130, 70, 90)):
        rows, inner, columns = shape
        a = torch.randn(rows, inner, device=device)
        b = torch.randn(inner, columns, device=device)
        exact = a.double() @ b.double()
        found.append(_row("product", shape, product(a, b), exact))
        found.append(_row("torch.matmul", shape, a @ b, exact))
    return found


def _row(
    name: str, shape: tuple[int, ...], got: torch.Tensor, wanted: torch.Tensor
) -> dict[str, Any]:
    apart = (got.double() - wanted.double()).abs().flatten().tolist()
    return {
        "name": name,
        "shape": list(shape),
        "difference": max(apart, default=0.0),
    }


if __name__ == "__main__":
    json.dump(compare(*sys.argv[1:]), sys.stdout)
