"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

import torch

from parallel_ai.toolbox.exercises import exercise


def _check_ladder_limit(
    candidate: Callable[[dict[str, float], dict[str, float]], float],
) -> None:
    shares = {"data": 0.2, "forward": 0.3, "backward": 0.5}
    cases = [
        ({}, 1.0),
        ({"data": 2.0}, 1 / 0.9),
        ({"data": math.inf, "backward": 2.0}, 1 / 0.55),
    ]
    for gains, expected in cases:
        got = candidate(dict(shares), dict(gains))
        assert math.isclose(got or 0, expected), (
            f"overall({shares}, {gains}) = {got}, expected {expected:.4f}"
        )


@exercise(_check_ladder_limit)
def overall(shares: dict[str, float], gains: dict[str, float]) -> float:
    """Say how many times as fast a loop is when some phases are faster.

    Parameters
    ----------
    shares : dict of str to float
        Part of the time of each phase; they add up to 1.
    gains : dict of str to float
        How many times as fast a phase has become, perhaps infinitely; what
        is not named stays as it was.
    """
    return 1 / sum(
        share / gains.get(phase, 1) for phase, share in shares.items()
    )


def _check_pays_after(
    candidate: Callable[[float, float, float], float],
) -> None:
    for arguments, expected in (
        ((30.0, 0.5, 0.25), 120),
        ((30.0, 0.25, 0.25), math.inf),
        ((30.0, 0.25, 0.5), math.inf),
        ((0.0, 0.5, 0.25), 0),
        ((1.0, 0.5, 0.25), 4),
        ((1.1, 0.5, 0.25), 5),
    ):
        got = candidate(*arguments)
        assert got == expected, (
            f"pays_after{arguments} = {got}, expected {expected}"
        )


@exercise(_check_pays_after)
def pays_after(cost: float, slow: float, fast: float) -> float:
    """Count the steps after which a cost paid once is won back.

    Parameters
    ----------
    cost : float
        Seconds before the first step.
    slow, fast : float
        Seconds of a step without and with it.

    Returns
    -------
    float
        A whole number of steps; infinite if it never pays.
    """
    if fast >= slow:
        return math.inf
    return math.ceil(cost / (slow - fast))


def _check_mean_loss(
    candidate: Callable[[list[torch.Tensor]], torch.Tensor],
) -> None:
    pieces = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0])]
    got = candidate([p.clone() for p in pieces])
    assert math.isclose(float(got), 4.0), (
        f"mean_loss({[p.tolist() for p in pieces]}) = {got}, expected 4.0: "
        "the mean over pictures, not over pieces"
    )
    one = candidate([torch.tensor([2.0]), torch.tensor([4.0])])
    assert math.isclose(float(one), 3.0), f"of [2.0] and [4.0] came {one}"


@exercise(_check_mean_loss)
def mean_loss(pieces: list[torch.Tensor]) -> torch.Tensor:
    """Average losses that were computed in pieces of different sizes.

    Parameters
    ----------
    pieces : list of tensors, each (n,)
        Losses of the pictures of each piece; n differs.

    Returns
    -------
    tensor, ()
        What one batch of all pictures would have as its mean.
    """
    count = sum(len(piece) for piece in pieces)
    means = [piece.mean() * (len(piece) / count) for piece in pieces]
    return torch.stack(means).sum()
