"""Whether a model that is 90 % sure is right in nine of ten cases."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence."""

    confidence: float  # their mean
    accuracy: float
    count: int


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 15
) -> list[Bin]:
    """Group answers by their probability, in bins of equal width.

    Returns
    -------
    list of Bin
        Those with answers in them.
    """
    sure = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    # A probability on an edge belongs to the bin below it.
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return [
        Bin(float(sure[here].mean()), float(right[here].mean()), here.sum())
        for here in (place == number for number in range(bins))
        if here.any()
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Average the gaps of confidence and accuracy (ECE), by their counts."""
    total = sum(one.count for one in bins)
    gaps = (one.count * abs(one.accuracy - one.confidence) for one in bins)
    return float(sum(gaps) / total)


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Find the number that logits must be divided by (Guo et al., 2017).

    The loss is convex in its inverse, so there is one minimum. Fit it on
    validation pictures.

    Returns
    -------
    float
        Above 1 where the model is too sure.
    """
    fixed = logits.detach().cpu().double()
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [inverse], max_iter=100, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(fixed * inverse, labels.cpu())
        value.backward()
        return value

    optimizer.step(loss)
    return 1 / max(inverse.item(), 1e-6)
