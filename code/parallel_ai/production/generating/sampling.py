"""From logits to a token, reproducible whoever else is in the batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Sampling:
    """How to choose a token.

    Attributes
    ----------
    temperature : float
        Logits are divided by it; 0 takes the most probable token.
    top_k : int
        Tokens that stay; 0 keeps all.
    top_p : float
        Of those, the fewest most probable ones that together have so much
        probability (Holtzman et al. 2020).
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                "need temperature >= 0, top_k >= 0 and 0 < top_p <= 1, got "
                f"{self}"
            )


GREEDY = Sampling()


def probabilities(logits: torch.Tensor, how: Sampling) -> torch.Tensor:
    """Turn logits into the probabilities that are drawn from.

    Parameters
    ----------
    logits : tensor, (..., vocabulary)

    Returns
    -------
    tensor, (..., vocabulary)
        They sum to 1.
    """
    if how.temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.zeros_like(logits).scatter_(-1, best, 1.0)
    logits = logits / how.temperature
    if 0 < how.top_k < logits.shape[-1]:
        kept = logits.topk(how.top_k, -1)
        logits = torch.full_like(logits, -torch.inf).scatter_(
            -1, kept.indices, kept.values
        )
    chances = torch.softmax(logits, -1)
    if how.top_p < 1:
        ordered, which = chances.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.where(before < how.top_p, 0.0)
        chances = torch.zeros_like(chances).scatter_(-1, which, ordered)
        chances = chances / chances.sum(-1, keepdim=True)
    return chances


def draw(chances: torch.Tensor, numbers: Sequence[float]) -> list[int]:
    """Choose a token of each row by a number between 0 and 1.

    Parameters
    ----------
    chances : tensor, (rows, vocabulary)
    numbers : sequence of float, (rows,)
        Uniformly distributed.
    """
    heights = chances.double().cumsum(-1)
    marks = torch.tensor(numbers, dtype=torch.float64)[:, None]
    places = torch.searchsorted(heights, marks * heights[:, -1:], right=True)
    there = torch.arange(chances.shape[-1]) * (chances > 0)
    last = there.amax(-1)  # for what rounding left over
    return torch.minimum(places[:, 0], last).tolist()


def uniforms(seed: int, count: int) -> np.ndarray:
    """Return a request's random numbers for its tokens, one after the other.

    They depend on nothing else: not on the batch, not on how many follow.
    """
    return np.random.default_rng(seed).random(count)


def choose(
    logits: torch.Tensor,
    hows: Sequence[Sampling],
    numbers: Sequence[float],
) -> list[int]:
    """Choose a token of each row, by that row's way and number.

    Parameters
    ----------
    logits : tensor, (rows, vocabulary)
    """
    found = [0] * len(hows)
    for how in set(hows):
        rows = [row for row, one in enumerate(hows) if one == how]
        if how.temperature == 0:
            tokens = logits[rows].argmax(-1).tolist()
        else:
            chances = probabilities(logits[rows], how)
            tokens = draw(chances, [numbers[row] for row in rows])
        for row, token in zip(rows, tokens, strict=True):
            found[row] = token
    return found
