"""Exercises: each function is the hidden solution of its own docstring."""

# ruff: noqa: S101 - an exercise is checked by AssertionError

import math
from collections.abc import Callable

import numpy as np
import torch

from parallel_ai.toolbox.exercises import exercise


def _check_break_even(
    candidate: Callable[[float, float, float, float], float],
) -> None:
    cases = [
        ((1e9, 2e9, 1e-5, math.inf), 2e4),
        ((1e9, math.inf, 1e-5, 2e9), 2e4),
        ((1e9, 4e9, 3e-6, 4e9), 6e3),
        ((1e9, 2e9, 1e-5, 2e9), math.inf),
        ((5e9, 1e9, 1e-5, math.inf), math.inf),
        ((1e9, 1e12, 0.0, math.inf), 0.0),
    ]
    for arguments, expected in cases:
        got = candidate(*arguments)
        assert math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-12), (
            f"break_even{arguments} returned {got}, expected {expected}"
        )


@exercise(_check_break_even)
def break_even(slow: float, fast: float, launch: float, link: float) -> float:
    """Find the size from which on a device wins over the CPU.

    Parameters
    ----------
    slow, fast : float
        Numbers a second of CPU and device, once they have them; positive,
        may be infinite.
    launch : float
        Seconds that a use of the device costs, however few the numbers.
    link : float
        Numbers a second on the way to the device; infinite if they are
        there already.

    Returns
    -------
    float
        Numbers for which both take equally long; infinity if the device
        never wins. (If it costs nothing to start and is faster, 0.)
    """
    gained = 1 / slow - 1 / fast - 1 / link
    return launch / gained if gained > 0 else math.inf


def _check_to_bfloat16(
    candidate: Callable[[np.ndarray], np.ndarray],
) -> None:
    rng = np.random.default_rng(0)
    random = rng.standard_normal(1000) * 10.0 ** rng.integers(-30, 30, 1000)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0, -0.0])
    edges = np.array([3.4e38, np.inf, -np.inf, 1e-40, 1.0])
    values = np.concatenate([random, ties, edges]).astype(np.float32)
    kept = values.copy()
    got = np.asarray(candidate(values))
    assert np.array_equal(values, kept), "the numbers given were changed"
    assert got.dtype == np.float32, (
        f"to_bfloat16 returned {got.dtype}, expected float32"
    )
    wanted = torch.tensor(values).bfloat16().float().numpy()
    for one, have, want in zip(values, got, wanted, strict=True):
        assert have == want, (
            f"to_bfloat16({one!r}) is {have!r}, expected {want!r}"
        )
    nothing = candidate(np.array([np.nan], np.float32))
    assert np.isnan(nothing).all(), f"NaN became {nothing[0]}"


@exercise(_check_to_bfloat16)
def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """Round float32 to bfloat16 with integers alone, as hardware does.

    Parameters
    ----------
    values : array of float32, any shape
        Stays as it is.

    Returns
    -------
    array of float32
        The nearest numbers of bfloat16: the upper 16 bits, the lower 16
        zero. Half-way between two, the one whose last bit is zero.
        Overflow becomes infinity, NaN stays NaN.
    """
    whole = values.view(np.uint32)
    last = (whole >> np.uint32(16)) & np.uint32(1)
    near = (whole + np.uint32(0x7FFF) + last) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(values), values, near.view(np.float32))


def _check_pipeline_seconds(
    candidate: Callable[[list[float], list[float], bool], float],
) -> None:
    cases: list[tuple[list[float], list[float], bool, float]] = [
        ([], [], False, 0),
        ([2], [3], False, 5),
        ([2], [3], True, 5),
        ([1, 1, 1], [3, 3, 3], False, 10),
        ([3, 3, 3], [1, 1, 1], False, 10),
        ([3, 3, 3], [1, 1, 1], True, 12),
        ([1, 5, 1], [4, 1, 2], False, 9),
        ([1, 5, 1], [4, 1, 2], True, 14),
    ]
    for prepare, compute, wait_each, expected in cases:
        got = candidate(list(prepare), list(compute), wait_each)
        assert math.isclose(got, expected, abs_tol=1e-9), (
            f"pipeline_seconds({prepare}, {compute}, {wait_each}) returned "
            f"{got}, expected {expected}"
        )


@exercise(_check_pipeline_seconds)
def pipeline_seconds(
    prepare: list[float], compute: list[float], wait_each: bool
) -> float:
    """Foretell when a device has done all steps.

    Parameters
    ----------
    prepare, compute : list of float
        Seconds of each step: of the host, then of the device. The host
        goes on with the next step as soon as it has launched one; a launch
        costs nothing. The device does one thing after the other.
    wait_each : bool
        Whether the host waits for the device in each step.

    Returns
    -------
    float
        Seconds until the device has done the last step; 0 without steps.
    """
    host = device = 0.0
    for ready, work in zip(prepare, compute, strict=True):
        host += ready
        device = max(device, host) + work
        if wait_each:
            host = device
    return device
