"""What travels: formulas, and our ring's counts beside them."""

from dataclasses import dataclass

import torch
from torch import nn

from parallel_ai.accelerators import vision
from parallel_ai.training.collectives import Transport
from parallel_ai.training.model_parallel.language import (
    VOCABULARY,
    Block,
    split_block,
)
from parallel_ai.training.model_parallel.teams import Counted


@dataclass(frozen=True)
class Shape:
    """What goes through a layer, and how many bytes a number has."""

    batch: int
    length: int
    width: int
    itemsize: int = 4

    @property
    def activation(self) -> int:
        """Bytes of the vectors between two layers."""
        return self.batch * self.length * self.width * self.itemsize


def reduced_bytes(length: float, ranks: int) -> float:
    """Bytes that a rank sends in a ring all-reduce of so many bytes."""
    return 2 * (ranks - 1) / ranks * length


def tensor_bytes(shape: Shape, ranks: int) -> float:
    """Bytes that a rank sends for a block, forwards and backwards.

    Attention and MLP each sum an activation forwards, and a gradient of
    the same shape backwards.
    """
    return 4 * reduced_bytes(shape.activation, ranks)


def pipeline_bytes(shape: Shape) -> int:
    """Bytes through one boundary: activations forth, gradients back."""
    return 2 * shape.activation


def data_bytes(parameters: int, ranks: int, itemsize: int = 4) -> float:
    """Bytes that a rank sends to sum the gradients of a step."""
    return reduced_bytes(parameters * itemsize, ranks)


def block_parameters(width: int) -> int:
    """Weights and biases of a block: $12 h^2 + 13 h$."""
    return 12 * width**2 + 13 * width


def model_parameters(width: int, depth: int, length: int) -> int:
    """Weights of the whole model, embedding and head counted apart."""
    ends = 2 * VOCABULARY * width + VOCABULARY + length * width + 2 * width
    return depth * block_parameters(width) + ends


def count_block(
    net: Transport, shape: Shape, heads: int = 4, once: bool = True
) -> tuple[int, int]:
    """Send a batch through a split block, forth and back.

    Returns
    -------
    tuple of int
        Bytes that this rank has sent; all-reduces.
    """
    team = Counted(net)
    block: nn.Module = vision.seeded(lambda: Block(shape.width, heads), 0)
    split_block(block, team, once)  # type: ignore[arg-type]
    tokens = torch.ones(shape.batch, shape.length, shape.width)
    block(tokens.requires_grad_()).sum().backward()
    return net.bytes, team.calls
