"""One operation in many sizes on several devices, and where they cross."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from parallel_ai.accelerators.devices.peaks import Peaks, fastest

BYTES = 4  # of a float32
LAUNCH = 3.8e-6  # seconds for each kernel in a queue, by gray2019


@dataclass(frozen=True)
class Operation:
    """Something to compute in any size n, with what it needs.

    Attributes
    ----------
    operations, moved, carried : callable
        Of n, a number or an array: arithmetic operations; bytes between device and its memory, if
        each number passes once; bytes between the CPU and the device, if
        the inputs come from the one and the result goes back to it.
    inputs : callable
        Of n: shapes of the inputs.
    compute : callable
        From the inputs to the result.
    """

    name: str
    operations: Callable[[Any], Any]
    moved: Callable[[Any], Any]
    carried: Callable[[Any], Any]
    inputs: Callable[[int], list[tuple[int, ...]]]
    compute: Callable[..., torch.Tensor]

    def intensity(self, n: float) -> float:
        """Operations for each byte that has to pass."""
        return float(self.operations(n) / self.moved(n))


PRODUCT = Operation(
    "product of n × n matrices",
    lambda n: 2 * n**3,
    lambda n: 3 * n**2 * BYTES,
    lambda n: 3 * n**2 * BYTES,
    lambda n: [(n, n), (n, n)],
    torch.matmul,
)
SUM = Operation(
    "sum of two vectors of n",
    lambda n: n,
    lambda n: 3 * n * BYTES,
    lambda n: 3 * n * BYTES,
    lambda n: [(n,), (n,)],
    torch.Tensor.add_,  # in place: no time goes into new memory
)


def job(
    operation: Operation, n: int, device: torch.device, transfer: bool
) -> Callable[[], torch.Tensor]:
    """Prepare one computation; with `transfer` from CPU memory and back."""
    start = torch.device("cpu") if transfer else device
    inputs = [torch.rand(shape, device=start) for shape in operation.inputs(n)]
    if not transfer:
        return lambda: operation.compute(*inputs)
    return lambda: operation.compute(*(x.to(device) for x in inputs)).cpu()


def sweep(
    operation: Operation,
    sizes: Sequence[int],
    device: torch.device,
    *,
    transfer: bool = False,
    repeats: int = 3,
) -> list[float]:
    """Measure an operation in many sizes on a device.

    Returns
    -------
    list of float
        Seconds for each size, the best of some runs. A device that is the
        CPU has nothing to transfer.
    """
    return [
        fastest(job(operation, n, device, transfer), device, repeats)
        for n in sizes
    ]


def crossing(
    sizes: Sequence[float], one: Sequence[float], two: Sequence[float]
) -> float | None:
    """Find the size from which on the second way takes less time.

    Parameters
    ----------
    sizes : sequence of float
        Positive, rising.
    one, two : sequence of float
        Seconds for each size, positive.

    Returns
    -------
    float or None
        Between two sizes both times are taken for powers of the size, lines
        on logarithmic paper. The first size if the second way always wins,
        None if it does not win at the largest.

    Raises
    ------
    ValueError
        There is no size, or not a time for each.
    """
    if not len(sizes) == len(one) == len(two) > 0:
        raise ValueError(
            f"need as many times as sizes, at least one: got {len(sizes)} "
            f"sizes, {len(one)} and {len(two)} times"
        )
    lead = [math.log(a / b) for a, b in zip(one, two, strict=True)]
    if lead[-1] <= 0:
        return None
    behind = [i for i, value in enumerate(lead) if value <= 0]
    if not behind:
        return float(sizes[0])
    i = behind[-1]
    part = -lead[i] / (lead[i + 1] - lead[i])
    return float(sizes[i] * (sizes[i + 1] / sizes[i]) ** part)


def predict(
    operation: Operation,
    sizes: Sequence[float] | np.ndarray,
    peaks: Peaks,
    launch: float,
    *,
    kind: str = "float32",
    transfer: bool = False,
    host_memory: float = math.inf,
) -> np.ndarray:
    """Foretell seconds from a device's limits: α + n / β.

    Parameters
    ----------
    launch : float
        Seconds that each operation costs, however small (α). A transfer is
        one more for each input and for the result.
    host_memory : float
        Bytes a second of the CPU's memory, which all that is carried has to
        leave or to enter.

    Returns
    -------
    array of float
        What no program can beat: launch, then the slower of arithmetic and
        memory, then the link.
    """
    n = np.asarray(sizes, float)
    seconds = launch + np.maximum(
        operation.operations(n) / peaks.rates[kind],
        operation.moved(n) / peaks.memory,
    )
    if transfer and peaks.link is not None:
        tensors = len(operation.inputs(1)) + 1
        seconds += tensors * launch
        seconds += operation.carried(n) / min(peaks.link, host_memory)
    return seconds
