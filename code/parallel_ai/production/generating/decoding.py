"""One sequence: every token computed again, or kept in a cache."""

from collections.abc import Sequence

import torch

from parallel_ai.production.generating.decoder import Decoder
from parallel_ai.production.generating.sampling import (
    GREEDY,
    Sampling,
    choose,
    uniforms,
)
from parallel_ai.production.generating.texts import END


def check_length(model: Decoder, prompt: Sequence[int], count: int) -> None:
    """Refuse what the model has no positions for.

    Raises
    ------
    ValueError
        The prompt is empty, or prompt and answer are too long together.
    """
    if not prompt:
        raise ValueError("a prompt has one token at least")
    if len(prompt) + count > model.config.context:
        raise ValueError(
            f"{len(prompt)} + {count} tokens; the model has positions for "
            f"{model.config.context}"
        )


@torch.inference_mode()
def without_cache(
    model: Decoder,
    prompt: Sequence[int],
    count: int,
    how: Sampling = GREEDY,
    seed: int = 0,
    stop: int | None = END,
) -> list[int]:
    """Go on with a text; for each token all that came before is computed.

    Parameters
    ----------
    count : int
        Most tokens.
    stop : int or None
        The token after which nothing comes; it is returned, too.
    """
    check_length(model, prompt, count)
    device = model.head.weight.device
    tokens = list(prompt)
    for number in uniforms(seed, count):
        logits = model(torch.tensor([tokens], device=device))[:, -1].cpu()
        tokens += choose(logits, [how], [number])
        if tokens[-1] == stop:
            break
    return tokens[len(prompt) :]


@torch.inference_mode()
def with_cache(
    model: Decoder,
    prompt: Sequence[int],
    count: int,
    how: Sampling = GREEDY,
    seed: int = 0,
    stop: int | None = END,
) -> list[int]:
    """Go on with a text; each token is computed once. As `without_cache`."""
    check_length(model, prompt, count)
    device = model.head.weight.device
    cache = model.cache(room=len(prompt) + count)
    new, tokens = list(prompt), list[int]()
    for number in uniforms(seed, count):
        logits = model(torch.tensor([new], device=device), cache)[:, -1].cpu()
        new = choose(logits, [how], [number])
        tokens += new
        if new[0] == stop:
            break
    return tokens
