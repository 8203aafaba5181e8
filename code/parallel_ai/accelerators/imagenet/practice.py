"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from parallel_ai.accelerators.imagenet.blocks import Basic, Bottleneck
from parallel_ai.toolbox.exercises import exercise


def _check_block_weights(
    candidate: Callable[[int, int, bool], int],
) -> None:
    cases = [
        (64, 64, False),
        (64, 128, False),
        (64, 64, True),
        (256, 64, True),
    ]
    for inputs, width, bottleneck in cases:
        kind = Bottleneck if bottleneck else Basic
        layers = kind(inputs, width).modules()
        expected = sum(
            layer.weight.numel()
            for layer in layers
            if isinstance(layer, nn.Conv2d)
        )
        got = candidate(inputs, width, bottleneck)
        assert got == expected, (
            f"block_weights({inputs}, {width}, {bottleneck}) returned {got}, "
            f"the convolutions of the block have {expected}"
        )


@exercise(_check_block_weights)
def block_weights(inputs: int, width: int, bottleneck: bool) -> int:
    """Count the weights of a block's convolutions, without building it.

    Parameters
    ----------
    inputs, width : int
        Channels that come in, and of the 3 × 3 convolutions.
    bottleneck : bool
        Two 3 × 3 convolutions if false; 1 × 1, 3 × 3, 1 × 1 if true, the
        last with four times as many channels.

    Returns
    -------
    int
        With the 1 × 1 convolution of the shortcut, if the number of
        channels changes. Strides are 1.
    """
    outputs = 4 * width if bottleneck else width
    if bottleneck:
        inside = inputs * width + 9 * width**2 + width * outputs
    else:
        inside = 9 * inputs * width + 9 * width**2
    return inside + (inputs * outputs if inputs != outputs else 0)


def _check_top_five(
    candidate: Callable[[np.ndarray, Sequence[Sequence[int]]], float],
) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(6, 9))
    order = np.argsort(-logits, axis=1)
    right = [
        (int(order[0, 4]),), (int(order[1, 5]),), (int(order[2, 0]),),
        (int(order[3, 8]), int(order[3, 3])), (int(order[4, 7]),), (),
    ]  # fmt: skip
    got = candidate(logits, right)
    assert abs(got - 3 / 6) < 1e-9, (
        f"six pictures, of which three have a right class among their five "
        f"largest logits: got {got}, expected 0.5"
    )
    moved = candidate(logits + 100 * np.arange(6)[:, None], right)
    assert abs(moved - got) < 1e-9, (
        "a number added to all logits of a picture changed the result to "
        f"{moved}: pictures must not be compared with each other"
    )


@exercise(_check_top_five)
def top_five(logits: np.ndarray, right: Sequence[Sequence[int]]) -> float:
    """Compute the share of pictures with a right answer among five.

    Parameters
    ----------
    logits : array of float, (pictures, classes)
        At least five classes.
    right : sequence of sequences of int
        For each picture the classes that count as right, maybe several.

    Returns
    -------
    float
        From 0 to 1.
    """
    best = np.argsort(-logits, axis=1)[:, :5].tolist()
    pairs = zip(best, right, strict=True)
    return float(np.mean([bool(set(b) & set(r)) for b, r in pairs]))


def _check_pipeline_seconds(
    candidate: Callable[[int, float, float], float],
) -> None:
    cases = [
        (1, 2.0, 3.0, 5.0), (4, 1.0, 3.0, 13.0), (4, 3.0, 1.0, 13.0),
        (10, 2.0, 2.0, 22.0), (0, 1.0, 1.0, 0.0),
    ]  # fmt: skip
    for batches, decode, compute, expected in cases:
        got = candidate(batches, decode, compute)
        assert abs(got - expected) < 1e-9, (
            f"pipeline_seconds({batches}, {decode}, {compute}) returned "
            f"{got}, expected {expected}"
        )


@exercise(_check_pipeline_seconds)
def pipeline_seconds(batches: int, decode: float, compute: float) -> float:
    """Say when the last batch leaves a pipeline of two stages.

    Parameters
    ----------
    batches : int
    decode, compute : float
        Seconds that each stage takes for one batch. One batch is in a stage
        at a time, and any number may wait between both.

    Returns
    -------
    float
        Seconds from the start to the end of the last batch.
    """
    if batches == 0:
        return 0.0
    return decode + compute + (batches - 1) * max(decode, compute)


def _check_freeze(candidate: Callable[[nn.Module], int]) -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    body.add_module("fc", nn.Linear(4, 2))
    before = {k: v.clone() for k, v in body.state_dict().items()}
    count = candidate(body)
    assert count == 10, (
        f"freeze returned {count}; of this model 10 numbers, those of `fc`, "
        "are left to learn"
    )
    learn = [n for n, p in body.named_parameters() if p.requires_grad]
    assert learn == ["fc.weight", "fc.bias"], (
        f"left to learn: {learn}, expected only those of `fc`"
    )
    with torch.no_grad():
        body[1](torch.randn(5, 4, 2, 2))
    moved = [k for k, v in body.state_dict().items() if not v.equal(before[k])]
    assert moved == [], (
        f"a forward pass has changed {moved}: what is frozen must not move, "
        "and running means are no parameters"
    )


@exercise(_check_freeze)
def freeze(model: nn.Module) -> int:
    """Freeze a network, all but its last layer, `model.fc`.

    Parameters
    ----------
    model : Module
        With a linear layer `fc`. It is changed in place: no gradient for
        other parameters, and no normalisation that learns from what passes.

    Returns
    -------
    int
        Numbers that are still to be learned.
    """
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad = False
    head = [*model.get_submodule("fc").parameters()]
    for parameter in head:
        parameter.requires_grad = True
    return sum(parameter.numel() for parameter in head)
