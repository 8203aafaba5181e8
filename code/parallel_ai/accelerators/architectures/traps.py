"""Attention with the usual mistakes: the shapes are right in all of them."""

import torch

from parallel_ai.accelerators.architectures.vit import patches


def softmax_plain(scores: torch.Tensor) -> torch.Tensor:
    """Divide exponentials by their sum, as the formula says."""
    powers = scores.exp()
    return powers / powers.sum(-1, keepdim=True)


def softmax_shifted(scores: torch.Tensor) -> torch.Tensor:
    """Divide by the sum as well, but let the largest exponent be 0."""
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def attention_unscaled(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Forget the square root of the width."""
    return torch.softmax(q @ k.mT, dim=-1) @ v


def attention_down(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """Take the softmax over the queries, where the keys are meant."""
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    return torch.softmax(scores, dim=-2) @ v


def sharpness(
    width: int, scaled: bool, tokens: int = 64
) -> tuple[float, float]:
    """Measure how sharp attention is between random tokens, and how deaf.

    Returns
    -------
    tuple of float
        Mean of the largest weight of each query, and mean size of the
        gradient that comes back through the softmax to a score.
    """
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, tokens, width, generator=generator)
    scores = q @ k.mT * (width**-0.5 if scaled else 1)
    weights = torch.softmax(scores.requires_grad_(), dim=-1)
    asked = torch.randn(weights.shape, generator=generator)
    (weights * asked).sum().backward()
    assert scores.grad is not None  # noqa: S101 - for mypy
    return weights.amax(-1).mean().item(), scores.grad.abs().mean().item()


def patches_shuffled(
    images: torch.Tensor, size: int, order: torch.Tensor
) -> torch.Tensor:
    """Cut pictures, and put the pieces together in another order.

    Parameters
    ----------
    images : tensor, (n, 1, height, width)
    order : tensor of int64, (tokens,)
        Which piece comes where.
    """
    n, _, height, width = images.shape
    pieces = patches(images, size)[:, order]
    grid = pieces.reshape(n, height // size, width // size, size, size)
    return grid.permute(0, 1, 3, 2, 4).reshape(n, 1, height, width)
