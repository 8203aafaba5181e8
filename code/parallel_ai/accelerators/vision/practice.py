"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from parallel_ai.toolbox.exercises import exercise


def _check_recalls(candidate: Callable[[np.ndarray], np.ndarray]) -> None:
    table = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])
    got = np.asarray(candidate(table.copy()), float)
    assert got.shape == (3,), f"recalls of three classes: shape {got.shape}"
    assert np.allclose(got[:2], [0.8, 0.75]), (
        f"recalls({table.tolist()}) begins with {got[:2].round(3).tolist()}, "
        "expected [0.8, 0.75]: a row holds one true class"
    )
    assert math.isnan(got[2]), (
        f"a class without pictures got {got[2]}, expected NaN"
    )


@exercise(_check_recalls)
def recalls(table: np.ndarray) -> np.ndarray:
    """Say which part of each class was recognised.

    Parameters
    ----------
    table : array of int, (classes, classes)
        A confusion matrix: true classes in rows, answers in columns.

    Returns
    -------
    array of float, (classes,)
        Right answers by pictures of the class; NaN for a class without
        pictures, and no warning.
    """
    total = table.sum(1)
    right = table.diagonal().astype(float)
    return np.divide(
        right, total, out=np.full(len(table), np.nan), where=total > 0
    )


def _check_count_weights(
    candidate: Callable[[int, int, int, bool], int],
) -> None:
    cases = [(1, 32, 5, False), (32, 64, 3, True), (3, 1, 1, True)]
    for inputs, outputs, size, bias in cases:
        layer = nn.Conv2d(inputs, outputs, size, bias=bias)
        expected = sum(p.numel() for p in layer.parameters())
        got = candidate(inputs, outputs, size, bias)
        assert got == expected, (
            f"count_weights({inputs}, {outputs}, {size}, {bias}) returned "
            f"{got}, PyTorch's layer has {expected}"
        )


@exercise(_check_count_weights)
def count_weights(inputs: int, outputs: int, size: int, bias: bool) -> int:
    """Count the parameters of a convolution, without building it.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    size : int
        Side of the square kernel.
    bias : bool
        Whether each output channel has a number added to it.

    Returns
    -------
    int
    """
    return outputs * (inputs * size * size + bias)


def _check_patience(
    candidate: Callable[[list[float], int], int],
) -> None:
    cases: list[tuple[list[float], int, int]] = [
        ([], 2, 0),
        ([3.0, 2.0, 1.0], 1, 3),
        ([3.0, 2.0, 2.5, 2.4, 1.0], 2, 4),
        ([3.0, 2.0, 2.5, 1.9, 2.0, 2.0], 2, 6),
        ([3.0, 2.0, 2.0, 2.0], 2, 4),
        ([1.0, math.nan, math.nan, 0.5], 2, 3),
    ]
    for losses, patience, expected in cases:
        got = candidate(list(losses), patience)
        assert got == expected, (
            f"stop_after({losses}, {patience}) returned {got}, expected "
            f"{expected}"
        )


@exercise(_check_patience)
def stop_after(losses: list[float], patience: int) -> int:
    """Say after how many epochs early stopping ends a training.

    Parameters
    ----------
    losses : list of float
        Validation loss of each epoch, should all of them be run. NaN is
        never better than anything.
    patience : int
        The training ends as soon as so many epochs in a row, at least one,
        have brought no loss below the best so far.

    Returns
    -------
    int
        Epochs run.
    """
    best, waited = math.inf, 0
    for epoch, loss in enumerate(losses, 1):
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == patience:
            return epoch
    return len(losses)


def _check_normalise(
    candidate: Callable[
        [torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]
    ],
) -> None:
    generator = torch.Generator().manual_seed(0)
    learn = torch.rand(50, 1, 4, 4, generator=generator) * 3
    other = torch.rand(20, 1, 4, 4, generator=generator) + 5
    kept = learn.clone(), other.clone()
    one, two = candidate(learn, other)
    assert torch.equal(learn, kept[0]), "the training pictures were changed"
    assert torch.equal(other, kept[1]), "the other pictures were changed"
    mean, deviation = one.mean().item(), one.std().item()
    assert abs(mean) < 1e-4 and abs(deviation - 1) < 1e-3, (  # noqa: PT018
        f"training pictures have mean {mean:.3f} and deviation "
        f"{deviation:.3f}, expected 0 and 1"
    )
    right = (other - learn.mean()) / learn.std()
    assert torch.allclose(two, right, atol=1e-4), (
        "the other pictures were not treated as the training pictures were"
    )


@exercise(_check_normalise)
def normalise(
    learn: torch.Tensor, other: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalise pictures without learning from those that only test.

    Parameters
    ----------
    learn : tensor of float, (n, 1, height, width)
        Pictures to train with. After it they have mean 0 and standard
        deviation 1, over all pixels of all pictures.
    other : tensor of float, (m, 1, height, width)
        Pictures to validate or to test with.

    Returns
    -------
    tuple of tensor
        Both, normalised; the inputs stay as they are.
    """
    deviation, mean = torch.std_mean(learn)
    return (learn - mean) / deviation, (other - mean) / deviation
