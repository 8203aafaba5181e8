"""A small vision transformer, written out: patches become tokens."""

from collections.abc import Callable

import torch
from torch import nn

from parallel_ai.accelerators import vision
from parallel_ai.accelerators.architectures.attention import (
    Attend,
    attention_fused,
)

SIDE = 28  # pixels


def patches(images: torch.Tensor, size: int) -> torch.Tensor:
    """Cut pictures into squares, and write each square as a list.

    Parameters
    ----------
    images : tensor, (n, channels, height, width)
    size : int
        Side of a square, in pixels; it divides height and width.

    Returns
    -------
    tensor, (n, tokens, channels · size · size)
        Row by row of the picture.

    Raises
    ------
    ValueError
        The squares do not tile the picture.
    """
    n, channels, height, width = images.shape
    if size < 1 or height % size or width % size:
        raise ValueError(
            f"patches of {size} × {size} pixels do not tile a picture of "
            f"{height} × {width}: take a divisor of both"
        )
    rows, columns = height // size, width // size
    grid = images.reshape(n, channels, rows, size, columns, size)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(
        n, rows * columns, channels * size * size
    )


class Mix(nn.Module):
    """Attention itself, which has no weights, as a layer."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
    ) -> torch.Tensor:
        """Mix the values; (n, heads, tokens, width) in and out."""
        return self.attend(q, k, v)


class MultiHead(nn.Module):
    """Several attentions side by side, each in its part of the width."""

    def __init__(
        self, width: int, heads: int, attend: Attend = attention_fused
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads cannot share a width of {width}")
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)
        self.mix = Mix(attend)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Let the tokens look at each other; (n, tokens, width)."""
        n, length, width = tokens.shape
        each = width // self.heads
        apart = self.into(tokens).view(n, length, 3, self.heads, each)
        q, k, v = apart.permute(2, 0, 3, 1, 4)  # (n, heads, tokens, each)
        mixed = self.mix(q, k, v).transpose(1, 2)
        return self.out(mixed.reshape(n, length, width))


class Block(nn.Module):
    """One layer: tokens exchange, then each thinks for itself."""

    def __init__(
        self, width: int, heads: int, attend: Attend = attention_fused
    ) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.exchange = MultiHead(width, heads, attend)
        self.between = nn.LayerNorm(width)
        self.think = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Add what each half finds; (n, tokens, width) in and out."""
        tokens = tokens + self.exchange(self.before(tokens))
        return tokens + self.think(self.between(tokens))


class VisionTransformer(nn.Module):
    """Patches, blocks, mean, classes.

    Takes (n, 1, 28, 28) and returns (n, classes), the logits.

    Notes
    -----
    Dosovitskiy et al. (2021), much smaller, and with the mean of all tokens
    where they have a token for the class.
    """

    def __init__(
        self,
        size: int = 7,
        width: int = 64,
        depth: int = 3,
        heads: int = 4,
        attend: Attend = attention_fused,
        positions: bool = True,
        classes: int = vision.CLASSES,
    ) -> None:
        super().__init__()
        self.size = size
        self.embed = nn.Linear(size * size, width)
        tokens = (SIDE // size) ** 2
        where = torch.randn(tokens, width) * 0.3 * positions
        self.where = nn.Parameter(where, requires_grad=positions)
        self.blocks = nn.Sequential(
            *(Block(width, heads, attend) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the logits."""
        tokens = self.embed(patches(images, self.size)) + self.where
        return self.head(self.norm(self.blocks(tokens)).mean(1))


def vit(classes: int = vision.CLASSES) -> VisionTransformer:
    """Build the transformer of this chapter."""
    return VisionTransformer(classes=classes)


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "MLP": vision.mlp,
    "CNN": vision.cnn,
    "transformer": vit,
}
