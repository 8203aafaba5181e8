"""Drafted cheaply, verified at once, and distributed as if never drafted."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from parallel_ai.production.generating.decoder import Decoder
from parallel_ai.production.generating.decoding import check_length
from parallel_ai.production.generating.sampling import (
    GREEDY,
    Sampling,
    draw,
    probabilities,
)
from parallel_ai.production.generating.texts import END


def accept(
    target: torch.Tensor,
    draft: torch.Tensor,
    drafted: Sequence[int],
    numbers: Iterator[float],
) -> list[int]:
    """Keep what was drafted as far as the model agrees, and add a token.

    Parameters
    ----------
    target : tensor, (drafted + 1, vocabulary)
        Probabilities of the model at each place, and at the one behind.
    draft : tensor, (drafted, vocabulary)
        Probabilities from which the tokens were drawn.
    drafted : sequence of int
    numbers : iterator of float
        Uniform between 0 and 1.

    Returns
    -------
    list of int
        One token at least, each distributed as the model's own.

    Notes
    -----
    Leviathan et al. (2023): a token is kept with probability
    min(1, target / draft); in its stead comes one of what target has more.
    """
    kept: list[int] = []
    for place, token in enumerate(drafted):
        p, q = target[place], draft[place]
        if next(numbers) * q[token] >= p[token]:
            rest = (p - q).clamp(min=0)
            return kept + draw(rest[None], [next(numbers)])
        kept.append(token)
    return kept + draw(target[-1:], [next(numbers)])


def agreement(target: torch.Tensor, draft: torch.Tensor) -> torch.Tensor:
    """Probability that a drafted token is kept; (..., vocabulary) to (...)."""
    return torch.minimum(target, draft).sum(-1)


@torch.inference_mode()
def mean_agreement(
    model: Decoder, table: torch.Tensor, tokens: torch.Tensor, how: Sampling
) -> float:
    """How often a table's draft would be kept, over a text; (rows, count)."""
    target = probabilities(model(tokens), how)
    chances = probabilities(table.log(), how)
    return agreement(target, chances[tokens]).mean().item()


def expected_tokens(agreement: float, ahead: int) -> float:
    """Tokens of a round, if each of the drafted ones is kept so often.

    The sum of the geometric series 1 + α + … + α to the power `ahead`.
    """
    return sum(agreement**i for i in range(ahead + 1))


@torch.inference_mode()
def speculate(
    model: Decoder,
    table: torch.Tensor,
    prompt: Sequence[int],
    count: int,
    ahead: int = 4,
    how: Sampling = GREEDY,
    seed: int = 0,
    stop: int | None = END,
) -> tuple[list[int], list[int]]:
    """Go on with a text; a table of pairs drafts, the model verifies.

    Parameters
    ----------
    table : tensor, (vocabulary, vocabulary)
        Probability of each token after each, from `bigram`.
    ahead : int
        Tokens that are drafted in a round.

    Returns
    -------
    tuple of list of int
        The answer, and how many tokens each round brought.
    """
    check_length(model, prompt, count)
    numbers = iter(np.random.default_rng(seed).random, None)
    chances = probabilities(table.log(), how)
    cache = model.cache(room=len(prompt) + count + ahead)
    logits = model(torch.tensor([prompt]), cache)[:, -1]
    tokens = draw(probabilities(logits, how), [next(numbers)])
    rounds: list[int] = []
    while len(tokens) < count and tokens[-1] != stop:
        some = min(ahead, count - len(tokens) - 1)
        drafted = [tokens[-1]]
        for _ in range(some):
            drafted += draw(chances[drafted[-1:]], [next(numbers)])
        logits = model(torch.tensor([drafted]), cache)[0]
        new = accept(
            probabilities(logits, how),
            chances[drafted[:-1]],
            drafted[1:],
            numbers,
        )
        # Forget the keys of what was not kept; the last has none yet.
        cache.lengths -= some + 1 - len(new)
        if stop in new:
            new = new[: new.index(stop) + 1]
        rounds.append(len(new))
        tokens += new
    return tokens, rounds
