"""Efficient is not useful: steps to a target, GPU hours, utilisation."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional as F

from parallel_ai.accelerators.vision import Part


def steps_needed(batch: float, least: float, critical: float) -> float:
    """Count the steps to a target (McCandlish et al. 2018).

    Parameters
    ----------
    least : float
        Steps that even a boundless batch needs.
    critical : float
        Batch at which it takes twice as many, and twice the least examples.
    """
    return least * (1 + critical / batch)


def fit_critical(steps: Mapping[int, float]) -> tuple[float, float]:
    """Fit `least` and `critical` to steps by batch; relative errors count.

    Raises
    ------
    ValueError
        No batch was large enough to need fewer steps.
    """
    batches = np.array(list(steps), float)
    counts = np.array(list(steps.values()), float)
    rows = np.stack([np.ones_like(batches), 1 / batches], 1) / counts[:, None]
    (least, product), *_ = np.linalg.lstsq(
        rows, np.ones(len(counts)), rcond=None
    )
    if least <= 0:
        raise ValueError("no batch was large enough to need fewer steps")
    return float(least), float(product / least)


def steps_to_loss(
    part: Part, batch: int, rate: float, target: float, most: int, seed: int
) -> int | None:
    """Train a linear model; count steps until its smoothed loss is there.

    Returns
    -------
    int or None
        None if `most` steps were not enough, or the loss left all bounds.
    """
    generator = torch.Generator().manual_seed(seed)
    images = part.images.flatten(1)
    weights = torch.zeros(images.shape[1], 10)
    probe = slice(0, 500)
    for step in range(1, most + 1):
        chosen = torch.randint(len(part), (batch,), generator=generator)
        x, y = images[chosen], part.labels[chosen]
        error = torch.softmax(x @ weights, 1) - F.one_hot(y, 10)
        weights -= rate * (x.T @ error) / batch
        if step % max(1, step // 20) == 0:
            loss = F.cross_entropy(images[probe] @ weights, part.labels[probe])
            if not torch.isfinite(loss):
                return None
            if loss < target:
                return step
    return None


def least_steps(
    part: Part, batch: int, rates: list[float], target: float, most: int
) -> int | None:
    """Try rates and keep the quickest; the median of three seeds each."""
    counts: list[int | None] = []
    for rate in rates:
        found = [
            steps_to_loss(part, batch, rate, target, most, seed)
            for seed in range(3)
        ]
        counts.append(sorted(found, key=lambda n: n or most + 1)[1])
    return min((n for n in counts if n), default=None)


def gpu_hours(ranks: int, steps: float, step: float) -> float:
    """Hours of all GPUs together."""
    return ranks * steps * step / 3600


def utilisation(operations: float, seconds: float, peak: float) -> float:
    """Model operations a second by what the hardware could do: MFU.

    Counts what the model needs, not what was computed again or thrown away
    (Chowdhery et al. 2022).
    """
    return operations / seconds / peak


def goodput(
    ranks: int, efficiency: float, lost: float, batch: float, critical: float
) -> float:
    """Ranks' worth of progress: what steps, failures and batches leave.

    Parameters
    ----------
    efficiency : float
        Of a step, against one rank.
    lost : float
        Share of the time lost to saving and to interruptions.
    batch, critical : float
        Examples of a step; the critical batch.
    """
    return ranks * efficiency * (1 - lost) / (1 + batch / critical)
