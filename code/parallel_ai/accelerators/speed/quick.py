"""The same network, written for the order in which memory is read."""

import copy

import torch
from torch import nn

from parallel_ai.accelerators import vision

BYTE = 256


class ByteDropout(nn.Module):
    """Dropout that draws one byte a number, eight in one draw of 64 bits.

    Parameters
    ----------
    p : float
        Share to drop, rounded to 1/256; what is left is scaled by exactly
        what was rounded to.

    Attributes
    ----------
    generator : torch.Generator or None
        Drawn from; None for the device's own. Threads need one each.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1 - 0.5 / BYTE:
            raise ValueError(f"p={p}: a share from 0 to below 1")
        self.dropped = round(p * BYTE)
        self.generator: torch.Generator | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop some numbers in training, none in use."""
        if not self.training or not self.dropped:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64)
        words = words.to(x.device)
        words.random_(-(2**63), None, generator=self.generator)
        drawn = words.view(torch.uint8)[: x.numel()].view(x.shape)
        kept = (drawn >= self.dropped).to(x.dtype)
        return x * kept.mul_(BYTE / (BYTE - self.dropped))


class InMemoryOrder(nn.Module):
    """Flatten (n, c, h, w) row by row, channels last: a view, no copy."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, h · w · c)."""
        return x.permute(0, 2, 3, 1).flatten(1)


def quicken(model: nn.Sequential, drop_bytes: bool = True) -> nn.Sequential:
    """Copy a model so that it computes the same with fewer passes.

    Flattening follows the channels-last order, and the columns of the dense
    layer behind it move with it; ReLU overwrites its input; dropout draws
    bytes. In use (`eval`) the outputs are the same but for rounding.
    """
    layers, channels, moved = [], 0, False
    for layer in copy.deepcopy(model):
        for inner in layer.modules():
            if isinstance(inner, nn.ReLU):
                inner.inplace = True
            if isinstance(inner, nn.Conv2d):
                channels = inner.out_channels
        if isinstance(layer, nn.Flatten) and channels:
            layer, moved = InMemoryOrder(), True
        elif isinstance(layer, nn.Dropout) and drop_bytes:
            layer = ByteDropout(layer.p)
        elif isinstance(layer, nn.Linear) and moved:
            with torch.no_grad():
                wide = layer.weight.unflatten(1, (channels, -1))
                layer.weight.copy_(wide.transpose(1, 2).flatten(1))
            moved = False
        layers.append(layer)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def quick_cnn() -> nn.Sequential:
    """Build `vision.cnn`, quickened."""
    return quicken(vision.cnn())
