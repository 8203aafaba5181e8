"""Mistakes in generating: nearly all of them raise nothing."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from parallel_ai.production.generating.decoder import Decoder
from parallel_ai.production.generating.remembering import Ahead, Cache
from parallel_ai.production.generating.sampling import Sampling, probabilities
from parallel_ai.production.generating.scheduling import (
    Request,
    one_by_one,
    serve_model,
)
from parallel_ai.production.generating.shapes import Config


@torch.inference_mode()
def shifted(
    model: Decoder, tokens: torch.Tensor, prompt: int, shift: int, each: bool
) -> tuple[float, float]:
    """Decode a known text with the cache's lengths wrong by a position.

    Parameters
    ----------
    tokens : tensor of int64, (rows, count)
        What is decoded, whatever the model would have said.
    prompt : int
        Tokens of it that are prefilled, rightly.
    shift : int
        Added to the lengths after the prefill.
    each : bool
        And again after each token.

    Returns
    -------
    tuple of float
        Mean cross-entropy of the tokens after the prompt, and the largest
        difference of a logit from what it should be.
    """
    rows, count = tokens.shape
    cache = model.cache(rows)
    logits = [model(tokens[:, :prompt], cache)[:, -1]]
    for place in range(prompt, count - 1):
        if each or place == prompt:
            cache.lengths += shift
        logits.append(model(tokens[:, place : place + 1], cache)[:, -1])
    found = torch.stack(logits, 1)
    right = model(tokens[:, :-1])[:, prompt - 1 :]
    targets = tokens[:, prompt:].flatten()
    loss = F.cross_entropy(found.flatten(0, 1), targets).item()
    return loss, (found - right).abs().max().item()


def _padded(prompts: Sequence[Sequence[int]], left: bool) -> torch.Tensor:
    longest = max(map(len, prompts))
    pads = [[0] * (longest - len(prompt)) for prompt in prompts]
    both = zip(pads, prompts, strict=True)
    return torch.tensor([[*a, *b] if left else [*b, *a] for a, b in both])


@torch.inference_mode()
def padded_left(
    model: Decoder, prompts: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Fill prompts up in front, and let the model take that for text.

    Returns
    -------
    tensor, (rows, vocabulary)
        Logits of each next token.
    """
    return model(_padded(prompts, left=True))[:, -1]


@torch.inference_mode()
def padded_right(
    model: Decoder, prompts: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Fill prompts up behind: no token looks there. As `padded_left`."""
    counts = torch.tensor([len(prompt) for prompt in prompts])
    tokens = _padded(prompts, left=False)
    cache = model.cache(*tokens.shape)
    logits = model(tokens, cache, counts)
    return logits[torch.arange(len(counts)), counts - 1]


class GrowingCache(Cache):
    """Joins what is new to what is there, in new memory each time."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, 1, 0)
        self.room = config.context

    def update(
        self, layer: int, ahead: Ahead, k: torch.Tensor, v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `Cache.update` does."""
        self.keys[layer] = torch.cat([self.keys[layer], k], 1)
        self.values[layer] = torch.cat([self.values[layer], v], 1)
        return self.keys[layer], self.values[layer]


class Written(TorchDispatchMode):
    """Counts the bytes that joining tensors writes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation; add up, if it is `cat` or a write into a cache."""
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name == "cat":
            self.bytes += result.nbytes
        elif name == "index_put_":
            self.bytes += args[2].nbytes
        return result


@torch.inference_mode()
def written_bytes(model: Decoder, count: int, growing: bool) -> int:
    """Bytes that so many steps of decoding write into their cache."""
    cache = GrowingCache(model.config) if growing else model.cache()
    with Written() as seen:
        for _ in range(count):
            model(torch.ones(1, 1, dtype=torch.int64), cache)
    return seen.bytes


@torch.inference_mode()
def batch_difference(
    model: Decoder, tokens: torch.Tensor, sizes: Sequence[int]
) -> list[float]:
    """Compute the same row in batches of each size.

    Parameters
    ----------
    tokens : tensor of int64, (rows, count)

    Returns
    -------
    list of float
        Largest difference of the first row's logits from those alone.
    """
    alone = model(tokens[:1])[0]
    return [
        (model(tokens[:size])[0] - alone).abs().max().item() for size in sizes
    ]


def one_generator(
    logits: torch.Tensor, how: Sampling, seed: int = 0
) -> torch.Tensor:
    """Draw for all rows from one generator: the usual loop around a batch."""
    generator = torch.Generator().manual_seed(seed)
    chances = probabilities(logits, how)
    return torch.multinomial(chances, 1, generator=generator)[:, 0]


def neighbours_change(
    model: Decoder, requests: Sequence[Request]
) -> dict[str, int]:
    """Answer requests alone and together; how many answers differ.

    Returns
    -------
    dict
        With a seed for each request, and for the first tokens alone with
        one generator for the batch.
    """
    alone = [answer.tokens for answer in one_by_one(model, requests).answers]
    both = [answer.tokens for answer in serve_model(model, requests).answers]
    prompts = [request.prompt for request in requests]
    first = partial(one_generator, how=requests[0].how)
    together = first(padded_right(model, prompts))
    single = [first(padded_right(model, [prompt])) for prompt in prompts]
    return {
        "a seed for each request": sum(
            a != b for a, b in zip(alone, both, strict=True)
        ),
        "one generator": int((together != torch.cat(single)).sum()),
    }
