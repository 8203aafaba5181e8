"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from parallel_ai.toolbox.exercises import exercise


def _check_receptive_field(
    candidate: Callable[[list[tuple[int, int]]], int],
) -> None:
    cases = [
        ([], 1),
        ([(3, 1)], 3),
        ([(3, 1), (3, 1)], 5),
        ([(2, 2), (3, 1)], 6),
        ([(5, 2), (3, 2), (3, 1)], 17),
    ]
    for layers, expected in cases:
        got = candidate(list(layers))
        assert got == expected, (
            f"receptive_field({layers}) returned {got}, expected {expected}"
        )


@exercise(_check_receptive_field)
def receptive_field(layers: list[tuple[int, int]]) -> int:
    """Say how many input pixels in a row can reach one output.

    Parameters
    ----------
    layers : list of (int, int)
        Kernel size and stride of each convolution or pooling, in order.

    Returns
    -------
    int
        1 without any layer.
    """
    field, step = 1, 1
    for size, stride in layers:
        field += (size - 1) * step
        step *= stride
    return field


def _check_fold(
    candidate: Callable[..., tuple[torch.Tensor, torch.Tensor]],
) -> None:
    generator = torch.Generator().manual_seed(0)
    norm = nn.BatchNorm2d(3).eval()
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            assert tensor is not None
            tensor.copy_(torch.randn(3, generator=generator))
        assert norm.running_var is not None
        norm.running_var.copy_(torch.rand(3, generator=generator) + 0.1)
        kernel = torch.randn(3, 2, 3, 3, generator=generator)
        kept = kernel.clone()
        weight, bias = candidate(
            kernel, norm.weight, norm.bias, norm.running_mean,
            norm.running_var, norm.eps,
        )  # fmt: skip
        images = torch.randn(2, 2, 5, 5, generator=generator)
        expected = norm(F.conv2d(images, kept))
        assert torch.equal(kernel, kept), "the kernel that came in was changed"
        assert weight.shape == kernel.shape, (
            f"weight has shape {tuple(weight.shape)}, "
            f"expected {tuple(kernel.shape)}"
        )
        assert bias.shape == (3,), f"bias has shape {tuple(bias.shape)}"
        wrong = (F.conv2d(images, weight, bias) - expected).abs().max().item()
    assert wrong < 1e-4, (
        f"the folded convolution differs by {wrong:.3g} from convolution and "
        "normalisation, one after the other"
    )


@exercise(_check_fold)
def fold(
    weight: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fold a batch normalisation into the convolution before it.

    Parameters
    ----------
    weight : tensor, (channels, inputs, size, size)
        Of a convolution without bias.
    gamma, beta, mean, variance : tensor, (channels,)
        Of the normalisation: factor, shift, running mean and variance.
    eps : float
        Is added to the variance.

    Returns
    -------
    tensor, tensor
        Weight and bias of one convolution that does the work of both.
    """
    factor = gamma / (variance + eps).sqrt()
    return weight * factor.view(-1, 1, 1, 1), beta - mean * factor


def _check_same(
    candidate: Callable[[np.ndarray, np.ndarray], bool],
) -> None:
    base = np.array([[1.0, -2.0], [300.0, 0.0]], dtype=np.float32)
    cases: list[tuple[str, np.ndarray, bool]] = [
        ("itself", base, True),
        ("rounding", base * np.float32(1 + 1e-6), True),
        ("one more picture", np.vstack([base, base[:1]]), False),
        ("one row, which broadcasts", base[:1], False),
        ("a difference of 0.01", base + np.float32(0.01), False),
        ("NaN", np.where(base == 0, np.float32(np.nan), base), False),
        ("double precision", base.astype(np.float64), False),
    ]
    for what, other, expected in cases:
        got = candidate(base.copy(), other.copy())
        assert bool(got) == expected, (
            f"same_answers returned {got} for {what}, expected {expected}"
        )


@exercise(_check_same)
def same_answers(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Say whether two models' logits are the same but for rounding.

    Parameters
    ----------
    ours, theirs : array, (n, classes)

    Returns
    -------
    bool
        Same shape, same kind of number, all finite, and each number within
        1e-4 of the other or within 1e-4 of its size.
    """
    return (
        ours.shape == theirs.shape
        and ours.dtype == theirs.dtype
        and bool(np.isfinite(theirs).all())
        and np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    )
