"""Exports that go wrong quietly, and hooks that stay."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn


class Branching(nn.Module):
    """Two layers; the data decide which one answers."""

    def __init__(self) -> None:
        super().__init__()
        self.bright = nn.Linear(4, 2)
        self.dark = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Branch in Python."""
        if x.mean() > 0:
            return self.bright(x)
        return self.dark(x)


class BothBranches(Branching):
    """The same, with a branch that a graph can hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Branch by an operation: both sides are captured."""
        return torch.cond(x.mean() > 0, self.bright, self.dark, (x,))


class Remembering:
    """A hook as one writes it in a hurry: keeps outputs, is never removed."""

    def __init__(self, model: nn.Module, detach: bool = False) -> None:
        self.kept: list[torch.Tensor] = []
        self.detach = detach
        for layer in model.children():
            layer.register_forward_hook(self.keep)

    def keep(
        self, module: nn.Module, inputs: object, output: torch.Tensor
    ) -> None:
        """Keep an output, with or without the graph that made it."""
        self.kept.append(output.detach() if self.detach else output)

    def bytes(self) -> int:
        """Count the bytes of what is kept, and of nothing behind it."""
        return sum(tensor.nbytes for tensor in self.kept)


def hooks_on(model: nn.Module) -> int:
    """Count the forward hooks that are on a model and its parts."""
    return sum(len(m._forward_hooks) for m in model.modules())


class Curious:
    """An object that runs code when it is unpickled. Ours only prints."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Tell pickle what to call on loading: anything can stand here."""
        return print, ("This code came out of the file, and ran.",)


def flip_bit(path: Path, weights: torch.Tensor) -> Path:
    """Copy a model's file and change one bit of its first weight.

    The bit is the highest of the exponent: a small number becomes a huge
    one.

    Raises
    ------
    ValueError
        The file does not hold the weights.
    """
    content = bytearray(path.read_bytes())
    place = content.find(weights.detach().cpu().numpy().tobytes())
    if place < 0:
        raise ValueError(
            f"{path.name} does not hold these weights as they are"
        )
    content[place + 3] ^= 0x40  # little-endian: sign and exponent come last
    changed = path.with_name(f"flipped-{path.name}")
    changed.write_bytes(content)
    return changed
