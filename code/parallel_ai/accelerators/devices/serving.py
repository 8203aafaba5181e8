"""Answers one by one or in batches: latency against throughput."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from parallel_ai.accelerators.devices.peaks import Peaks, fastest


def dense(widths: Sequence[int], seed: int = 0) -> nn.Sequential:
    """Build dense layers with ReLU between them, with weights of a seed."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    torch.set_rng_state(state)
    return nn.Sequential(*layers[:-1]).eval()


def batch_seconds(
    model: nn.Module,
    pictures: torch.Tensor,
    sizes: Sequence[int],
    device: torch.device,
    repeats: int = 5,
) -> list[float]:
    """Measure one answer to batches of each size, pictures on the device.

    Returns
    -------
    list of float
        Seconds for a batch, the best of some runs.

    Raises
    ------
    ValueError
        There are fewer pictures than the largest batch has.
    """
    model, pictures = model.to(device), pictures.to(device)
    if len(pictures) < max(sizes):
        raise ValueError(
            f"batches of {max(sizes)} need as many pictures, "
            f"there are {len(pictures)}"
        )

    @torch.inference_mode()
    def answer(some: torch.Tensor) -> torch.Tensor:
        return model(some)

    return [
        fastest(partial(answer, pictures[:n]), device, repeats) for n in sizes
    ]


def least_batch_seconds(
    model: nn.Module, size: int, peaks: Peaks, kind: str = "float32"
) -> float:
    """Foretell the least time of a batch of dense layers.

    Each weight is read once for the whole batch, and used twice (multiply,
    add) for each picture of it.
    """
    weights = sum(p.numel() for p in model.parameters())
    width = next(model.parameters()).element_size()
    return max(
        2 * weights * size / peaks.rates[kind],
        weights * width / peaks.memory,
    )


@dataclass(frozen=True)
class Served:
    """What a server did with a stream of requests.

    Attributes
    ----------
    arrivals, departures : array of float, (n,)
        Seconds at which each request came and its answer left.
    batches : list of int
        Requests in each batch.
    """

    arrivals: np.ndarray
    departures: np.ndarray
    batches: list[int]

    @property
    def latencies(self) -> np.ndarray:
        """Seconds from request to answer."""
        return self.departures - self.arrivals

    @property
    def throughput(self) -> float:
        """Answers a second, from the first request to the last answer."""
        return len(self.arrivals) / (self.departures[-1] - self.arrivals[0])

    def inside(self) -> float:
        """Average the requests inside, counted at every coming and going."""
        times = np.concatenate([self.arrivals, self.departures])
        change = np.repeat([1, -1], len(self.arrivals))
        order = np.argsort(times, kind="stable")
        present = change[order].cumsum()[:-1]
        spans = np.diff(times[order])
        return float((present * spans).sum() / spans.sum())


def arrivals(rate: float, count: int, seed: int = 0) -> np.ndarray:
    """Draw times at which independent users come: a Poisson process."""
    rng = np.random.default_rng(seed)
    return rng.exponential(1 / rate, count).cumsum()


def serve(
    come: np.ndarray, seconds: Callable[[int], float], largest: int
) -> Served:
    """Play a server that takes all who wait, up to a largest batch.

    Parameters
    ----------
    come : array of float, (n,)
        When the requests come, rising.
    seconds : callable
        Time that a batch of a size takes; measured, by `batch_seconds`.
    largest : int
        Requests that a batch may hold.

    Raises
    ------
    ValueError
        A batch may hold nothing.
    """
    if largest < 1:
        raise ValueError(f"a batch holds at least one request, not {largest}")
    leave = np.empty(len(come))
    batches: list[int] = []
    now, first = 0.0, 0
    while first < len(come):
        now = max(now, come[first])
        waiting = int(np.searchsorted(come, now, side="right")) - first
        size = min(waiting, largest)
        now += seconds(size)
        leave[first : first + size] = now
        batches.append(size)
        first += size
    return Served(come, leave, batches)
